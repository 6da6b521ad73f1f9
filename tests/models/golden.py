"""What the authors' published code computed with the weights of `tests/golden/fill.py`.

`tests/golden/<name>/` holds, per network, `inventory.json` (the published state dict's names and
shapes), `golden.npz` (arrays, described in the README beside it).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from irstd.models import NetworkSpec
from tests.golden import fill

FOLDER = Path(__file__).parents[1] / "golden"
COUNTER = "num_batches_tracked"
CHANNELS, TOKENS, SIDE = 8, 64, 32  # the corner of a feature map that golden files keep
AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


@dataclass(frozen=True)
class Golden:
    """Reference numbers of one published network.

    Attributes:
        name: model id.
    """

    name: str

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """By name, what the published code computed."""
        with np.load(FOLDER / self.name / "golden.npz") as file:
            return dict(file)

    @cached_property
    def inventory(self) -> dict[str, Any]:
        """Published name to {"shape", "dtype", "derived"}."""
        return fill.load_inventory(FOLDER / self.name)

    def state(self, seed: int = 0, scale: float = 1.0) -> dict[str, Tensor]:
        """The published state dict, without derived entries.

        Args:
            seed: of the fill.
            scale: factor, in float32, of every float tensor with two or more dimensions.
        """
        return {
            name: torch.from_numpy(values * np.float32(scale) if _is_matrix(values) else values)
            for name, values in fill.fill_state(self.inventory, seed).items()
        }

    def input(self, shape: tuple[int, ...], seed: int = 0, kind: str = "normal") -> Tensor:
        """The image the arrays were computed from, float32."""
        return torch.from_numpy(fill.make_input(shape, seed, kind))


def golden(name: str) -> Golden:
    """Reference numbers of a network; the files are read when they are first asked for."""
    return Golden(name)


def load(network: AnyNetwork, spec: NetworkSpec, state: Mapping[str, Tensor]) -> AnyNetwork:
    """Load a published state dict strictly, through the network's key map.

    Batch counters are left out; so are the entries that `spec.unused_keys` names.

    Returns:
        The network, in evaluation mode.
    """
    renamed: dict[str, Tensor] = {}
    for published, tensor in state.items():
        unused = any(re.match(pattern, published) for pattern in spec.unused_keys)
        if published.endswith(COUNTER) or unused:
            continue
        name = published
        for pattern, replacement in spec.published_keys:
            name = re.sub(pattern, replacement, name)
        assert name not in renamed, f"{published} maps to {name}, which another name maps to"
        renamed[name] = tensor
    counters = {name: own for name, own in network.state_dict().items() if name.endswith(COUNTER)}
    network.load_state_dict(counters | renamed)
    return network.eval()


def features(network: nn.Module, image: Tensor, modules: Mapping[str, str]) -> dict[str, Tensor]:
    """What submodules give while the network runs on an image.

    Args:
        network: run once, without gradients.
        image: its input.
        modules: name of the feature to name of our submodule.

    Returns:
        Outputs of the submodules by the names given, and that of the network as `logits`.
    """
    outputs: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(module).register_forward_hook(
            lambda _module, _inputs, output, feature=feature: outputs.update({feature: output})
        )
        for feature, module in modules.items()
    ]
    with torch.no_grad():
        outputs["logits"] = network(image)
    for hook in hooks:
        hook.remove()
    return outputs


def corner(feature: Tensor) -> Tensor:
    """The part of a feature that `feat_*` arrays hold: 8 channels of 32 x 32, or 64 tokens."""
    if feature.ndim == 3:
        return feature[:, :TOKENS]
    return feature[..., :CHANNELS, :SIDE, :SIDE]


def statistics(feature: Tensor) -> Tensor:
    """What `stat_*` arrays hold: mean, population deviation, minimum, maximum."""
    return torch.stack([feature.mean(), feature.std(correction=0), feature.amin(), feature.amax()])


def feature_deviations(
    ours: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Deviation of the `feat_*` and the `stat_*` array of each of our features.

    A `feat_*` array holds the corner of its feature, or every second row and column of it.
    Statistics are compared in units of the deviation among them.
    """
    found = {}
    for name, feature in ours.items():
        reference, numbers = arrays[f"feat_{name}"], arrays[f"stat_{name}"]
        part = corner(feature)
        step = part.shape[-1] // reference.shape[-1]
        found[f"feat_{name}"] = deviations(part[..., ::step, ::step], reference)
        difference = np.abs(statistics(feature).numpy() - numbers)
        found[f"stat_{name}"] = float(difference.max() / numbers[1])
    return found


def deviations(ours: Tensor | np.ndarray, reference: Tensor | np.ndarray) -> float:
    """Largest |difference| in standard deviations of the reference."""
    got, expected = (np.asarray(values, dtype=np.float64) for values in (ours, reference))
    assert got.shape == expected.shape, f"got shape {got.shape}, expected {expected.shape}"
    return float(np.abs(got - expected).max() / expected.std())


def _is_matrix(values: np.ndarray) -> bool:
    return values.ndim >= 2 and np.issubdtype(values.dtype, np.floating)
