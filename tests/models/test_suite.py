"""What every network of the registry must do, each at its smallest useful legal size."""

import re
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from irstd.errors import ModelError
from irstd.export.onnx import export_onnx, fixed_facts
from irstd.export.parity import check, compare, parity_cases, parity_sizes
from irstd.inference.backends import OnnxBackend, TorchBackend
from irstd.inference.preprocess import Preprocessing
from irstd.inference.weights import ModelFacts, load_model, save_model
from irstd.losses import SoftIoU, bce
from irstd.models import NETWORKS, Network, NetworkSpec, build_network
from irstd.models.fusing import foldable_norms
from irstd.types import Outputs
from tests.models.filled import SMALL, filled

NAMES = list(NETWORKS)
NEAR, SIDE = 30, 32
"""The smallest legal side is taken, or SIDE where that is below NEAR, too little to see much."""
SIZES = [(2, 2), (3, 5), (4, 3)]  # of `export.sizes`
BATCH_NOISE = 1e-3
"""Deviations by which float32 results of other batch sizes may differ: other kernels, other sums.

The float32 limit of most golden READMEs; what mixes images of a batch changes whole deviations.
"""
slow = pytest.mark.slow


def size(spec: NetworkSpec) -> tuple[int, int]:
    side = spec.sizes.smallest if spec.sizes.smallest >= NEAR else SIDE
    found = spec.sizes.enclosing(side, side)
    assert found is not None
    return found


def images(
    spec: NetworkSpec,
    shape: tuple[int, int],
    count: int = 1,
    channels: int | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Tensor:
    clip = () if spec.frames == 1 else (spec.frames,)
    pixels = np.random.default_rng(seed).normal(
        0.0, 0.5, (count, *clip, channels or spec.in_channels, *shape)
    )
    return torch.from_numpy(pixels).to(dtype)


def compared(spec: NetworkSpec, logits: Tensor) -> Tensor:
    return logits.sigmoid() if spec.compare == "probability" else logits


def deviations(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).abs().max() / expected.std())


def all_outputs(outputs: Outputs) -> list[Tensor]:
    further = (outputs.grid, outputs.patches, outputs.attention)
    return [outputs.logits, *outputs.side, *(item for item in further if item is not None)]


@pytest.fixture(params=NAMES)
def spec(request: pytest.FixtureRequest) -> NetworkSpec:
    return NETWORKS[request.param]


def test_names_are_those_of_the_specs():
    assert {name: spec.name for name, spec in NETWORKS.items()} == {name: name for name in NAMES}
    assert len(NAMES) == 14
    for spec in NETWORKS.values():
        assert not spec.variant_of or spec.variant_of in NETWORKS
        assert {"height", "width"} <= set(spec.dynamic_axes) or spec.fixed_reason
        assert spec.parity <= 1e-3 or spec.parity_reason


@pytest.mark.parametrize("training", [False, True])
def test_logits_have_the_size_of_the_image(spec, training):
    network = filled(spec.name).train(training)
    shapes = {size(spec)}
    if spec.sizes.maximum is None:
        wider = spec.sizes.enclosing(size(spec)[0], size(spec)[1] + 1)
        shapes |= {wider, wider[::-1]}  # not square
    for shape, channels in product(shapes, {1, spec.in_channels}):
        with torch.no_grad():
            batch = images(spec, shape, 2, channels)
            outputs = network.outputs(batch)
        assert outputs.logits.shape == (2, 1, *shape)
        for side in outputs.side:
            assert side.shape == (2, 1, *shape)
        assert all(bool(item.isfinite().all()) for item in all_outputs(outputs))


def test_a_single_channel_stands_for_three(spec):
    if spec.in_channels == 1:
        pytest.skip("published for one channel")
    network, grey = filled(spec.name), images(spec, size(spec), channels=1)
    with torch.no_grad():
        torch.testing.assert_close(network(grey), network(grey.expand(network_shape(spec, grey))))


