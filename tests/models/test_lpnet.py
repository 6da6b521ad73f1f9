"""LPNet against its authors' numbers, and one pass over all patches against the loop over them."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.lpnet_loop import looped
from irstd.errors import ModelError
from irstd.models.fusing import foldable_norms
from irstd.models.lpnet import CLAMP, SPEC, LPNet
from irstd.types import Outputs
from tests.models.filled import spread
from tests.models.golden import deviations, golden, load

REFERENCE = golden("lpnet")
BORDER = [(1, 1), (1, 5), (2, 2), (4, 1), (14, 14)]  # positions of the golden border patches
SMALL = {"patch": 12, "stride": 4}
PRECISIONS = [(torch.float64, 1e-5), (torch.float32, 5e-3)]


def published(dtype: torch.dtype = torch.float64, **arguments: object) -> LPNet:
    return load(LPNet(**arguments), SPEC, spread(REFERENCE.state())).to(dtype)


def image(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return REFERENCE.input(shape, kind="unit").to(dtype)


def check_against_golden(prefix: str, outputs: Outputs, limit: float) -> None:
    ours = {
        "out": outputs.logits.sigmoid()[..., ::2, ::2],
        "patches": outputs.patches.sigmoid().flatten(2)[:, ::3, ::3],
        "attn": outputs.attention[..., ::2, ::2],
    }
    for name, values in ours.items():
        assert deviations(values, REFERENCE.arrays[f"{prefix}_{name}"]) < limit, name


@pytest.mark.parametrize(("dtype", "limit"), PRECISIONS)
def test_running_statistics_give_the_published_tensors(dtype, limit):
    network = published(dtype)
    seen = {}
    network.gfe.register_forward_hook(lambda _module, _inputs, output: seen.update(gfm=output))
    network.lfe.register_forward_hook(
        lambda _module, _inputs, output: seen.setdefault("patches", []).append(output)
    )
    with torch.no_grad():
        outputs = network.outputs(image(1, 1, 120, 120, dtype=dtype))
    check_against_golden("eval", outputs, limit)
    assert deviations(seen["gfm"][..., ::4, ::4], REFERENCE.arrays["eval_gfm"]) < limit
    patches = torch.cat(seen["patches"]).sigmoid().reshape(14, 14, 30, 30)
    border = torch.stack([patches[row - 1, col - 1] for row, col in BORDER])
    assert deviations(border[None], REFERENCE.arrays["eval_border_patches"]) < limit


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "limit"), PRECISIONS)
def test_own_statistics_give_the_published_tensors(dtype, limit):
    network = published(dtype, norm_statistics="own")
    with torch.no_grad():
        outputs = network.outputs(image(1, 1, 120, 120, dtype=dtype))
    check_against_golden("bnbatch", outputs, limit)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "limit"), PRECISIONS)
def test_training_mode_gives_the_published_tensors_and_running_statistics(dtype, limit):
    network = published(dtype).train()
    with torch.no_grad():
        outputs = network.outputs(image(1, 1, 120, 120, dtype=dtype))
    check_against_golden("bnbatch", outputs, limit)
    norm = network.lfe.branches[1].norm
    assert norm.num_batches_tracked == 256
    arrays = REFERENCE.arrays
    assert deviations(norm.running_mean, arrays["bnbatch_running_mean_k3"]) < limit
    assert deviations(norm.running_var, arrays["bnbatch_running_var_k3"]) < limit


def as_looped(outputs: Outputs) -> tuple[Tensor, ...]:
    return outputs.logits.sigmoid(), outputs.patches.sigmoid(), outputs.attention


def assert_equals_loop(ours: tuple[Tensor, ...], loop: tuple[Tensor, ...]) -> None:
    for got, expected in zip(ours, loop, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=2 * CLAMP)
    torch.testing.assert_close(ours[1:], loop[1:], rtol=1e-9, atol=1e-12)  # these aren't clamped


@pytest.mark.parametrize(
    ("arguments", "size"),
    [({}, (30, 30)), (SMALL, (12, 20)), (SMALL | {"stride": 3, "chunk": 7}, (18, 12))],
)
def test_one_pass_equals_the_loop(arguments, size):
    network = published(**arguments)
    batch = image(2, 1, *size)
    with torch.no_grad():
        assert_equals_loop(as_looped(network.outputs(batch)), looped(network, batch))


def test_own_statistics_equal_the_loop_in_training_mode_image_by_image():
    network = published(norm_statistics="own", chunk=5, **SMALL)
    trained = published(**SMALL).train()
    batch = image(2, 1, 12, 20)
    with torch.no_grad():
        parts = zip(*(looped(trained, one[None]) for one in batch), strict=True)
        loop = tuple(torch.cat(part) for part in parts)
        assert_equals_loop(as_looped(network.outputs(batch)), loop)


def test_training_equals_the_loop_in_outputs_gradients_and_running_statistics():
    network, other = published(**SMALL).train(), published(**SMALL).train()
    batch = image(2, 1, 16, 20)
    ours, loop = as_looped(network.outputs(batch)), looped(other, batch)
    assert_equals_loop(ours, loop)
    for _, patches, attention in (ours, loop):
        (patches.square().mean() + attention.square().sum()).backward()
    for (name, got), expected in zip(network.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(got.grad, expected.grad, rtol=1e-6, atol=1e-10, msg=name)
    for (name, got), expected in zip(network.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12, msg=name)


def test_frozen_norms_use_their_running_statistics_while_the_network_trains():
    network, other = published(**SMALL).train(), published(**SMALL).eval()
    for norm in network.lfe.norms:
        norm.eval()
    before = {name: buffer.clone() for name, buffer in network.lfe.named_buffers()}
    attended = image(2, 8, 16, 20)
    ours, expected = network._patch_logits(attended), other._patch_logits(attended)
    for got, value in zip(ours, expected, strict=True):
        torch.testing.assert_close(got, value, rtol=1e-9, atol=1e-12)
    ours[1].sum().backward()
    assert network.lfe.enlarge.conv.weight.grad.abs().sum() > 0
    for name, buffer in network.lfe.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_patches_across_the_border_are_recomputed_for_a_loss_on_the_map_only():
    network = published(torch.float32, **SMALL).train()
    batches = []
    network.lfe.enlarge.register_forward_pre_hook(
        lambda _module, inputs: batches.append(len(inputs[0]))
    )
    outputs = network.outputs(image(1, 1, 12, 12, dtype=torch.float32))
    forward = [1, 24, 1]  # inside, across the border, one of padding
    outputs.patches.sum().backward(retain_graph=True)
    assert batches == forward
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    outputs.logits.sum().backward()
    assert batches == [*forward, 24]
    assert buffers["lfe.enlarge.norm.num_batches_tracked"] == 49
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


def test_a_loss_on_the_map_has_the_gradients_of_the_formula():
    """The loop copies the map to the host; here it keeps its gradients, so they are compared."""
    network, other = published(**SMALL).train(), published(**SMALL).train()
    batch, weight = image(2, 1, 12, 16), image(2, 1, 12, 16)
    (network.mean_probability(batch) * weight).sum().backward()
    features = other.gfe(batch)
    padded = F.pad(features * other.attn(features), (8,) * 4)
    total = torch.zeros_like(padded[:, :1])
    for row in range(0, 12 + 8, 4):
        for col in range(0, 16 + 8, 4):
            patch = other.lfe(padded[..., row : row + 12, col : col + 12]).sigmoid()
            total = total + F.pad(patch, (col, 32 - 12 - col, row, 28 - 12 - row))
    (total[..., 8:-8, 8:-8] / 9 * weight).sum().backward()
    for (name, got), expected in zip(network.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(got.grad, expected.grad, rtol=1e-6, atol=1e-9, msg=name)


def test_passes_hold_no_more_patches_than_the_chunk():
    network = published(torch.float32, chunk=10, **SMALL)
    batches = []
    network.lfe.register_forward_pre_hook(lambda _module, inputs: batches.append(len(inputs[0])))
    with torch.no_grad():
        network(image(2, 1, 12, 16, dtype=torch.float32))
    assert batches == [10] * 6  # 2 images, 5 x 6 patches


def test_logits_are_those_of_the_map_between_minimum_and_maximum():
    network = published(**SMALL)
    batch = image(2, 1, 12, 16)
    with torch.no_grad():
        mean, logits = network.mean_probability(batch), network(batch)
    assert mean.min() >= 0
    assert mean.max() <= 1
    for one, found in zip(mean, logits, strict=True):
        scaled = (one - one.min()) / (one.max() - one.min())
        torch.testing.assert_close(found.sigmoid(), scaled, rtol=0, atol=2 * CLAMP)
        assert found.max() == pytest.approx(16.118, abs=1e-3)
        assert found.min() == pytest.approx(-16.118, abs=1e-3)


def test_a_constant_map_has_probability_zero():
    network = published(**SMALL)
    torch.nn.init.zeros_(network.lfe.classify.weight)
    with torch.no_grad():
        logits = network(image(1, 1, 12, 12))
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, CLAMP))


def test_logits_stay_finite_in_half_precision():
    network = published(torch.float32, **SMALL)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(image(1, 1, 12, 12, dtype=torch.float32))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_own_statistics_are_not_folded_and_not_exported():
    network = published(torch.float32, norm_statistics="own", **SMALL)
    batch = image(1, 1, 12, 12, dtype=torch.float32)
    assert foldable_norms(network, network.example()) == []
    with torch.no_grad():
        torch.testing.assert_close(network.fuse()(batch), network(batch))
    with pytest.raises(ModelError, match="only running statistics export to ONNX"):
        torch.export.export(network, (batch,))


def test_all_batch_norms_fold():
    fused = published(**SMALL).fuse()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fused.modules())


def test_parameters_and_cost():
    """Of the README's table: 120 x 120, where 196 of 256 patches touch the image."""
    with torch.device("meta"):
        network, batch = LPNet().eval(), torch.empty(1, 1, 120, 120)
    parts = {"gfe": 419_168, "attn": 477_784, "lfe": 28_156}
    for name, count in parts.items():
        assert sum(p.numel() for p in network.get_submodule(name).parameters()) == count
    assert sum(p.numel() for p in network.parameters()) == 925_108
    with FlopCounterMode(display=False, depth=2) as counter:
        network(batch)
    giga = {name: sum(counts.values()) / 2e9 for name, counts in counter.get_flop_counts().items()}
    assert giga["LPNet.gfe"] == pytest.approx(5.990, abs=5e-4)
    assert giga["LPNet.attn"] == pytest.approx(6.825, abs=5e-4)
    assert giga["LPNet.lfe"] == pytest.approx(196 * 0.08641, abs=1e-3)
    assert giga["Global"] == pytest.approx(29.75, abs=5e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch": 25}, "patch must be a multiple of stride, at least twice it, got patch 25"),
        ({"stride": 30}, "at least twice it, got patch 30 and stride 30"),
        ({"stride": 0}, "stride 0"),
        ({"chunk": 0}, "chunk must be at least 1 patch, got 0"),
        ({"norm_statistics": "batch"}, "norm_statistics must be running or own, got 'batch'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ModelError, match=message):
        LPNet(**arguments)


def test_sizes_follow_patch_and_stride():
    with pytest.raises(
        ModelError, match=r"multiples of 10 from 30, got 256 x 256; pad .* 260 x 260"
    ):
        LPNet()(torch.zeros(1, 1, 256, 256))
    with pytest.raises(ModelError, match="multiples of 5 from 20, got 15 x 20"):
        LPNet(patch=20, stride=5)(torch.zeros(1, 1, 15, 20))
