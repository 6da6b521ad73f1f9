"""DNANet against its authors' code, its published counts, and its triangle along diagonals."""

import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models import build_network
from irstd.models.dnanet import SPEC, DNANet
from irstd.models.layers import ChannelAttention, SpatialAttention
from tests.models.golden import corner, deviations, features, golden, load, statistics

GOLDEN = golden("dnanet")
LIMITS = {torch.float64: 1e-5, torch.float32: 1e-3}
NODES = ("0_0", "1_0", "0_1", "2_0", "1_1", "3_0", "4_0", "3_1", "2_2", "1_3", "0_4")
FEATURES = {  # published module: ours
    **{f"conv{node}": f"nodes.{node}" for node in NODES},
    "conv0_4_final": "fusion",
}


def published() -> DNANet:
    return load(DNANet(), SPEC, GOLDEN.state(scale=0.9))


@pytest.mark.parametrize("dtype", LIMITS)
def test_golden(dtype):
    network, image = published().to(dtype), GOLDEN.input((1, 3, 256, 256)).to(dtype)
    sides = {f"train_out_{i}": f"nodes.0_{i + 1}" for i in range(3)}
    ours = features(network, image, FEATURES | sides)
    expected = {"eval_out": ours["logits"][..., ::2, ::2]}
    with torch.no_grad():
        for head, name in zip(network.side_heads, sides, strict=True):
            expected[name] = head(ours[name])[..., ::4, ::4]
    for name in FEATURES:
        expected[f"feat_{name}"] = corner(ours[name])
        expected[f"stat_{name}"] = statistics(ours[name])
    assert expected.keys() == GOLDEN.arrays.keys()
    for name, array in GOLDEN.arrays.items():
        assert deviations(expected[name], array) < LIMITS[dtype], name


@pytest.mark.parametrize(("channels", "parameters"), [(3, 4_696_888), (1, 4_696_568)])
def test_published_parameters(channels, parameters):
    with torch.device("meta"):
        network = DNANet(in_channels=channels)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize(("size", "giga_macs"), [((256, 256), 13.930), ((1024, 1280), 278.601)])
def test_published_cost_with_all_heads(size, giga_macs):
    with torch.device("meta"):
        network, image = DNANet().eval(), torch.empty(1, 3, *size)
    with FlopCounterMode(display=False) as counter:
        network.outputs(image)
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga_macs, abs=1e-3)


def along_diagonals(network: DNANet, image: Tensor) -> list[Tensor]:
    """The four outputs as the paper computes them, every node kept."""

    def resize(x: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)

    nodes: dict[tuple[int, int], Tensor] = {}
    for diagonal in range(5):
        for j in range(diagonal + 1):
            i = diagonal - j
            if j == 0:
                x = functional.max_pool2d(nodes[i - 1, 0], 2) if i else image
            else:
                own = [nodes[i, column] for column in range(j)]
                others = [nodes[i + 1, j - 1]] + ([nodes[i - 1, j]] if i else [])
                x = torch.cat([*own, *(resize(other, own[0]) for other in others)], 1)
            nodes[i, j] = network.nodes[f"{i}_{j}"](x)
    last = [network.narrow[str(i)](nodes[i, 4 - i]) for i in (4, 3, 2, 1)]
    fused = network.fusion(torch.cat([*(resize(x, image) for x in last), nodes[0, 4]], 1))
    sides = [head(nodes[0, j + 1]) for j, head in enumerate(network.side_heads)]
    return [*sides, network.head(fused)]


def test_columns_give_what_diagonals_give():
    network, image = published().double(), GOLDEN.input((2, 3, 32, 48)).double()
    with torch.no_grad():
        outputs, expected = network.outputs(image), along_diagonals(network, image)
        logits = network(image)
    assert torch.equal(logits, outputs.logits)
    for ours, theirs in zip((*outputs.side, logits), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_nodes_are_freed_as_soon_as_no_one_needs_them():
    """Before the last node only those it is made of are alive; before the fusion none."""
    network, alive = published(), {}
    made: dict[str, weakref.ref[Tensor]] = {}

    def watch(stage: str) -> None:
        alive[stage] = {name for name, node in made.items() if node() is not None}

    for name, node in network.nodes.items():
        node.register_forward_hook(
            lambda _module, _inputs, output, name=name: made.update({name: weakref.ref(output)})
        )
    network.nodes["0_4"].register_forward_pre_hook(lambda *_: watch("last node"))
    network.fusion.register_forward_pre_hook(lambda *_: watch("fusion"))
    with torch.no_grad():
        network(torch.zeros(1, 3, 16, 16))
    assert alive == {"last node": {"0_0", "0_1", "0_2", "0_3", "1_3"}, "fusion": {"0_4"}}


def test_channel_attention_adds_what_mean_and_maximum_say():
    attention, x = ChannelAttention(32).double(), torch.rand(2, 32, 5, 7, dtype=torch.float64)

    def weigh(pooled: Tensor) -> Tensor:
        return attention.expand(functional.relu(attention.reduce(pooled)))

    total = weigh(functional.adaptive_avg_pool2d(x, 1)) + weigh(
        functional.adaptive_max_pool2d(x, 1)
    )
    torch.testing.assert_close(attention(x), total.sigmoid(), rtol=1e-12, atol=0)


def test_spatial_attention_sees_the_mean_first():
    attention, x = SpatialAttention(), torch.rand(1, 4, 5, 7)
    nn.init.zeros_(attention.conv.weight)
    with torch.no_grad():
        attention.conv.weight[0, 0, 3, 3] = 1
    torch.testing.assert_close(attention(x), x.mean(1, keepdim=True).sigmoid())


@pytest.mark.parametrize("widths", ["one", "two", "four"])
@pytest.mark.parametrize("blocks", ["resnet_10", "resnet_34"])
def test_other_configurations(widths, blocks):
    network = build_network("dnanet", widths=widths, blocks=blocks, in_channels=1).eval()
    depth = {"resnet_10": [1, 1, 1, 1, 1], "resnet_34": [1, 3, 4, 6, 3]}[blocks]
    assert [len(network.nodes[f"{row}_0"]) for row in range(5)] == depth
    top = {"one": 4, "two": 8, "four": 32}[widths]
    assert network.nodes["4_0"][-1].conv2.out_channels == 16 * top
    with torch.no_grad():
        outputs = network.outputs(torch.rand(1, 1, 16, 32))
    assert [x.shape for x in (outputs.logits, *outputs.side)] == 4 * [(1, 1, 16, 32)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": "five"}, "widths must be one of one, two, three, four, got 'five'"),
        ({"blocks": "vgg_10"}, "blocks must be one of resnet_10, resnet_18, resnet_34, got"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ModelError, match=message):
        build_network("dnanet", **arguments)


def test_an_illegal_size_names_the_legal_one():
    with pytest.raises(ModelError, match=r"multiples of 16, got 40 x 32; pad .* to 48 x 32"):
        DNANet()(torch.rand(1, 3, 40, 32))