def network_shape(spec: NetworkSpec, grey: Tensor) -> tuple[int, ...]:
    return (*grey.shape[:-3], spec.in_channels, *grey.shape[-2:])


def test_forward_gives_the_logits_of_the_outputs(spec):
    network = filled(spec.name)
    batch = images(spec, size(spec))
    with torch.no_grad():
        torch.testing.assert_close(network(batch), network.outputs(batch).logits)


def illegal_sizes(spec: NetworkSpec) -> list[tuple[int, int]]:
    rows, cols = size(spec)
    candidates = [
        (rows + 1, cols),
        (rows, cols + 1),
        (spec.sizes.smallest - 1, cols),
        (rows, 2**14),
    ]
    return [shape for shape in candidates if min(shape) > 0 and not spec.sizes.is_legal(*shape)]


def test_illegal_sizes_channels_and_axes_are_refused(spec):
    network = build_network(spec.name)
    for shape in illegal_sizes(spec):
        with pytest.raises(ModelError, match=f"{spec.name}: height and width must be"):
            network(images(spec, shape))
    with pytest.raises(ModelError, match=f"{spec.name}: expected an input"):
        network(images(spec, size(spec), channels=spec.in_channels + 1))
    with pytest.raises(ModelError, match=f"{spec.name}: expected an input"):
        network(images(spec, size(spec))[0])


def test_arguments_are_checked(spec):
    with pytest.raises(ModelError, match=f"{spec.name}: in_channels must be at least 1, got 0"):
        build_network(spec.name, in_channels=0)
    with pytest.raises(ModelError, match=f"{spec.name}: .*wings"):
        build_network(spec.name, wings=2)


NO_GRADIENT = {
    # At the smallest size the finest patches are single pixels, which attend to themselves alone.
    "agpcnet": r"context\.blocks\.0\.non_local\.(query|key)\.(weight|bias)",
    # Shifts all asked tokens alike, which the softmax over them cancels.
    "mpcnet": r"gsfm[12]\.(low|high)_query\.activation\.norm\.bias",
    # The same for keys; and the deepest map of the smallest image has a single token.
    "sgmp_unet": r"guides\.\d\.key(_norm)?\.bias|guides\.3\.key(_norm)?\.weight",
}
"""Parameters that change nothing by the network's own definition."""


def test_a_gradient_reaches_every_trainable_parameter(spec):
    """In evaluation mode: a plain sum of what batch norm just centred has no gradient."""
    network = filled(spec.name)
    outputs = network.outputs(images(spec, size(spec), 2))
    torch.stack([item.double().sum() for item in all_outputs(outputs)]).sum().backward()
    exempt = NO_GRADIENT.get(spec.name, "-")
    trainable = {name: item for name, item in network.named_parameters() if item.requires_grad}
    assert all(item.grad is not None for item in trainable.values())
    unmoved = [name for name, item in trainable.items() if not item.grad.any()]
    assert [name for name in unmoved if not re.fullmatch(exempt, name)] == []
    assert all(bool(item.grad.isfinite().all()) for item in trainable.values())


def test_fused_equals_unfused_and_leaves_no_foldable_norm(spec):
    network = filled(spec.name).double()
    fused = network.fuse()
    batch = images(spec, size(spec), dtype=torch.float64, seed=1)
    with torch.no_grad():
        got, expected = (all_outputs(item.outputs(batch)) for item in (fused, network))
    assert deviations(compared(spec, got[0]), compared(spec, expected[0])) <= 1e-4
    for ours, theirs in zip(got[1:], expected[1:], strict=True):
        assert deviations(ours, theirs) <= 1e-4
    assert not fused.training
    assert foldable_norms(fused, fused.example()) == []
    assert len(foldable_norms(network, network.example())) > 0


