"""PQGNet against its authors' numbers, and each shortcut against the formula as published."""

import math
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models.pqgnet import (
    SPEC,
    BatchNorm,
    GuidedGates,
    HybridDown,
    PQGNet,
    QueryGuidance,
    TokenAttention,
)
from tests.models.golden import deviations, features, golden, load

REFERENCE = golden("pqgnet")
LEVELS = range(1, 6)


@pytest.fixture(scope="module")
def published() -> PQGNet:
    return load(PQGNet(), SPEC, REFERENCE.state())


@pytest.fixture(scope="module")
def image() -> Tensor:
    return REFERENCE.input((1, 1, 256, 256), kind="unit")


def computed(network: PQGNet, image: Tensor) -> dict[str, Tensor]:
    """Our tensors under the names, and at the samples, of the golden arrays (see its README)."""
    modules = {f"token{level}": f"pfcm.embeddings.{level - 1}" for level in LEVELS}
    modules |= {f"feat_enc{level}": f"encoder.{level - 1}" for level in LEVELS}
    modules |= {f"feat_pqgm{level}": f"pqgm.{level - 1}" for level in LEVELS}
    modules |= {f"feat_dec{level}": f"decoder.{4 - level}.block" for level in LEVELS[:-1]}
    modules |= {"feat_pfcm_features": "pfcm", "feat_tokens_out": "pfcm.attention"}
    found = features(network, image, modules)
    tokens = torch.cat([found.pop(f"token{level}") for level in LEVELS], 1)
    ours = {"feat_tokens_in": tokens[:, ::16], "feat_tokens_out": found.pop("feat_tokens_out")}
    ours["feat_tokens_out"] = ours["feat_tokens_out"][:, ::16]
    ours["eval_out"] = found.pop("logits")[..., ::2, ::2]
    for name, feature in found.items():
        step = feature.shape[-1] // 16
        ours[name] = feature[:, ::4, ::step, ::step]
    with torch.no_grad():
        outputs = network.outputs(image)
    for index, step in enumerate((8, 4, 2, 2)):
        ours[f"train_out_{index}"] = outputs.side[index][..., ::step, ::step]
    return ours | {"pqsm_out": outputs.grid}


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 2e-5), (torch.float32, 1e-3)])
def test_every_tensor_is_the_published_one(published, image, dtype, limit):
    ours = computed(published.to(dtype), image.to(dtype))
    assert ours.keys() == REFERENCE.arrays.keys()
    for name, reference in REFERENCE.arrays.items():
        assert deviations(ours[name], reference) < limit, name


def test_the_derived_entries_alone_are_unused():
    for name, entry in REFERENCE.inventory.items():
        unused = any(re.match(pattern, name) for pattern in SPEC.unused_keys)
        assert unused == entry["derived"], name


