"""Facts stored inside weight and ONNX files: dataclasses to text and back, every value checked."""

import json
from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from irstd.errors import ModelError

STRICT = ConfigDict(extra="forbid", strict=True)
Facts = TypeVar("Facts")


def facts_to_json(facts: Any) -> str:
    """Text of a frozen dataclass; equal facts give equal text."""
    return json.dumps(asdict(facts), sort_keys=True, allow_nan=False)


def facts_from_json(kind: type[Facts], text: str, origin: str) -> Facts:
    """A dataclass from `facts_to_json`.

    Args:
        kind: the dataclass.
        text: its JSON.
        origin: what the text belongs to, for messages.

    Raises:
        ModelError: no JSON, or a fact is missing, unknown, of another type or out of range.
    """
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, item['loc'])) or 'facts'}: {item['msg']}"
            for item in error.errors()
        ]
        raise ModelError(
            f"{origin}: the facts stored with the network cannot be read ({'; '.join(faults)}); "
            "make the file again with this version of irstd"
        ) from error
    except ModelError as error:
        raise ModelError(f"{origin}: {error}") from error