def test_images_of_a_batch_do_not_mix(spec):
    network, batch = filled(spec.name), images(spec, size(spec), 3)
    with torch.no_grad():
        together = compared(spec, network(batch))
        alone = torch.cat([compared(spec, network(image[None])) for image in batch])
    assert deviations(together, alone) <= max(BATCH_NOISE, spec.parity)


def test_weights_survive_their_file(spec, tmp_path):
    network = filled(spec.name)
    facts = ModelFacts(
        spec.name, SMALL.get(spec.name, {}), Preprocessing.of(spec, spec.in_channels), 0.5, {}
    )
    save_model(tmp_path / "model.safetensors", network, facts)
    again, read = load_model(tmp_path / "model.safetensors")
    assert read == facts
    batch = images(spec, size(spec))
    with torch.no_grad():
        assert torch.equal(again(batch), network(batch))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="half precision runs on a GPU only")
def test_half_precision_runs_on_a_gpu(spec):
    """Mixed precision, as training uses it."""
    network = filled(spec.name).cuda()
    batch = images(spec, size(spec)).cuda()
    with torch.no_grad(), torch.autocast("cuda", dtype=torch.float16):
        assert bool(network(batch).isfinite().all())


@slow
def test_onnx_gives_what_torch_gives(spec):
    """Three sizes other than the traced one where axes are free, the one size where not."""
    network = filled(spec.name)
    facts = ModelFacts(
        spec.name, SMALL.get(spec.name, {}), Preprocessing.of(spec, spec.in_channels), 0.5, {}
    )
    facts = fixed_facts(spec, facts, None if spec.fit == "stretch" else size(spec))
    model = export_onnx(network.fuse(), spec, facts).SerializeToString()
    torch_side, onnx_side = TorchBackend(network, "cpu"), OnnxBackend(model, f"{spec.name}.onnx")
    sizes = parity_sizes(spec, facts, SIZES)
    assert len(sizes) == (3 if {"height", "width"} <= set(spec.dynamic_axes) else 1)
    still = np.random.default_rng(3).integers(0, 256, (50, 60), dtype=np.uint8)
    for case in parity_cases(spec, facts, sizes, [still], seed=5):
        found = compare(torch_side, onnx_side, case, 0.5, 1e-3, spec.compare)
        check(found, spec.parity)


RATES = {"lpnet": 1e-2, "mtunet": 1e-2, "pqgnet": 3e-3, "rdian": 1e-2, "sgmp_unet": 1e-3}
"""Largest learning rate where 0.03 is not the one that works."""


def overfit(network: Network, spec: NetworkSpec, steps: int = 200) -> float:
    """IoU on one image after at most so many steps of training.

    The batch holds the image twice: in training mode batch norm of a 1 x 1 map needs two values.
    """
    shape = size(spec)
    rows, cols = torch.meshgrid(*(torch.arange(float(side)) for side in shape), indexing="ij")
    distance = (rows - shape[0] / 2 + 0.5) ** 2 + (cols - shape[1] / 2 - 0.5) ** 2
    mask = (distance <= 16).float().expand(2, 1, *shape)
    batch = 0.1 * images(spec, shape) + 2.0 * mask[0]
    batch = torch.cat([batch, batch])
    optimiser = torch.optim.Adam(network.parameters())
    rate = RATES.get(spec.name, 3e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    network.train()
    best = 0.0
    for _ in range(steps):
        outputs = network.outputs(batch)
        found, target = outputs.logits > 0, mask > 0
        best = float((found & target).sum() / (found | target).sum())
        if best > 0.9:
            break
        optimiser.zero_grad()
        loss = SoftIoU("image", 1.0)(outputs.logits, mask) + bce(outputs.logits, mask)
        loss.backward()
        optimiser.step()
        schedule.step()
    return best


@slow
def test_it_overfits_one_image(spec):
    torch.manual_seed(0)
    assert overfit(build_network(spec.name, **SMALL.get(spec.name, {})), spec) > 0.9
