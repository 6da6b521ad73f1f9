"""The named tensors of weight files, read without running anything in them.

Read are: files of torch.save (the archive, and the older row of pickles) with a state dict, a whole
checkpoint, or a pickled network; safetensors; MXNet's `.params`. The kind is seen from the first
bytes, for names such as `.pth.tar` say nothing. torch.load is not used: with `weights_only` it
refuses what authors publish (argparse.Namespace, whole networks), without it runs the file.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from irstd.errors import ModelError
from irstd.models.mxnet_params import MAGIC as MXNET
from irstd.models.mxnet_params import read_params
from irstd.models.pickles import Unknown
from irstd.models.torch_files import STREAM, ZIP, open_archive, open_stream

Tensors = dict[str, Tensor]
MOST_MODULES, DEEPEST = 10_000, 64
"""Of a pickled network (a file could say that a module contains itself) and of dictionaries."""
REBUILT = ("torch._utils._rebuild", "torch._tensor._rebuild")
"""How the functions begin that tensors are pickled as."""


def find_tensors(source: Path | str | Mapping[str, Any]) -> dict[str, Tensors]:
    """Every group of named tensors in a file or mapping.

    Args:
        source: a weight file, or what is in one: names to tensors or arrays, nested as authors
            nest them.

    Returns:
        Place (such as `checkpoint['state_dict']`) to tensors by name. Searched are dictionaries
        under names, and networks; optimizer states are not, for they are numbered.

    Raises:
        ModelError: the file is missing, damaged, of another kind, or has no named tensors, or one
            that is not a plain array of numbers.
    """
    if isinstance(source, Mapping):
        found, where = _groups(source, _as_tensor, "the mapping"), "the mapping"
    else:
        found, where = _read(Path(source)), str(source)
    if not found:
        raise ModelError(
            f"{where}: expected named tensors (a state dict, a checkpoint with one in it, or a "
            "pickled network), got none"
        )
    return found


def _read(path: Path) -> dict[str, Tensors]:
    if not path.is_file():
        raise ModelError(f"{path}: no such weight file")
    try:
        with path.open("rb") as file:
            head = file.read(len(MXNET))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if head[8:9] == b"{":
        return {"the file": _read_safetensors(path)}
    if head == MXNET:
        return {"the file": read_params(path.read_bytes(), path)}
    if head.startswith(ZIP):
        with open_archive(path) as (content, load):
            return _groups(content, load, str(path))
    if head.startswith(STREAM):
        return _groups(*open_stream(path), str(path))
    raise ModelError(
        f"{path}: expected a file of torch.save (.pth, .pt, .pkl), .safetensors or .params of "
        f"MXNet, got one that begins with {head[:8]!r}"
    )


def _read_safetensors(path: Path) -> Tensors:
    try:
        return load_safetensors(path.read_bytes())
    except SafetensorError as error:
        raise ModelError(f"{path}: not a whole safetensors file: {error}; copy it again") from error
    except KeyError as error:  # a dtype that safetensors knows, but its reader for torch does not
        raise ModelError(
            f"{path}: has numbers of type {error}, which are not read; load it where it comes "
            "from, and save it as float32"
        ) from error


def _groups(content: Any, load: Callable[[Any], Tensor | None], where: str) -> dict[str, Tensors]:
    """Places and named tensors of every network and every dictionary, from the outside in."""
    found: dict[str, Tensors] = {}
    waiting, seen = [("checkpoint", 0, content)], set()
    while waiting:
        place, depth, value = waiting.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if depth > DEEPEST:
            raise ModelError(
                f"{where}: {place}: expected dictionaries and objects at most {DEEPEST} deep in "
                "each other; save the state dict alone"
            )
        if isinstance(value, Unknown):
            entries = dict(_module_entries(value, f"{where}: {place}"))
        elif isinstance(value, Mapping):
            entries = {name: item for name, item in value.items() if isinstance(name, str)}
            nested = (Mapping, Unknown)
            waiting += [
                (f"{place}[{name!r}]", depth + 1, item)
                for name, item in entries.items()
                if isinstance(item, nested)
            ]
        else:
            continue
        _refuse_unread(f"{where}: {place}", entries)
        loaded = {name: load(item) for name, item in entries.items()}
        tensors = {name: tensor for name, tensor in loaded.items() if tensor is not None}
        if tensors:
            found[place] = tensors
    return found


def _refuse_unread(place: str, entries: Mapping[str, Any]) -> None:
    """Refuse tensors that torch pickles in a way that is not read, rather than lose them."""
    unread = [
        f"{name!r} ({item.name})"
        for name, item in entries.items()
        if isinstance(item, Unknown) and item.name.startswith(REBUILT)
    ]
    if unread:
        raise ModelError(
            f"{place}: expected plain tensors, got others, which are not read: "
            f"{', '.join(unread)}; load the file where it comes from, and save them as float32"
        )


def _module_entries(module: Unknown, place: str) -> Iterator[tuple[str, Any]]:
    """Names and values of a pickled network's state dict; nothing for another object."""
    waiting = [("", 0, module)]
    visited = 0
    while waiting:
        prefix, depth, current = waiting.pop()
        visited += 1
        if visited > MOST_MODULES or depth > DEEPEST:
            raise ModelError(
                f"{place}: expected a network of at most {MOST_MODULES} modules, {DEEPEST} deep; "
                "the file is damaged: copy it again"
            )
        state = current.state if isinstance(current.state, dict) else {}
        passing = state.get("_non_persistent_buffers_set") or ()
        for kind in ("_parameters", "_buffers"):
            own = state.get(kind)
            for name, value in own.items() if isinstance(own, dict) else ():
                if name not in passing:
                    yield f"{prefix}{name}", value
        children = state.get("_modules")
        for name, child in children.items() if isinstance(children, dict) else ():
            if isinstance(child, Unknown):
                waiting.append((f"{prefix}{name}.", depth + 1, child))


def _as_tensor(value: Any) -> Tensor | None:
    """The tensor of a tensor or an array of numbers; None for anything else."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
    return None
