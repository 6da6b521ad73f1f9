"""Shared blocks: shapes, formulas written plainly, starting weights."""

import math

import pytest
import torch

from irstd.models import layers


def doubled(module):
    torch.manual_seed(0)
    return module.double().eval()


def test_a_residual_block_adds_the_input_where_the_shape_stays():
    block = doubled(layers.ResidualBlock(4, 4))
    x = torch.randn(2, 4, 6, 7, dtype=torch.float64)
    inner = block.norm2(block.conv2(torch.relu(block.norm1(block.conv1(x)))))
    torch.testing.assert_close(block(x), torch.relu(inner + x))


@pytest.mark.parametrize(("channels", "stride"), [(4, 2), (6, 1), (6, 2)])
def test_a_residual_block_projects_where_the_shape_changes(channels, stride):
    block = doubled(layers.ResidualBlock(4, channels, stride))
    x = torch.randn(1, 4, 7, 10, dtype=torch.float64)
    assert block(x).shape == (1, channels, math.ceil(7 / stride), math.ceil(10 / stride))
    block.norm2.weight.data.zero_()  # the convolutions contribute nothing
    projection, norm = block.shortcut
    torch.testing.assert_close(block(x), torch.relu(norm(projection(x))))


def test_only_the_first_block_of_a_stage_has_the_stride():
    blocks = layers.stage(16, 32, 3, stride=2)
    assert [block.conv1.stride[0] for block in blocks] == [2, 1, 1]
    assert blocks(torch.rand(1, 16, 8, 12)).shape == (1, 32, 4, 6)


def test_stems_keep_or_quarter_the_size():
    image = torch.rand(2, 3, 16, 32)
    assert layers.full_stem(3, 16)(image).shape == (2, 16, 16, 32)
    assert layers.strided_stem(3, 16)(image).shape == (2, 16, 4, 8)


def test_the_full_stem_normalises_without_gain_and_shift():
    norm = layers.full_stem(3, 16)[0]
    assert norm.weight is None
    assert norm.bias is None


def test_a_global_gate_weights_channels_and_a_local_one_pixels():
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    whole, local = (doubled(gate(8, 2)) for gate in (layers.global_gate, layers.local_gate))
    assert whole(x).shape == (2, 8, 1, 1)
    assert local(x).shape == x.shape
    mean = x.mean((2, 3), keepdim=True)
    torch.testing.assert_close(whole(x), whole[1:](mean))
    pixel = local(x[:, :, 2:3, 4:5])
    torch.testing.assert_close(local(x)[:, :, 2:3, 4:5], pixel)


def test_fusion_crosses_the_weights():
    fusion = doubled(layers.AsymmetricFusion(8))
    deep, shallow = torch.randn(2, 1, 8, 6, 7, dtype=torch.float64)
    t, u = fusion.topdown(deep), fusion.bottomup(shallow)
    torch.testing.assert_close(
        fusion(deep, shallow), fusion.post(2 * shallow * t + 2 * deep * u), rtol=1e-12, atol=1e-12
    )


def test_the_head_narrows_to_a_quarter():
    head = layers.fcn_head(16)
    assert head[0].out_channels == 4
    assert head(torch.rand(2, 16, 5, 6)).shape == (2, 1, 5, 6)


def test_doubling_doubles():
    assert layers.doubling(4, 2)(torch.rand(1, 4, 5, 6)).shape == (1, 2, 10, 12)


def test_starting_weights_have_the_variance_of_msra_prelu():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(64, 32, 3), layers.doubling(32, 64))
    layers.initialise_msra_prelu(network)
    for module, area in zip(network, (9, 16), strict=True):
        fan = (64 + 32) / 2 * area  # mean of fan in and fan out
        expected = math.sqrt(2 / (1 + 0.25**2) / fan)
        assert module.weight.std().item() == pytest.approx(expected, rel=0.03)
        assert module.bias.abs().max() == 0


def test_a_gate_on_one_image_asks_for_a_larger_batch_in_training():
    gate = layers.global_gate(8, 2).train()
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        gate(torch.rand(1, 8, 4, 4))
    assert gate(torch.rand(2, 8, 4, 4)).shape == (2, 8, 1, 1)
