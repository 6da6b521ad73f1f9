"""RDIAN against its authors' code, its published counts, and its filters written as kernels."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models.fusing import foldable_norms
from irstd.models.rdian import RDIAN, SPEC, direction_attention, direction_contrasts
from tests.models.golden import corner, deviations, features, golden, load, statistics

GOLDEN = golden("rdian")
LIMITS = {torch.float64: 1e-5, torch.float32: 1e-3}
FEATURES = {  # published module: ours
    "conv1": "stem",
    "conv2": "reduce",
    **{f"residual_block{i}": f"branches.{i}" for i in range(4)},
    "conv_cat": "merge",
    "cbam.ChannelGate": "channel_gate",
    "cbam": "spatial_gate",
    "conv_res": "shortcut",
}
NEIGHBOURS = ((-2, -2), (-2, 0), (-2, 2), (0, 2), (2, 2), (2, 0), (2, -2), (0, -2))  # d11..d18


def published(dtype: torch.dtype = torch.float64) -> RDIAN:
    return load(RDIAN(), SPEC, GOLDEN.state()).to(dtype)


@pytest.mark.parametrize("dtype", LIMITS)
def test_golden(dtype):
    image = GOLDEN.input((1, 1, 256, 256)).to(dtype)
    ours = features(published(dtype), image, FEATURES)
    ours["d11"] = direction_contrasts(image)[:, :1]
    assert deviations(ours.pop("logits")[..., ::2, ::2], GOLDEN.arrays["eval_out"]) < LIMITS[dtype]
    for name, feature in ours.items():
        expected = GOLDEN.arrays[f"feat_{name}"]
        assert deviations(corner(feature)[..., ::2, ::2], expected) < LIMITS[dtype], name
        assert deviations(statistics(feature), GOLDEN.arrays[f"stat_{name}"]) < LIMITS[dtype], name


@pytest.mark.parametrize(
    ("size", "giga_macs"), [((256, 256), 3.690 - 0.013), ((1024, 1280), 73.810 - 0.262)]
)
def test_published_counts_without_the_fixed_filters(size, giga_macs):
    with torch.device("meta"):
        network, image = RDIAN().eval(), torch.empty(1, 1, *size)
    assert sum(p.numel() for p in network.parameters()) == 216_558
    with FlopCounterMode(display=False) as counter:
        network(image)
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga_macs, abs=1e-3)


def test_direction_filters_are_the_published_kernels():
    image = GOLDEN.input((2, 1, 17, 20)).double()
    kernels = torch.zeros(8, 1, 5, 5, dtype=torch.float64)
    kernels[:, :, 2, 2] = 1
    for kernel, (row, col) in zip(kernels, NEIGHBOURS, strict=True):
        kernel[0, 2 + row, 2 + col] = -1
    contrasts = functional.conv2d(image, kernels, padding=2)
    torch.testing.assert_close(direction_contrasts(image), contrasts, rtol=0, atol=1e-14)
    opposite = sum(contrasts[:, i] * contrasts[:, i + 4] for i in range(4))
    torch.testing.assert_close(direction_attention(image)[:, 0], torch.sigmoid(opposite))


def test_a_bright_point_is_attended_to():
    image = torch.zeros(1, 1, 15, 15)
    image[..., 7, 7] = 2
    attention = direction_attention(image)[0, 0]
    assert attention.argmax() == 7 * 15 + 7
    assert attention[0, 0] == 0.5


def test_equal_channels_give_the_attention_of_one():
    image = GOLDEN.input((1, 1, 12, 9)).double()
    attention = direction_attention(image.repeat(1, 3, 1, 1))
    torch.testing.assert_close(attention, direction_attention(image))
    network = RDIAN(in_channels=3).double().eval()
    torch.testing.assert_close(network(image), network(image.repeat(1, 3, 1, 1)))


def test_every_norm_folds_into_the_convolution_before_it():
    network = published()
    fused = network.fuse()
    assert len(foldable_norms(network, network.example())) == 20
    assert not foldable_norms(fused, fused.example())
    assert not [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    image = GOLDEN.input((1, 1, 45, 64)).double()
    with torch.no_grad():
        assert deviations(fused(image), network(image)) < 1e-10


@pytest.mark.parametrize("size", [(3, 3), (9, 16), (33, 21)])
def test_any_size_from_three_works(size):
    network = RDIAN().train()
    assert network(torch.rand(1, 1, *size)).shape == (1, 1, *size)


def test_weights_start_as_the_authors_train():
    torch.manual_seed(0)
    network = RDIAN()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    shifts = torch.cat([norm.bias for norm in norms])
    gains = torch.cat([norm.weight for norm in norms])
    assert shifts.std().item() == pytest.approx(1, rel=0.1)
    assert gains.mean().item() == pytest.approx(1, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.2)
    assert network.get_parameter("merge.0.weight").std().item() == pytest.approx(0.02, rel=0.05)


def test_the_fixed_filters_of_a_checkpoint_are_passed_over():
    kernels = {f"d1{i}.weight": torch.zeros(1, 1, 5, 5) for i in range(1, 9)}
    network = load(RDIAN(), SPEC, GOLDEN.state() | kernels)
    assert torch.equal(network.get_parameter("stem.0.weight"), GOLDEN.state()["conv1.0.weight"])


def test_errors():
    with pytest.raises(ModelError, match=r"in_channels must be at least 1, got 0"):
        RDIAN(in_channels=0)
    with pytest.raises(ModelError, match=r"any size from 3, got 2 x 8; pad or .* to 3 x 8"):
        RDIAN()(torch.rand(1, 1, 2, 8))
    with pytest.raises(ModelError, match=r"C = 1, got shape \(1, 2, 8, 8\)"):
        RDIAN()(torch.rand(1, 2, 8, 8))