def test_parameters_and_cost():
    """The published 9.974 G, with and without what the shortcuts save."""
    with torch.device("meta"):
        network, image = PQGNet().eval(), torch.empty(1, 1, 256, 256)
    assert sum(p.numel() for p in network.parameters()) == 1_190_034
    with FlopCounterMode(display=False, depth=3) as counter:
        network.outputs(image)
    by_module = counter.get_flop_counts()
    wavelets = ("HybridDown.low", "EnhancedUp.high", "EnhancedUp.synthesis")
    haar = sum(sum(by_module[name].values()) for name in wavelets) / 2
    pixels = sum(256**2 // 4**level for level in range(5))
    unmerged = 32**2 * pixels - 5 * 32**3  # project_out on every pixel instead of on A
    all_bands = 3 * 16 * 32 * (pixels - 16**2) / 4  # 16 per cell: 4 encoders, 4 decoders twice
    published = counter.get_total_flops() / 2 - haar + all_bands + unmerged
    assert published / 1e9 == pytest.approx(9.974, abs=0.0005)
    assert counter.get_total_flops() / 2e9 == pytest.approx(9.874, abs=0.0005)


def test_outputs_are_logits_of_the_stated_shapes(published, image):
    published.float()
    with torch.no_grad():
        outputs = published.outputs(image)
        assert torch.equal(outputs.logits, published(image))
    assert [x.shape for x in (outputs.logits, *outputs.side)] == [(1, 1, 256, 256)] * 5
    assert outputs.grid.shape == (1, 1, 16, 16)
    for auxiliary, cell in zip(outputs.side, (8, 4, 2, 1), strict=True):
        coarse = auxiliary[..., ::cell, ::cell]
        repeated = coarse.repeat_interleave(cell, -1).repeat_interleave(cell, -2)
        assert torch.equal(auxiliary, repeated)


def in_double(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return build().double()


def random(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def test_token_attention_as_published():
    """Products over sqrt(T), one instance norm per T x T matrix, softmax, values."""
    attention = in_double(lambda: TokenAttention(8))
    x = random(2, 8, 4, 6)
    centred = x - x.mean(1, keepdim=True)
    y = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    roles = (attention.query, attention.key, attention.value)
    query, key, value = (role(y).flatten(2).transpose(1, 2) for role in roles)  # (N, T, C)
    query, key = (role / role.norm(dim=2, keepdim=True) for role in (query, key))
    products = query @ key.transpose(1, 2) / math.sqrt(24)
    weights = nn.InstanceNorm2d(1)(products[:, None])[:, 0].softmax(-1)
    mixed = (weights @ value).transpose(1, 2).reshape(2, 8, 4, 6)
    expected = x + attention.project(mixed)
    torch.testing.assert_close(attention(x), expected, rtol=1e-10, atol=1e-12)


def test_query_guidance_as_published():
    """The projection after the values, not merged with the attention matrix."""
    guidance = in_double(lambda: QueryGuidance(4))
    skip, perceived = random(2, 32, 24, 16), random(2, 32, 6, 4)
    query = guidance.query(functional.adaptive_avg_pool2d(skip, (6, 4))).flatten(2)
    key, value = guidance.key(perceived).flatten(2), guidance.value(skip)
    query, key = (role / role.norm(dim=2, keepdim=True) for role in (query, key))
    weights = (query @ key.transpose(1, 2) / math.sqrt(32)).softmax(-1)
    mixed = (weights @ value.flatten(2)).reshape(value.shape)
    expected = skip + guidance.project(mixed)
    torch.testing.assert_close(guidance(skip, perceived), expected, rtol=1e-10, atol=1e-12)


def test_gates_as_published():
    """Statistics interleaved by channel, each channel's three mixed by its own three weights."""
    gates = in_double(GuidedGates)
    x, high = random(1, 32, 6, 5), random(1, 32, 3, 6, 5)
    hidden = []
    for channel in range(32):
        plane, first = x[0, channel].flatten(), gates.channel[0]
        deviation = (plane - plane.mean()).square().sum().div(29).sqrt()
        values = torch.stack([plane.mean(), plane.max(), deviation])
        hidden.append(first.weight[channel].flatten() @ values + first.bias[channel])
    second = gates.channel[2]
    mixed = second.weight.flatten(1) @ torch.stack(hidden).relu() + second.bias
    expected = x * mixed.sigmoid()[None, :, None, None] + x
    places = torch.stack([expected.mean(1), expected.amax(1)], 1)
    place = gates.spatial[0](places).sigmoid()
    coarse, enhanced = gates(x, high)
    torch.testing.assert_close(coarse, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(enhanced, high * place[:, :, None] + high, rtol=1e-10, atol=1e-12)


def test_the_low_band_of_haar_is_twice_the_mean():
    x = random(1, 32, 8, 12)
    low = HybridDown("haar").double().low(x)[:, :, 0]
    torch.testing.assert_close(low, 2 * functional.avg_pool2d(x, 2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wavelet", ["db2", "bior2.2"])
def test_another_wavelet_uses_the_same_weights(published, image, wavelet):
    network = PQGNet(wavelet=wavelet).eval()
    network.load_state_dict(published.float().state_dict())
    with torch.no_grad():
        logits, haar = network(image), published(image)
    assert logits.shape == haar.shape
    assert logits.isfinite().all()
    assert deviations(logits, haar) > 0.01


def test_constant_planes_give_the_gates_finite_gradients():
    """A standard deviation of zero has no slope of its own."""
    gates = in_double(GuidedGates)
    x = torch.ones(1, 32, 4, 4, dtype=torch.float64, requires_grad=True)
    coarse, enhanced = gates(x, random(1, 32, 3, 4, 4))
    (coarse.sum() + enhanced.sum()).backward()
    assert x.grad.isfinite().all()
    assert x.grad.any()


def test_a_black_batch_gives_finite_gradients_before_the_first_step():
    """Published norms multiply the gradient by 316 in each of the 31 on the way: infinity."""
    torch.manual_seed(0)
    network = PQGNet().train()
    outputs = network.outputs(torch.zeros(1, 1, 256, 256))
    maps = (outputs.logits, *outputs.side, outputs.grid)
    sum((x - 1).square().mean() for x in maps).backward()
    norms = {key: p.grad.norm().item() for key, p in network.named_parameters()}
    assert all(norm < 100 for norm in norms.values()), norms
    assert norms["head.bias"] > 0
    assert norms["decoder.3.block.body.4.bias"] > 0


def test_a_batch_norm_changes_the_gradient_of_constant_channels_alone():
    norm, published = BatchNorm(3).double(), nn.BatchNorm2d(3).double()
    x = random(2, 3, 4, 5)
    x[:, 1] = 0.5
    weights, gradients = random(2, 3, 4, 5), []
    for module in (norm, published):
        leaf = x.clone().requires_grad_()
        y = module(leaf)
        (y * weights).sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(norm(x), published(x))
    assert torch.equal(norm.running_var, published.running_var)
    assert torch.equal(gradients[0][:, [0, 2]], gradients[1][:, [0, 2]])
    assert not gradients[0][:, 1].any()
    assert gradients[1][:, 1].any()


def test_convolutions_start_as_the_published_trainer_starts_them():
    torch.manual_seed(0)
    network = PQGNet()
    wide, grouped = network.encoder[0].body[0], network.pfcm.attention[0].query[1]
    assert wide.weight.std().item() == pytest.approx(math.sqrt(2 / (25 * 32)), rel=0.02)
    assert grouped.weight.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.05)
    assert not wide.bias.any()


@pytest.mark.parametrize("size", [(128, 512), (512, 512), (250, 256), (128, 128)])
def test_another_size_is_refused(size):
    with pytest.raises(ModelError, match=f"must be 256 x 256, got {size[0]} x {size[1]}; "):
        PQGNet()(torch.zeros(1, 1, *size))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wavelet": "mexh"}, "wavelet must be a discrete wavelet of PyWavelets.*got 'mexh'"),
        ({"in_channels": 0}, "pqgnet: in_channels must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ModelError, match=message):
        PQGNet(**arguments)
