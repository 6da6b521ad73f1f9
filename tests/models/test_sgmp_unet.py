"""SGMP-UNet against its authors' numbers, and its parts against their description."""

import math
import re

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models.sgmp_unet import (
    BACKBONE_KEYS,
    BACKBONE_UNUSED_KEYS,
    SPEC,
    Expand,
    SGMPUNet,
    SkipUnit,
    SpatialGuide,
    stack_phases,
)
from tests.models.golden import deviations, features, golden, load

REFERENCE = golden("sgmp_unet")
STAGES = range(1, 5)
MODULES = {
    "feat_spatial_0": "stem",
    "feat_temporal_0": "embedding",
    **{f"feat_spatial_{i}": f"spatial.{i - 1}" for i in STAGES},
    **{f"feat_temporal_{i}": f"temporal.{i - 1}" for i in STAGES},
    **{f"feat_encoder_{i}": f"guides.{i - 1}" if i < 4 else "norm" for i in STAGES},
    **{f"feat_skip_{i - 1}": f"skips.{i - 1}" for i in STAGES},
    "feat_decoder": "decoder.3",
    "feat_head_0": "head.0",
    "feat_head_1": "head.1",
}
NOISY = {"eval_out", "aux_full"}  # float32: LayerNorm over 6 channels, heads of 2 channels


@pytest.fixture(scope="module")
def published() -> SGMPUNet:
    return load(SGMPUNet(), SPEC, REFERENCE.state())


def published_clip() -> Tensor:
    """(1, 6, 3, 256, 256); the published layout is (N, channels, frames, H, W)."""
    return REFERENCE.input((1, 3, 6, 256, 256)).transpose(1, 2)


def clip(side: int = 32, count: int = 1, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(count, 6, 3, side, side))).float()


def computed(network: SGMPUNet, image: Tensor) -> dict[str, Tensor]:
    """Our tensors under the names, and at the samples, of the golden arrays (see its README)."""
    side = network.fuse_maps.register_forward_hook(
        lambda _module, inputs, _output: found.update(maps=inputs[0])
    )
    found: dict[str, Tensor] = {}
    found |= features(network, image, MODULES)
    side.remove()
    quarter, half, full = found.pop("maps")[..., ::4, ::4].split(1, 1)
    ours = {"aux_full": full, "aux_half": half, "aux_quarter": quarter}
    ours["eval_out"] = found.pop("logits")[..., ::2, ::2]
    for name, feature in found.items():
        if "spatial" in name:
            step = feature.shape[-1] // 8
            ours[name] = feature[:, :8, ::step, ::step]
        else:
            step = feature.shape[-2] // 8
            ours[name] = feature[..., ::step, ::step, :8]
    return ours


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_tensor_is_the_published_one(published, dtype):
    ours = computed(published.to(dtype), published_clip().to(dtype))
    assert set(ours) == {name for name in REFERENCE.arrays if not name.startswith("tta_")}
    for name, tensor in ours.items():
        reference = REFERENCE.arrays[name]
        limit = 1e-4 if dtype == torch.float64 else 5e-3 if name in NOISY else 1e-3
        assert deviations(tensor, reference) <= limit, name
        if name == "eval_out" and dtype == torch.float32:
            difference = np.abs(tensor.numpy() - reference)
            assert np.percentile(difference, 99.9) <= 5e-4 * reference.std()


@pytest.mark.slow
def test_narrow_maps_and_side_outputs(published):
    """At 32 x 32 every window of the encoder is larger than its map; the maps keep their order."""
    outputs = published.double().outputs(clip().double())
    weights = published.fuse_maps.weight.flatten()
    full, half, quarter = outputs.side
    fused = weights[0] * quarter + weights[1] * half + weights[2] * full
    torch.testing.assert_close(outputs.logits, fused + published.fuse_maps.bias)
    assert all(side.shape == (1, 1, 32, 32) for side in outputs.side)


