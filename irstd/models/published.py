"""Load the authors' checkpoints through the key map of each network's file.

A checkpoint fits if every tensor of ours comes from exactly one of its tensors, of the same shape,
and nothing is left over. Not asked for are batch counters, what a network derives itself, and the
entries that its SPEC calls unused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from irstd.errors import ModelError
from irstd.models import sgmp_unet
from irstd.models.checkpoints import Tensors, find_tensors
from irstd.models.network import Network
from irstd.models.registry import build_network, network_spec
from irstd.models.torch_files import DTYPES

Keys = tuple[tuple[str, str], ...]
WRAPPERS = ("module.", "model.")
PRETRAINED = ("embedding.", "temporal.", "norm.")
"""Parts of SGMP-UNet whose weights torchvision publishes."""
COUNTER = "num_batches_tracked"
READ = frozenset(DTYPES.values())
"""Types of numbers that are read."""
LABELS = {
    "missing": "missing (our names)",
    "unexpected": "unexpected (published names)",
    "ambiguous": "ambiguous (our name: published names)",
    "mis_shaped": "mis-shaped (our names)",
    "mis_typed": "mis-typed (our names)",
    "not_finite": "not finite (our names)",
}
"""Of the lists of faults."""


def load_published(
    name: str,
    source: Path | str | Mapping[str, Any],
    *,
    part: str | None = None,
    **arguments: Any,
) -> Network:
    """A network with published weights, in evaluation mode.

    Args:
        name: model id, a key of `irstd.models.NETWORKS`.
        source: a file (`irstd.models.checkpoints`), or a mapping from published names to tensors or
            arrays; nested state dicts are found, `module.` and `model.` before all names dropped.
            A file with our own names is read too.
        part: where in the source the weights stand, such as `ema` or `checkpoint['model']['ema']`;
            needed where several parts fit.
        arguments: keywords of the network's constructor.

    Raises:
        ModelError: unknown network, argument or part; the source cannot be read; two parts of it
            fit; or none does: the message lists tensors that are missing, left over, of another
            shape or type, not finite, or two for one place.
    """
    network, spec = build_network(name, **arguments), network_spec(name)
    maps = ((spec.published_keys, spec.unused_keys), ((), ()))
    readings = _readings(source, maps, _expected(network), _derived(network), part)
    return _filled(network, _choose(readings, name, source)).eval()


def load_backbone(network: Network, source: Path | str | Mapping[str, Any]) -> Network:
    """Put the published weights of a pretrained encoder into SGMP-UNet.

    Args:
        network: SGMP-UNet, as `build_network("sgmp_unet")` makes it; changed in place.
        source: torchvision's file of Video Swin-T (`swin3d_t`, Kinetics-400), or its state dict.

    Returns:
        The network.

    Raises:
        ModelError: another network, or the source does not fit the parts that it is for.
    """
    if not isinstance(network, sgmp_unet.SGMPUNet):
        raise ModelError(
            "expected a network with a published encoder, SGMP-UNet, got "
            f"{type(network).__name__}; train it without"
        )
    maps = ((sgmp_unet.BACKBONE_KEYS, sgmp_unet.BACKBONE_UNUSED_KEYS),)
    own = {name: own for name, own in _expected(network).items() if name.startswith(PRETRAINED)}
    readings = _readings(source, maps, own, _derived(network))
    return _filled(network, _choose(readings, "Video Swin-T in sgmp_unet", source))


@dataclass(frozen=True)
class Faults:
    """What keeps a checkpoint from fitting; each list names tensors in words.

    Attributes:
        missing: ours, without a published one.
        unexpected: published, without a place in ours.
        ambiguous: published, two or more for one place.
        mis_shaped: of another shape than ours.
        mis_typed: not floating point where ours are, or the reverse, or of a type not read.
        not_finite: with values that are NaN or infinite.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    mis_shaped: tuple[str, ...] = ()
    mis_typed: tuple[str, ...] = ()
    not_finite: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(getattr(self, field.name)) for field in fields(self))

    def __str__(self) -> str:
        lines = []
        for field in fields(self):
            names = getattr(self, field.name)
            if names:
                listed = "\n    ".join(names)
                lines.append(f"{len(names)} {LABELS[field.name]}:\n    {listed}")
        return "\n  ".join(lines)


@dataclass(frozen=True)
class _Reading:
    """One group of published tensors, read by one key map.

    Attributes:
        place: where the group stands in the source.
        tensors: published tensors by our names.
        faults: what is wrong with them.
    """

    place: str
    tensors: Tensors
    faults: Faults


