"""The three ALCNets against what published code computed, their counts and the paper's formula."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models import alcnet
from tests.models.golden import deviations, feature_deviations, features, golden, load

SPECS = {spec.name: spec for spec in (alcnet.SPEC, alcnet.SPEC_BILOCAL, alcnet.SPEC_FPN)}
SCALE = 0.7  # of the weights, so that activations stay in range
BODY = {part: part for part in ("stem", "layer1", "layer2", "layer3")}
NARROWED = {
    "in_dec_c3": "contrast3",
    "dec_c3": "narrow3",
    "in_dec_c2": "contrast2",
    "dec_c2": "narrow2",
}
# Published names of what golden files hold, and ours.
PARTS = {
    "alcnet": BODY | NARROWED | {"bottomuplocal_fpn_2": "fuse2", "bottomuplocal_fpn_1": "fuse1"},
    "alcnet_bilocal": BODY
    | NARROWED
    | {f"fuse_mpcm_c{level}": f"contrast{level}" for level in (1, 2, 3)}
    | {"biglobal_fpn_2": "fuse2", "biglobal_fpn_1": "fuse1"},
    "alcnet_fpn": BODY
    | {part: part for part in ("deconv2", "fuse23", "deconv1", "fuse12", "deconv0")},
}
# The published code of the first two interpolates with float32 weights even in float64.
LIMITS = {"alcnet": 1e-4, "alcnet_bilocal": 1e-4, "alcnet_fpn": 1e-5}
FLOAT32_LIMIT = 1e-3
# Parameters, G MACs at 256 x 256 and at 1280 x 1024.
COUNTS = {
    "alcnet": (372_573, 3.611, 72.210),
    "alcnet_bilocal": (384_877, 3.669, 73.385),
    "alcnet_fpn": (426_961, 0.295, 5.902),
}


def published(name, dtype=torch.float64):
    spec, reference = SPECS[name], golden(name)
    network = load(spec.build().to(dtype), spec, reference.state(scale=SCALE))
    return network, reference.input((1, spec.in_channels, 256, 256)).to(dtype), reference.arrays


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", SPECS)
def test_golden(name, dtype):
    network, image, arrays = published(name, dtype)
    ours = features(network, image, PARTS[name] | {"head": "head"})
    logits, head = ours.pop("logits"), ours.pop("head")
    output = logits.sigmoid() if name == "alcnet_fpn" else logits
    found = {"eval_out": deviations(output[..., ::2, ::2], arrays["eval_out"])}
    if name == "alcnet_fpn":
        found["head_logits"] = deviations(head[..., ::2, ::2], arrays["head_logits"])
    found |= feature_deviations(ours, arrays)
    assert set(found) == set(arrays)
    limit = LIMITS[name] if dtype == torch.float64 else FLOAT32_LIMIT
    assert max(found.values()) <= limit, found


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_and_cost_are_the_published_ones(name):
    spec, (parameters, small, large) = SPECS[name], COUNTS[name]
    with torch.device("meta"):
        network = spec.build().eval()
    assert sum(p.numel() for p in network.parameters()) == parameters
    for size, cost in (((256, 256), small), ((1024, 1280), large)):
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, spec.in_channels, *size, device="meta"))
        assert counter.get_total_flops() / 2e9 == pytest.approx(cost, abs=6e-4)


def contrast_at(image, y, x, shift):
    """The definition of P_s, one pixel at a time."""
    height, width = image.shape

    def value(dy, dx):
        return image[(y + dy) % height, (x + dx) % width] - image[y, x]

    s = shift
    pairs = [(-s, -s), (-s, 0), (-s, s), (0, s)]
    return min(value(dy, dx) * value(-dy, -dx) for dy, dx in pairs)


@pytest.mark.parametrize("size", [(40, 37), (18, 17), (13, 9), (4, 5), (2, 1)])
def test_local_contrast_is_its_definition_at_every_size(size):
    image = torch.randn(1, 2, *size, dtype=torch.float64)
    near, far = alcnet.local_contrast(image)
    for shift, contrast in ((13, near), (17, far)):
        expected = [
            [[contrast_at(channel, y, x, shift) for x in range(size[1])] for y in range(size[0])]
            for channel in image[0].numpy()
        ]
        torch.testing.assert_close(contrast[0], torch.tensor(np.array(expected)))


@pytest.mark.parametrize("size", [(40, 50), (7, 3)])
def test_cyclic_padding_goes_around(size):
    x = torch.arange(size[0] * size[1]).reshape(1, 1, *size).float()
    padded = alcnet.pad_cyclically(x, 17)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (17, 17), (17, 17)), mode="wrap")
    assert np.array_equal(padded.numpy(), expected)


def test_a_bright_spot_stands_out_and_a_ramp_does_not():
    spot = torch.zeros(1, 1, 64, 64)
    spot[..., 30:33, 30:33] = 2
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    contrast = alcnet.LargestContrast()
    assert contrast(spot)[..., 31, 31].item() == 4
    assert (contrast(ramp)[..., 17:-17, 17:-17] <= 0).all()  # negative values pass on


@pytest.mark.parametrize("name", ["alcnet", "alcnet_bilocal"])
def test_opposite_borders_are_neighbours(name):
    """Built into the network: a cyclic shift of its whole input shifts the contrast with it."""
    contrast = published(name)[0].contrast1
    x = torch.randn(1, 16, 40, 48, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(
            contrast(x.roll((7, 9), (2, 3))), contrast(x).roll((7, 9), (2, 3))
        )


@pytest.mark.parametrize("name", SPECS)
def test_fused_equals_unfused(name):
    network, image, _ = published(name)
    image = image[..., :64, :96]
    with torch.no_grad():
        assert deviations(network.fuse()(image), network(image)) < 1e-10


@pytest.mark.parametrize("name", SPECS)
def test_a_gradient_reaches_every_parameter(name):
    network, image, _ = published(name)
    network(image[..., :32, :48]).sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (50, 71)])
@pytest.mark.parametrize("name", ["alcnet", "alcnet_bilocal"])
def test_any_size_from_16_is_legal_in_every_mode(name, size):
    network = SPECS[name].build(blocks=1)
    for mode in (True, False):
        logits = network.train(mode)(torch.rand(2, 1, *size))
        assert logits.shape == (2, 1, *size)
        assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("alcnet", (15, 40), "any size from 16, got 15 x 40; pad or .* to 16 x 40"),
        ("alcnet_bilocal", (40, 8), "any size from 16, got 40 x 8; pad or .* to 40 x 16"),
        ("alcnet_fpn", (50, 64), "multiples of 16, got 50 x 64; pad or .* to 64 x 64"),
    ],
)
def test_an_illegal_size_names_the_legal_one(name, size, message):
    with pytest.raises(ModelError, match=f"{name}: .*{message}"):
        SPECS[name].build()(torch.rand(1, 1, *size))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"blocks": 0}, "blocks must be at least 1 per stage, got 0"),
    ],
)
def test_wrong_arguments_are_named(name, arguments, message):
    with pytest.raises(ModelError, match=f"{name}: {message}"):
        SPECS[name].build(**arguments)


def test_entries_that_are_never_run_have_no_place():
    assert not any("uplayer" in key for key in alcnet.ALCNetFPN().state_dict())
    assert any("uplayer" in key for key in golden("alcnet_fpn").inventory)
