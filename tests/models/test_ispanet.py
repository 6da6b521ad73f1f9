"""ISPANet against Table VII and XII of its paper, and against its own description."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models import build_network
from irstd.models.ispanet import ReceptiveFieldAttention

# (variant, width, channels): parameters, G in the convention of Table VII, at 1280 x 1024.
PUBLISHED = {("B", 64, 3): (13.62e6, 114.15)}
EXPECTED = {
    ("B", 64, 3): (13_615_921, 114.151),
    ("B", 64, 1): (13_614_769, 113.774),
    ("B", 32, 3): (12_766_137, 94.47),
    ("B", 16, 3): (12_545_293, 89.46),
    ("A", 16, 3): (12_510_525, 89.13),
    ("A", 32, 3): (12_629_017, 93.19),
    ("A", 64, 3): (13_071_345, 109.08),
    ("A", 128, 3): (14_777_377, 171.94),
}


def on_meta(variant: str, width: int, channels: int) -> tuple[nn.Module, Tensor]:
    with torch.device("meta"):
        network = build_network("ispanet", in_channels=channels, width=width, variant=variant)
        return network.eval(), torch.empty(1, channels, 1024, 1280)


def table_vii_count(network: nn.Module, image: Tensor) -> float:
    """The count behind Table VII: modules alone, 4 per normalised element."""
    total = 0

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            kernel = math.prod(module.kernel_size)
            total += output.numel() * module.in_channels // module.groups * kernel
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            total += 4 * output.numel()

    hooks = [module.register_forward_hook(add) for module in network.modules()]
    network(image)
    for hook in hooks:
        hook.remove()
    return total / 1e9


@pytest.mark.parametrize(("variant", "width", "channels"), EXPECTED)
def test_parameters_and_cost_are_those_of_the_tables(variant, width, channels):
    network, image = on_meta(variant, width, channels)
    parameters, cost = EXPECTED[variant, width, channels]
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert table_vii_count(network, image) == pytest.approx(cost, abs=0.005)


def test_table_vii_to_the_printed_digits():
    network, image = on_meta("B", 64, 3)
    parameters, cost = PUBLISHED["B", 64, 3]
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(parameters, rel=5e-4)
    assert round(table_vii_count(network, image), 2) == cost


def test_true_cost_at_1280_x_1024():
    """101.43 G in convolutions and projections; the attention products add 1.70 G.

    On the meta device attention is decomposed, so the counter sees its two products; on a CPU the
    counter has no entry for the fused kernel and stops at 101.43 G.
    """
    network, image = on_meta("B", 64, 3)
    with FlopCounterMode(display=False) as counter:
        network(image)
    flops = counter.get_flop_counts()["Global"]
    attention = sum(count for name, count in flops.items() if "bmm" in str(name)) / 2e9
    assert attention == pytest.approx(1.695, abs=0.001)
    assert counter.get_total_flops() / 2e9 - attention == pytest.approx(101.43, abs=0.005)


@pytest.mark.parametrize("variant", ["A", "B", "C", "D"])
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
def test_logits_have_the_size_of_the_image(variant, size):
    network = build_network("ispanet", width=16, variant=variant).eval()
    logits = network(torch.rand(2, 1, *size))
    assert logits.shape == (2, 1, *size)
    assert logits.isfinite().all()


@pytest.mark.parametrize("variant", ["A", "B", "C", "D"])
@pytest.mark.parametrize("topdown", ["R", "P"])
def test_a_gradient_reaches_every_parameter(variant, topdown):
    torch.manual_seed(0)
    network = build_network("ispanet", width=16, variant=variant, topdown=topdown)
    network(torch.rand(2, 1, 64, 64)).square().sum().backward()
    # A bias in front of a batch norm, or added to all keys of a softmax, has gradient zero.
    free = ("mff.top.0.bias", "key.bias", "up.bias")
    for name, parameter in network.named_parameters():
        if not name.endswith(free):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_a_batch_gives_what_single_images_give():
    torch.manual_seed(0)
    network = build_network("ispanet", width=16).eval()
    images = torch.rand(3, 1, 64, 96)
    single = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), single, rtol=1e-4, atol=1e-5)


def test_the_head_starts_at_the_target_prior():
    bias = build_network("ispanet").head[-1].bias
    assert bias.item() == pytest.approx(-4.59511985013459)
    assert torch.sigmoid(bias).item() == pytest.approx(0.01)
    assert build_network("ispanet", variant="D").head[-1].bias.item() == 0


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_attention_stays_inside_its_cell(level):
    torch.manual_seed(0)
    attention = ReceptiveFieldAttention(level, 16).double().eval()
    side = 16 * attention.grid
    x = torch.rand(1, 16, side, side, dtype=torch.float64)
    changed = x.clone()
    changed[..., :16, :16] += 1
    differs = (attention(changed) - attention(x)).abs().sum(1)[0] > 1e-12
    assert differs[:16, :16].all()
    assert not differs[16:].any()
    assert not differs[:, 16:].any()


def test_keys_of_padding_do_not_take_part():
    """18 rows at level 4 become two cells of 10; the lower one ends with a row of padded keys."""
    torch.manual_seed(0)
    attention = ReceptiveFieldAttention(4, 16).double().eval()
    x = torch.rand(1, 16, 18, 20, dtype=torch.float64)
    cell = functional.pad(x, (0, 0, 0, 2))[0, :, 10:, :10].permute(1, 2, 0)  # (10, 10, 16)
    tokens = attention.norm(cell)
    keys = attention.reduce(tokens.permute(2, 0, 1)[None])[0].permute(1, 2, 0)[:4]  # of 5 rows
    keys = attention.reduce_norm(keys).reshape(20, 16)
    scores = attention.query(tokens).reshape(100, 16) @ attention.key(keys).T / 4
    mixed = attention.project(scores.softmax(1) @ attention.value(keys)).reshape(10, 10, 16)
    expected = cell + mixed
    expected = expected + attention.mlp(attention.mlp_norm(expected))
    got = attention(x)[0, :, 10:, :10].permute(1, 2, 0)
    torch.testing.assert_close(got, expected[:8], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 24}, "multiple of 16"),
        ({"variant": "E"}, "variant must be A, B, C or D"),
        ({"topdown": "Q"}, "topdown must be R"),
        ({"in_channels": 0}, "in_channels must be at least 1"),
        ({"depth": 3}, "depth"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ModelError, match=message):
        build_network("ispanet", **arguments)


def test_an_illegal_size_names_the_legal_one():
    with pytest.raises(ModelError, match=r"multiples of 32, got 50 x 64; pad or .* to 64 x 64"):
        build_network("ispanet", width=16)(torch.rand(1, 1, 50, 64))


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(ModelError, match=r"unknown network 'unet'; choose one of: acm, .*ispanet"):
        build_network("unet")
