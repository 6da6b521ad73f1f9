"""`irstd import-weights`: published weights as a weight file of ours."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from irstd.errors import ModelError
from irstd.inference.preprocess import Preprocessing
from irstd.inference.weights import FACTS_KEY, ModelFacts, load_model, save_model
from irstd.models.network import Network
from irstd.models.published import load_published
from irstd.models.registry import network_spec
from irstd.stages.outputs import check_file
from irstd.tracking.journal import file_sha256

THRESHOLD = 0.5
Argument = int | float | bool | str
log = logging.getLogger(__name__)


def import_weights(
    root: Path,
    network: str,
    source: Path,
    output: Path,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    part: str | None = None,
) -> ModelFacts:
    """Write a published weight file as one of ours.

    Args:
        root: the project's folder.
        network: model id.
        source: the published file (`irstd.models.checkpoints`).
        output: the safetensors file to write.
        settings: arguments of the network's constructor, each as `KEY=VALUE`.
        overwrite: replace an earlier file.
        part: where in the source the weights stand (`load_published`).

    Returns:
        The facts stored in the file.

    Raises:
        ModelError: unknown network or argument, the source is one of ours already, cannot be read
            or does not fit the network.
        DataError: the output must not be written.
    """
    arguments = parse_arguments(network, settings)
    check_file(root, output, overwrite)
    if output.suffix != ".safetensors":
        raise ModelError(f"{output}: expected a name that ends with .safetensors")
    if has_facts(source):
        raise ModelError(f"{source}: is a weight file of ours already; use it as it is")
    module, facts = read_published(network, source, arguments, part)
    save_model(output, module, facts)
    log.info("%s: %s with the weights of %s", output, network, source)
    return facts


def open_weights(path: Path, network: str | None) -> tuple[Network, ModelFacts]:
    """A network and its facts, from a weight file of ours or a published one.

    Args:
        path: the file.
        network: model id; needed for a published file, which does not say it.

    Raises:
        ModelError: the file is missing, unreadable or of another network, or is a published one
            and the network is not given.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such weight file")
    if not has_facts(path):
        if network is None:
            raise ModelError(
                f"{path}: not a weight file of ours, and a published one does not say of which "
                "network it is: add --network NAME (`irstd models` lists the names)"
            )
        return read_published(network, path, {})
    module, facts = load_model(path)
    if network not in (None, facts.network):
        raise ModelError(f"{path}: expected weights of {network}, got weights of {facts.network}")
    return module, facts


def has_facts(path: Path) -> bool:
    """Whether a file is a weight file of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            return FACTS_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def read_published(
    network: str, source: Path, arguments: Mapping[str, Argument], part: str | None = None
) -> tuple[Network, ModelFacts]:
    """A network with published weights and the facts of its SPEC.

    Args:
        network: model id.
        source: the published file.
        arguments: keywords of the network's constructor.
        part: see `load_published`.

    Raises:
        ModelError: see `load_published`.
    """
    spec = network_spec(network)
    complete = {"in_channels": spec.in_channels, **arguments}
    module = load_published(network, source, part=part, **complete)
    provenance = {"origin": "published", "file": source.name, "sha256": file_sha256(source)}
    if part is not None:
        provenance["part"] = part
    preprocessing = replace(
        Preprocessing.of(spec, int(complete["in_channels"])), sizes=module.sizes
    )
    return module, ModelFacts(network, complete, preprocessing, THRESHOLD, provenance)


def parse_arguments(network: str, settings: Sequence[str]) -> dict[str, Argument]:
    """Constructor arguments from `KEY=VALUE`, typed as the constructor says.

    Raises:
        ModelError: no `=`, an unknown or repeated key, or a value of another type.
    """
    known = inspect.signature(network_spec(network).build, eval_str=True).parameters
    arguments: dict[str, Argument] = {}
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or key not in known or key in arguments:
            raise ModelError(
                f"--set {setting!r}: expected KEY=VALUE, each KEY once, with a KEY of {network}: "
                f"{', '.join(known)}"
            )
        arguments[key] = _typed(setting, text, known[key].annotation)
    return arguments


def _typed(setting: str, text: str, kind: Any) -> Argument:
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    for choice in choices:
        if str(choice) == text:
            value: Argument = choice
            return value
    try:
        value = TypeAdapter(kind).validate_strings(text)
    except ValidationError as error:
        raise ModelError(f"--set {setting!r}: {error.errors()[0]['msg']}, got {text!r}") from error
    if not isinstance(value, int | float | str):
        raise ModelError(f"--set {setting!r}: this argument cannot be set from the command line")
    return value
