"""Networks with the weights of `tests/golden/fill.py`, changed as the golden READMEs say."""

from functools import cache

import torch

from irstd.models import NETWORKS, Network, build_network
from tests.golden import fill
from tests.models.golden import golden, load

SCALES = {
    "acm": 0.7,
    "acm_full": 0.7,
    "alcnet": 0.7,
    "alcnet_bilocal": 0.7,
    "alcnet_fpn": 0.7,
    "agpcnet": 0.8,
    "dnanet": 0.9,
    "mtunet": 0.7,
}
"""Factor of weights with two or more dimensions; 1 where a network has no entry."""


SEEDS = {"dnanet": 32, "lpnet": 1}
"""Seed of the fill where with 0 a layer of one or two units is dead on the suite's images."""

SMALL = {"mpcnet": {"size": 32}}
"""Arguments that make a test cheaper: the attention grid costs the same at any image size."""


def filled(name: str) -> Network:
    """A network in evaluation mode, small where it can be; a fresh one each time."""
    network = build_network(name, **SMALL.get(name, {}))
    network.load_state_dict(_state(name))
    return network.eval()


@cache
def _state(name: str) -> dict[str, torch.Tensor]:
    network = build_network(name)
    if name == "ispanet":  # its authors published no code: our own names
        state = {
            key: torch.from_numpy(fill.fill_tensor(key, tuple(value.shape)))
            for key, value in network.state_dict().items()
            if value.is_floating_point()
        }
        network.load_state_dict(network.state_dict() | state)
        return network.state_dict()
    state = golden(name).state(SEEDS.get(name, 0), SCALES.get(name, 1.0))
    if name == "lpnet":
        state = spread(state)
    return load(network, NETWORKS[name], state).state_dict()


def spread(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """LPNet's changes: without them the attention is all but one-hot and the last ReLU dead."""
    factors = {
        **{f"lfe.conv_k{kernel}.conv.weight": 14400 for kernel in (1, 3, 5)},
        **{f"attn.block6.{norm}.weight": 0.1 for norm in ("bn3", "bn")},
        **{f"lfe.patch_net.block3.{norm}.weight": 0.3 for norm in ("bn3", "bn")},
    }
    shifts = {"attn.block6.bn.bias": 4.0, "lfe.patch_net.block3.bn.bias": 1.5}
    changed = {key: state[key] * factor for key, factor in factors.items()}
    changed |= {key: state[key] + shift for key, shift in shifts.items()}
    return state | changed