def test_parameters_and_cost_are_those_of_the_reference():
    with torch.device("meta"):
        network = SGMPUNet().eval()
        image = torch.empty(1, 6, 3, 256, 256)
    counts = {name: 0 for name, _ in network.named_children()}
    for name, parameter in network.named_parameters():
        counts[name.partition(".")[0]] += parameter.numel()
    skips, decoder = counts.pop("skips"), counts.pop("decoder")
    head = counts.pop("head") + counts.pop("maps") + counts.pop("fuse_maps")
    assert (sum(counts.values()), skips, decoder, head) == (
        54_261_094,
        5_664_672,
        6_540_258,
        31_651,
    )
    with FlopCounterMode(display=False) as counter:
        network(image)
    assert counter.get_total_flops() / 2e9 == pytest.approx(53.73, abs=0.005)
    embedding = counter.get_flop_counts()["SGMPUNet.embedding"]
    assert sum(embedding.values()) / counter.get_total_flops() < 0.0025  # see the module docstring


def test_the_frame_is_clip_position_3():
    torch.manual_seed(0)
    network, image = SGMPUNet().eval(), clip()
    changed = image.clone()
    changed[:, 3] += 1
    frames = features(network, image, {"stem": "stem"})["stem"]
    assert not torch.equal(features(network, changed, {"stem": "stem"})["stem"], frames)
    changed = image.clone()
    changed[:, [0, 1, 2, 4, 5]] += 1
    assert torch.equal(features(network, changed, {"stem": "stem"})["stem"], frames)


def test_phases_are_stacked_row_first():
    x = torch.arange(16.0).reshape(1, 4, 4, 1)
    assert stack_phases(x)[0, 0, 1].tolist() == [2, 6, 3, 7]  # (0,2), (1,2), (0,3), (1,3)
    clips = torch.rand(2, 3, 6, 4, 5)
    phases = [clips[:, :, row::2, col::2] for col in (0, 1) for row in (0, 1)]
    assert torch.equal(stack_phases(clips), torch.cat(phases, -1))


def test_expand_is_a_pixel_shuffle():
    torch.manual_seed(0)
    expand, x = Expand(12), torch.rand(2, 3, 4, 12)
    shuffled = torch.nn.functional.pixel_shuffle(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    torch.testing.assert_close(expand(x), expand.norm(expand.linear(shuffled)))


def test_the_guide_attends_with_the_frame_as_query_and_value():
    torch.manual_seed(0)
    guide = SpatialGuide(16, 8, 2).double()
    steps, frame = torch.rand(1, 3, 2, 3, 8).double(), torch.rand(1, 16, 4, 6).double()
    query = stack_phases(guide.query(frame).permute(0, 2, 3, 1))
    query = guide.query_norm(guide.query_reduction(query)).reshape(6, 8)
    weights = guide.key.weight.reshape(3, 1, 1, 1)
    key = guide.key_norm((weights * steps[0]).sum(0) + guide.key.bias).reshape(6, 8)
    packed = guide.attention.in_proj_weight.chunk(3), guide.attention.in_proj_bias.chunk(3)
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, query), *packed, strict=True))
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        scores = (q[:, part] @ k[:, part].T / 2).softmax(1)
        heads.append(scores @ v[:, part])
    added = guide.attention.out_proj(torch.cat(heads, 1)).reshape(2, 3, 8)
    torch.testing.assert_close(guide(steps, frame), guide.norm(steps + added))


def test_the_skip_unit_joins_time_before_channels():
    torch.manual_seed(0)
    unit, steps = SkipUnit(6, 5), torch.rand(1, 3, 4, 4, 6)
    x = torch.cat([steps[:, 0], steps[:, 1], steps[:, 2]], -1)
    gate, value = unit.gate_in(x).split(4, -1)
    gate = torch.nn.functional.gelu(unit.gate_conv(gate.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
    straight = torch.nn.functional.linear(x, unit.skip.weight.flatten(1), unit.skip.bias)
    torch.testing.assert_close(unit(steps), unit.gate_out(gate * value) + straight)


def test_stochastic_depth_grows_over_encoder_decoder_and_head():
    with torch.device("meta"):
        network = SGMPUNet()
    for modules, count in ((network.temporal, 12), (network.decoder, 10), (network.head, 4)):
        rates = [block.drop_rate for block in modules.modules() if hasattr(block, "drop_rate")]
        assert rates == pytest.approx([0.1 * i / (count - 1) for i in range(count)])


def test_training_is_reproducible_and_evaluation_has_no_chance():
    torch.manual_seed(0)
    network, image = SGMPUNet(drop_rate=0.5), clip(count=2)
    with torch.no_grad():
        torch.manual_seed(1)
        first = network(image)
        torch.manual_seed(1)
        assert torch.equal(network(image), first)
        assert not torch.equal(network(image), first)
        network.eval()
        assert torch.equal(network(image), network(image))


def test_initial_values_are_the_authors():
    torch.manual_seed(0)
    network = SGMPUNet()
    linear = network.temporal[3][1][0].mlp[0]
    assert linear.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert linear.bias.abs().sum() == 0
    conv = network.spatial[3][1].conv1
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (512 * 9)), rel=0.02)
    scale = network.decoder[1][0].attention.logit_scale
    assert scale.exp().flatten().tolist() == pytest.approx([10.0] * 12)
    assert network.fuse_maps.bias.item() == 0


