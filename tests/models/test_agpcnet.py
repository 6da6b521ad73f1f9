"""AGPCNet against its authors' code, its published counts, and its patches one after another."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models import build_network
from irstd.models.agpcnet import SPEC, AGPCNet, ContextBlock, NonLocal, grid_maxima
from tests.models.golden import corner, deviations, features, golden, load, statistics

GOLDEN = golden("agpcnet")
LIMITS = {torch.float64: 1e-5, torch.float32: 1e-3}
FEATURES = {  # published module: ours
    "backbone.conv1": "backbone.stem.0",
    **{f"backbone.layer{i + 1}": f"backbone.stages.{i}" for i in range(4)},
    "context.conv1": "context.narrow",
    **{f"context.scale_list.{i}": f"context.blocks.{i}" for i in range(4)},
    **{name: name for name in ("context", "fuse23", "fuse12", "head")},
}


@pytest.mark.parametrize("dtype", LIMITS)
def test_golden(dtype):
    network = load(AGPCNet(), SPEC, GOLDEN.state(scale=0.8)).to(dtype)
    ours = features(network, GOLDEN.input((1, 3, 256, 256)).to(dtype), FEATURES)
    expected = {"eval_out": ours["logits"][..., ::2, ::2]}
    for name in FEATURES:
        expected[f"feat_{name}"] = corner(ours[name])
        expected[f"stat_{name}"] = statistics(ours[name])
    assert expected.keys() == GOLDEN.arrays.keys()
    for name, array in GOLDEN.arrays.items():
        assert deviations(expected[name], array) < LIMITS[dtype], name


@pytest.mark.parametrize(("size", "giga_macs"), [((256, 256), 42.983), ((1024, 1280), 862.646)])
@pytest.mark.parametrize("variant", ["agpcnet_1", "agpcnet_2"])
def test_published_counts(variant, size, giga_macs):
    """Patches brought to one length cost up to 0.2 % more than patches of their own lengths."""
    with torch.device("meta"):
        network, image = AGPCNet(variant=variant).eval(), torch.empty(1, 3, *size)
    assert sum(p.numel() for p in network.parameters()) == 12_360_461
    with FlopCounterMode(display=False) as counter:
        network(image)
    assert 0 < counter.get_total_flops() / 2e9 - giga_macs < 2e-3 * giga_macs


@pytest.mark.parametrize("size", [(10, 10), (11, 19), (32, 20), (37, 64)])
@pytest.mark.parametrize("grid", [3, 4, 5, 6, 10])
def test_grid_maxima_are_adaptive_max_pooling(size, grid):
    x = torch.randn(2, 3, *size)
    assert torch.equal(grid_maxima(x, grid), functional.adaptive_max_pool2d(x, grid))


def plain_attention(layer: NonLocal, x: Tensor) -> Tensor:
    query, key, value = (conv(x)[0].flatten(1) for conv in (layer.query, layer.key, layer.value))
    weights = (query.T @ key).softmax(1)  # (queries, keys)
    return layer.gamma * (value @ weights.T).reshape(x.shape) + x


def patch_by_patch(block: ContextBlock, x: Tensor) -> Tensor:
    """The block on one image, each patch cut out and attended to by itself."""
    grid, (height, width) = block.grid, x.shape[-2:]
    guide = block.guidance(x)
    starts, ends = (
        [[step * i for i in first] for step in (height // grid, width // grid)]
        for first in (range(grid), range(1, grid + 1))
    )
    ends[0][-1], ends[1][-1] = height, width
    y = torch.zeros_like(x)
    for i in range(grid):
        for j in range(grid):
            patch = (..., slice(starts[0][i], ends[0][i]), slice(starts[1][j], ends[1][j]))
            weight = guide[:, :, i, j, None, None]
            y[patch] = plain_attention(block.non_local, x[patch]) * weight
    return functional.relu(block.gamma * block.conv(y) + x)


def context_block(grid: int, gain: float) -> ContextBlock:
    torch.manual_seed(0)
    block = ContextBlock(32, grid).double().eval()
    for gamma in (block.gamma, block.non_local.gamma, block.guidance.non_local.gamma):
        nn.init.constant_(gamma, gain)
    return block


@pytest.mark.parametrize("size", [(10, 10), (19, 11), (32, 32), (30, 37)])
@pytest.mark.parametrize("grid", [3, 4, 5, 6, 10])
def test_patches_together_are_patches_one_by_one(size, grid):
    block = context_block(grid, gain=0.7)
    x = torch.randn(2, 32, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = torch.cat([patch_by_patch(block, image[None]) for image in x])
        torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-12)


def test_a_fresh_block_changes_no_feature():
    x = torch.rand(1, 32, 12, 15, dtype=torch.float64)
    fresh = ContextBlock(32, 5).double()
    assert [p.item() for name, p in fresh.named_parameters() if name.endswith("gamma")] == [0, 0, 0]
    assert torch.equal(fresh(x), x)


@pytest.mark.parametrize(
    ("variant", "grids"), [("agpcnet_1", [10, 6, 5, 3]), ("agpcnet_2", [10, 6, 5, 4])]
)
def test_variants_have_the_published_grids(variant, grids):
    network = load(AGPCNet(variant=variant), SPEC, GOLDEN.state(scale=0.8))
    assert [block.grid for block in network.context.blocks] == grids
    with torch.no_grad():
        assert network(torch.rand(1, 1, 80, 84)).shape == (1, 1, 80, 84)


def test_an_unknown_variant_is_named():
    with pytest.raises(ModelError, match="variant must be one of agpcnet_1, agpcnet_2, got 'agpc"):
        build_network("agpcnet", variant="agpcnet")


def test_an_illegal_size_names_the_legal_one():
    with pytest.raises(ModelError, match=r"of 4 from 80, got 76 x 81; pad .* to 80 x 84"):
        AGPCNet()(torch.rand(1, 3, 76, 81))
