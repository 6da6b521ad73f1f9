"""Both ACM networks against what the published code computed, and against its counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models import acm
from tests.models.golden import deviations, feature_deviations, features, golden, load

SPECS = {spec.name: spec for spec in (acm.SPEC, acm.SPEC_FULL)}
PARTS = (
    "stem",
    "layer1",
    "layer2",
    "layer3",
    "deconv2",
    "fuse2",
    "uplayer2",
    "deconv1",
    "fuse1",
    "uplayer1",
)
SCALE = 0.7  # of the weights, so that activations stay in range
LIMITS = {torch.float64: 1e-5, torch.float32: 1e-3}
# (network, channels): parameters, G MACs at 256 x 256 and at 1280 x 1024.
COUNTS = {
    ("acm", 1): (397_823, 0.343, 6.866),
    ("acm", 3): (397_971, 0.346, 6.913),
    ("acm_full", 3): (516_869, 6.559, 131.182),
}


def published(name, dtype=torch.float64):
    spec, reference = SPECS[name], golden(name)
    network = load(spec.build().to(dtype), spec, reference.state(scale=SCALE))
    return network, reference.input((1, spec.in_channels, 256, 256)).to(dtype), reference.arrays


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", SPECS)
def test_golden(name, dtype):
    network, image, arrays = published(name, dtype)
    ours = features(network, image, {part: part for part in (*PARTS, "head")})
    logits, head = ours.pop("logits"), ours.pop("head")
    output = logits.sigmoid() if name == "acm" else logits
    found = {"eval_out": deviations(output[..., ::2, ::2], arrays["eval_out"])}
    if name == "acm":
        found["head_logits"] = deviations(head, arrays["head_logits"])
    found |= feature_deviations(ours, arrays)
    assert set(found) == set(arrays)
    assert max(found.values()) <= LIMITS[dtype], found


@pytest.mark.parametrize(("name", "channels"), COUNTS)
def test_parameters_and_cost_are_the_published_ones(name, channels):
    parameters, small, large = COUNTS[name, channels]
    with torch.device("meta"):
        network = SPECS[name].build(in_channels=channels).eval()
    assert sum(p.numel() for p in network.parameters()) == parameters
    for size, cost in (((256, 256), small), ((1024, 1280), large)):
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, channels, *size, device="meta"))
        assert counter.get_total_flops() / 2e9 == pytest.approx(cost, abs=6e-4)


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


@pytest.mark.parametrize(("name", "size"), [("acm", (16, 48)), ("acm_full", (4, 20))])
def test_logits_have_the_size_of_the_image_in_every_mode(name, size):
    network = SPECS[name].build()
    for mode in (True, False):
        assert network.train(mode)(torch.rand(2, 1, *size)).shape == (2, 1, *size)


def test_the_full_network_repeats_a_single_channel():
    network, image, _ = published("acm_full")
    grey = image[:, :1, :32, :32]
    with torch.no_grad():
        torch.testing.assert_close(network(grey), network(grey.repeat(1, 3, 1, 1)))


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


@pytest.mark.parametrize(("name", "multiple"), [("acm", 16), ("acm_full", 4)])
def test_an_illegal_size_names_the_legal_one(name, multiple):
    message = rf"{name}: .*multiples of {multiple}, got 50 x 64; pad or .* to \d+ x 64"
    with pytest.raises(ModelError, match=message):
        SPECS[name].build()(torch.rand(1, 1, 50, 64))


def test_blocks_deepen_every_stage():
    network = acm.ACM(blocks=1)
    stages = (network.layer1, network.layer2, network.layer3, network.uplayer2, network.uplayer1)
    assert [len(stage) for stage in stages] == [1] * 5