def swin3d_names() -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's `swin3d_t` state dict, without its classifier."""
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (96, 3, 2, 4, 4),
        "norm.weight": (768,),
        "norm.bias": (768,),
        **{f"patch_embed.{end}": (96,) for end in ("proj.bias", "norm.weight", "norm.bias")},
    }
    for stage, (blocks, heads) in enumerate(((2, 3), (2, 6), (6, 12), (2, 24))):
        c = 96 * 2**stage
        if stage < 3:
            shapes[f"features.{2 * stage + 1}.reduction.weight"] = (2 * c, 4 * c)
            shapes |= {
                f"features.{2 * stage + 1}.norm.{end}": (4 * c,) for end in ("weight", "bias")
            }
        for block in range(blocks):
            own = {
                "attn.relative_position_bias_table": (2535, heads),
                "attn.relative_position_index": (392, 392),
                **{
                    f"{norm}.{end}": (c,)
                    for norm in ("norm1", "norm2")
                    for end in ("weight", "bias")
                },
            }
            layers = {
                "attn.qkv": (3 * c, c),
                "attn.proj": (c, c),
                "mlp.0": (4 * c, c),
                "mlp.3": (c, 4 * c),
            }
            for layer, shape in layers.items():
                own |= {f"{layer}.weight": shape, f"{layer}.bias": shape[:1]}
            shapes |= {f"features.{2 * stage}.{block}.{name}": shape for name, shape in own.items()}
    return shapes | {"head.weight": (400, 768), "head.bias": (400,)}


def test_backbone_keys_cover_the_video_swin():
    with torch.device("meta"):
        network = SGMPUNet()
    own = {name: tuple(value.shape) for name, value in network.named_parameters()}
    mapped = {}
    for name, shape in swin3d_names().items():
        if any(re.match(pattern, name) for pattern in BACKBONE_UNUSED_KEYS):
            continue
        for pattern, replacement in BACKBONE_KEYS:
            name = re.sub(pattern, replacement, name)
        mapped[name] = shape
    parts = ("embedding.", "temporal.", "norm.")
    assert mapped == {name: shape for name, shape in own.items() if name.startswith(parts)}
    classifier = 400 * 768 + 400
    assert sum(map(math.prod, mapped.values())) + classifier == 28_158_070


def test_the_backbone_is_swin_and_resnet():
    with torch.device("meta"):
        names = [name for name, _ in SGMPUNet().named_parameters()]
    rest = {name.partition(".")[0] for name in names if not name.startswith(SPEC.backbone)}
    assert rest == {"guides", "skips", "decoder", "head", "maps", "fuse_maps"}


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 5, 3, 32, 32), r"\(N, T, C, H, W\) with T = 6 and C = 1 or 3, got shape \(1, 5, 3"),
        ((1, 3, 6, 32, 32), r"got shape \(1, 3, 6, 32, 32\)"),
        ((1, 6, 3, 48, 64), r"multiples of 32, got 48 x 64; .* 64 x 64"),
    ],
)
def test_a_wrong_clip_is_refused(shape, message):
    with torch.device("meta"), pytest.raises(ModelError, match=message):
        SGMPUNet()(torch.empty(shape))


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_wrong_drop_rate_is_named(rate):
    with pytest.raises(ModelError, match=rf"drop_rate must lie in \[0, 1\), got {rate}"):
        SGMPUNet(drop_rate=rate)