def _readings(
    source: Path | str | Mapping[str, Any],
    maps: Iterable[tuple[Keys, tuple[str, ...]]],
    expected: Tensors,
    derived: set[str],
    part: str | None = None,
) -> list[_Reading]:
    """Every group of tensors in the source, read by each pair of key map and unused keys.

    Raises:
        ModelError: the source cannot be read, or lacks the part.
    """
    readings = []
    for place, tensors in _parts(source, part).items():
        for keys, unused in maps:
            entries = _renamed(_stripped(tensors), keys, unused)
            entries = [entry for entry in entries if entry[0] not in derived]
            ours = {name: tensor for name, _, tensor in entries}
            readings.append(_Reading(place, ours, _compare(entries, ours, expected)))
    return readings


def _parts(source: Path | str | Mapping[str, Any], part: str | None) -> dict[str, Tensors]:
    """Groups of tensors by place: all, or those at the place or of the last name given."""
    found = find_tensors(source)
    if part is None:
        return found
    chosen = {
        place: tensors
        for place, tensors in found.items()
        if part == place or place.endswith(f"[{part!r}]")
    }
    if not chosen:
        raise ModelError(
            f"{_named(source)}: expected a part {part!r} with tensors, got {', '.join(found)}; "
            "name one of these"
        )
    return chosen


def _compare(entries: list[tuple[str, str, Tensor]], tensors: Tensors, expected: Tensors) -> Faults:
    """Everything that is wrong with published tensors under our names."""
    origins: dict[str, list[str]] = {}
    for name, published, _ in entries:
        origins.setdefault(name, []).append(published)
    pairs = [(name, tensors[name], own) for name, own in expected.items() if name in tensors]
    return Faults(
        missing=tuple(name for name in expected if name not in tensors),
        unexpected=tuple(published for name, published, _ in entries if name not in expected),
        ambiguous=tuple(
            f"{name}: {', '.join(published)}"
            for name, published in origins.items()
            if len(published) > 1
        ),
        mis_shaped=tuple(
            f"{name}: expected {tuple(own.shape)}, got {tuple(got.shape)}"
            for name, got, own in pairs
            if got.shape != own.shape
        ),
        mis_typed=tuple(
            f"{name}: expected {own.dtype}, got {got.dtype}"
            for name, got, own in pairs
            if got.dtype not in READ or got.is_floating_point() != own.is_floating_point()
        ),
        not_finite=tuple(
            name for name, got, _ in pairs if got.dtype in READ and not bool(got.isfinite().all())
        ),
    )


def _choose(readings: list[_Reading], name: str, source: Any) -> Tensors:
    """The tensors of the one reading without faults.

    Raises:
        ModelError: there is none, or two places have one.
    """
    where = _named(source)
    fitting = {
        reading.place: reading.tensors for reading in reversed(readings) if not reading.faults.count
    }
    if len(fitting) > 1:
        raise ModelError(
            f"{where}: {len(fitting)} parts of it fit {name}, {', '.join(sorted(fitting))}; name "
            "one: --part of `irstd import-weights`, part= of load_published"
        )
    if fitting:
        return fitting.popitem()[1]
    nearest = min(readings, key=lambda reading: reading.faults.count)
    raise ModelError(
        f"{where}: {nearest.place} does not fit {name} with these arguments:\n  {nearest.faults}\n"
        "choose the network and the arguments that the file was made with"
    )


def _named(source: Any) -> str:
    return "the mapping" if isinstance(source, Mapping) else str(source)


def _expected(network: nn.Module) -> Tensors:
    return {
        name: tensor for name, tensor in network.state_dict().items() if not name.endswith(COUNTER)
    }


def _derived(network: nn.Module) -> set[str]:
    """Buffers that aren't saved: a network makes them itself."""
    return {name for name, _ in network.named_buffers()} - network.state_dict().keys()


def _stripped(tensors: Tensors) -> Tensors:
    """Without the names of wrappers that stand before every name."""
    for wrapper in WRAPPERS:
        if tensors and all(name.startswith(wrapper) for name in tensors):
            return _stripped(
                {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
            )
    return tensors


def _renamed(
    tensors: Tensors, keys: Keys, unused: tuple[str, ...]
) -> list[tuple[str, str, Tensor]]:
    """Our name, published name and tensor of each entry that has a place in ours."""
    renamed = []
    for published, tensor in tensors.items():
        if published.endswith(COUNTER) or any(re.match(key, published) for key in unused):
            continue
        ours = published
        for pattern, replacement in keys:
            ours = re.sub(pattern, replacement, ours)
        renamed.append((ours, published, tensor))
    return renamed


def _filled(network: Network, tensors: Tensors) -> Network:
    with torch.no_grad():
        network.load_state_dict(network.state_dict() | tensors)
    return network
