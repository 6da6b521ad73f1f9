"""MTU-Net against its authors' numbers, and its transformers against their description."""

import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models.mtunet import SPEC, LevelTransformer, MTUNet
from tests.models.golden import deviations, features, golden, load, statistics

REFERENCE = golden("mtunet")
ATTENTION = "vit5.transformer.layer_blocks.0.multi_head_attention"
MODULES = {
    **{f"conv{level}_0": f"encoder.{level}" for level in range(5)},
    **{f"vit{number}": f"mvtm.{number - 2}" for number in range(2, 6)},
    "vit5.projection": "mvtm.3.project",
    ATTENTION: "mvtm.3.attention",
    "conv3_1_1": "bridge",
    "conv3_1": "decoder.0",
    "conv2_2": "decoder.1",
    "conv1_3": "decoder.2",
    "conv0_4": "decoder.3",
}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return REFERENCE.state(scale=0.7)


def transformer(**arguments: object) -> LevelTransformer:
    """The transformer of x3 (128 channels, patch 2), random positions and class token."""
    torch.manual_seed(0)
    network = MTUNet(**arguments)
    return network.mvtm[0].double().eval()


def sample(name: str, feature: Tensor) -> Tensor:
    """What the golden file keeps of a feature (see its README)."""
    if not name.startswith("vit"):
        return feature[:, :8:2, :32:2, :32:2]
    tokens = feature if feature.ndim == 3 else feature.flatten(2).transpose(1, 2)
    return tokens[:, :64, ::4]


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-5), (torch.float32, 1e-3)])
def test_every_tensor_is_the_published_one(state, dtype, limit):
    network = load(MTUNet(), SPEC, state).to(dtype)
    found = features(network, REFERENCE.input((1, 3, 256, 256)).to(dtype), MODULES)
    arrays = REFERENCE.arrays
    assert deviations(found.pop("logits")[..., ::2, ::2], arrays["eval_out"]) < limit
    for name, feature in found.items():
        assert deviations(sample(name, feature), arrays[f"feat_{name}"]) < limit, name
        mean, deviation, lowest, highest = arrays[f"stat_{name}"]
        error = (statistics(feature) - torch.from_numpy(arrays[f"stat_{name}"])).abs().max()
        assert error < limit * deviation, name
        assert lowest <= mean <= highest


@pytest.mark.slow
def test_the_published_size_gives_the_published_logits(state):
    network = load(MTUNet(), SPEC, state)
    with torch.no_grad():
        logits = network(REFERENCE.input((1, 3, 1024, 1024)))
    assert deviations(logits[..., ::16, ::16], REFERENCE.arrays["eval_out_1024_s16"]) < 1e-3
    crop = logits[..., 480:544, 480:544]
    assert deviations(crop, REFERENCE.arrays["eval_out_1024_crop"]) < 1e-3


def test_tokens_of_the_published_form_lie_on_a_lattice():
    level = torch.rand(1, 128, 6, 8)
    tokens = transformer()._sample(level, 3, 4)
    for y in range(3):
        for x in range(4):
            lattice = level[0, :, y::3, x::4]  # (c, p, p)
            assert torch.equal(tokens[0, 4 * y + x], lattice.permute(1, 2, 0).flatten())


def test_tokens_of_the_corrected_form_are_patches():
    level = torch.rand(1, 128, 6, 8, dtype=torch.float64)
    block = transformer(form="corrected")
    kernel = block.project.weight.reshape(64, 2, 2, 128).permute(0, 3, 1, 2)
    convolved = F.conv2d(level, kernel, block.project.bias, stride=2)
    projected = block.project(block._sample(level, 3, 4))
    torch.testing.assert_close(projected, convolved.flatten(2).transpose(1, 2))


@pytest.mark.parametrize(("form", "scale"), [("published", 32.0), ("corrected", 0.125)])
def test_attention_is_its_formula(form, scale):
    attention = transformer(form=form).attention
    tokens = torch.randn(2, 5, 64, dtype=torch.float64)
    mixed = tokens @ attention.qkv.weight.T
    query, key, value = mixed[..., 0::3], mixed[..., 1::3], mixed[..., 2::3]
    weights = (scale * query @ key.transpose(1, 2)).softmax(-1)
    expected = weights @ value @ attention.project.weight.T
    torch.testing.assert_close(attention(tokens), expected)


def test_attention_is_in_float32_under_autocast():
    attention = transformer().attention.float()
    tokens = torch.randn(1, 5, 64).bfloat16()
    with torch.no_grad():
        expected = attention(tokens.float())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = attention(tokens)
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)


def test_positions_are_the_first_rows_of_the_table():
    block = transformer()
    assert torch.equal(block._positions(3, 4), block.positions[:13])


def test_interpolated_positions_follow_the_grid():
    block = transformer(interpolate_positions=True)
    torch.testing.assert_close(block._positions(64, 64), block.positions, rtol=0, atol=0)
    grid = block.positions[1:].reshape(32, 2, 32, 2, 64).mean((1, 3)).flatten(0, 1)
    torch.testing.assert_close(block._positions(32, 32)[1:], grid)
    assert torch.equal(block._positions(32, 32)[0], block.positions[0])


def test_interpolation_lifts_the_limit():
    image = torch.zeros(1, 1, 1040, 1024)
    with pytest.raises(ModelError, match="with at most 1048576 pixels, got 1040 x 1024; resize or"):
        MTUNet()(image)
    assert MTUNet(interpolate_positions=True).sizes.is_legal(1024, 1280)
    assert transformer(interpolate_positions=True)._positions(64, 80).shape == (5121, 64)


def test_unused_entries_are_those_that_are_never_run():
    unused = {
        name.split(".")[0]
        for name in REFERENCE.inventory
        if any(re.match(pattern, name) for pattern in SPEC.unused_keys)
    }
    assert unused == {"vit1", "conv0_0_0", "head"}


@pytest.mark.parametrize(("side", "giga"), [(256, 6.150), (1024, 106.42)])
def test_parameters_and_cost(side, giga):
    with torch.device("meta"):
        network, image = MTUNet().eval(), torch.empty(1, 3, side, side)
    assert sum(p.numel() for p in network.parameters()) == 12_750_610 - 3_479_552 - 180 - 589
    with FlopCounterMode(display=False) as counter:
        network(image)
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, rel=2e-4)


def test_wrong_arguments_are_named():
    with pytest.raises(ModelError, match="form must be published or corrected, got 'fixed'"):
        MTUNet(form="fixed")
