"""MPCNet against its authors' code, its published counts, and its formulas written plainly."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from irstd.errors import ModelError
from irstd.models.fusing import foldable_norms
from irstd.models.mpcnet import FPD, GSFM, SPEC, CoordinateAttention, MPCNet, attention
from tests.models.golden import deviations, features, golden, load

GOLDEN = golden("mpcnet")
LIMITS = {torch.float64: (2e-5, 2e-5), torch.float32: (2e-3, 5e-4)}  # outputs, features
FEATURES = {  # published module: ours, row and column stride, channel stride
    "Backbone_1": ("backbone1", 32, 1),
    "MPM_1": ("mpm1", 32, 1),
    "SCFM_1": ("scfm1", 32, 1),
    "Backbone_2": ("backbone2", 16, 2),
    "GSFM_1": ("gsfm1", 16, 2),
    "MPM_2": ("mpm2", 16, 2),
    "SCFM_2": ("scfm2", 16, 1),
    "Backbone_3": ("backbone3", 8, 4),
    "GSFM_2": ("gsfm2", 8, 4),
    "MPM_3": ("mpm3", 8, 4),
    "SCFM_3": ("scfm3", 8, 2),
}


def published(seed: int, dtype: torch.dtype = torch.float64, size: int = 256) -> MPCNet:
    return load(MPCNet(size=size), SPEC, GOLDEN.state(seed)).to(dtype)


def all_heads(network: MPCNet, image: Tensor) -> list[Tensor]:
    with torch.no_grad():
        outputs = network.outputs(image)
    return [outputs.logits, *outputs.side]


def probabilities(network: MPCNet, image: Tensor, step: int) -> dict[str, Tensor]:
    """Of every head, at every `step`-th row and column."""
    heads = all_heads(network, image)
    return {f"train_out_{i}": x.sigmoid()[..., ::step, ::step] for i, x in enumerate(heads)}


def check_golden(ours: dict[str, Tensor], seed: int, dtype: torch.dtype) -> None:
    """Ours are all arrays of a seed, each within the limit of its kind."""
    arrays = {k: v for k, v in GOLDEN.arrays.items() if k.startswith("s14_") == (seed == 14)}
    assert ours.keys() == arrays.keys()
    output_limit, feature_limit = LIMITS[dtype]
    for name, expected in arrays.items():
        limit = feature_limit if name.startswith("feat_") else output_limit
        assert deviations(ours[name], expected) < limit, name


def tiny(seed: int = 0) -> MPCNet:
    torch.manual_seed(seed)
    return MPCNet(size=32).double().eval()


@pytest.mark.parametrize("dtype", LIMITS)
def test_golden_heads_and_the_grid_of_another_size(dtype):
    network, larger = published(14, dtype), published(14, dtype, size=320)
    image = GOLDEN.input((1, 1, 96, 128), seed=14).to(dtype)
    ours = probabilities(network, image, step=2)
    with torch.no_grad():
        ours["logits_0"] = network(image)[..., ::2, ::2]
        ours["size320_eval_out"] = larger(image).sigmoid()[..., ::2, ::2]
    check_golden({f"s14_{name}": values for name, values in ours.items()}, 14, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", LIMITS)
def test_golden_features_and_heads_at_256_x_256(dtype):
    network = published(0, dtype)
    image = GOLDEN.input((1, 1, 256, 256)).to(dtype)
    found = features(network, image, {name: module for name, (module, _, _) in FEATURES.items()})
    ours = probabilities(network, image, step=4)
    ours["eval_out"] = found["logits"].sigmoid()[..., ::4, ::4]
    for name, (_, step, channels) in FEATURES.items():
        ours[f"feat_{name}"] = found[name][:, ::channels, ::step, ::step]
    check_golden(ours, 0, dtype)


@pytest.mark.parametrize(
    ("size", "side", "giga_macs"),
    [(256, 256, 14.967), (320, 256, 17.958), (320, 320, 24.802), (256, 512, 51.464)],
)
def test_published_counts(size, side, giga_macs):
    with torch.device("meta"):
        network, image = MPCNet(size=size).eval(), torch.empty(1, 1, side, side)
    assert sum(p.numel() for p in network.parameters()) == 2_398_505
    with FlopCounterMode(display=False) as counter:
        network.outputs(image)
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga_macs, abs=5e-4)


def test_the_prediction_alone_leaves_out_two_heads():
    network, image = tiny(), torch.rand(1, 1, 16, 24, dtype=torch.float64)
    torch.testing.assert_close(network(image), network.outputs(image).logits, rtol=0, atol=0)
    run = []
    for name in ("head1", "head2", "head3"):
        module = network.get_submodule(name)
        module.register_forward_hook(lambda *_, name=name: run.append(name))
    network(image)
    assert run == ["head1"]


def test_every_norm_folds_into_the_convolution_before_it():
    network = published(14, size=64)
    fused = network.fuse()
    assert len(foldable_norms(network, network.example())) == 99
    assert not foldable_norms(fused, fused.example())
    assert not [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    tensors = fused.state_dict().values()
    assert len(tensors) == 252
    assert sum(tensor.numel() for tensor in tensors) == 2_393_019
    image = GOLDEN.input((1, 1, 32, 48), seed=14).double()
    for ours, plain in zip(all_heads(fused, image), all_heads(network, image), strict=True):
        assert deviations(ours, plain) < 1e-10


def test_the_four_attentions_are_those_of_the_formulas():
    """K takes the role of the query, scores are not scaled, `low` is added to the fourth map."""
    torch.manual_seed(0)
    module = GSFM(8, 16, grid=4).double().eval()
    for i in (1, 2, 3, 4):
        nn.init.constant_(module.get_parameter(f"gamma{i}"), i / 4)
    low = torch.randn(2, 8, 12, 20, dtype=torch.float64)
    high = torch.randn(2, 16, 6, 10, dtype=torch.float64)

    def to(size, x):
        return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)

    def att(key, query, value):
        scores = torch.einsum("nci,ncj->nij", key.flatten(2), query.flatten(2))
        return torch.einsum("nij,ncj->nci", scores.softmax(2), value.flatten(2)).view_as(value)

    near = module.project(to((6, 10), low))
    lr, hr = to((4, 4), near), to((4, 4), high)
    k_l, v_l, q_l = module.low_key(lr), module.low_value(lr), module.low_query(lr)
    k_h, v_h, q_h = module.high_key(hr), module.high_value(hr), module.high_query(hr)
    maps = [
        to((6, 10), 0.25 * att(k_l, q_l, v_l + v_h)) + near,
        to((6, 10), 0.5 * att(k_h, q_h, v_l + v_h)) + high,
        to((6, 10), 0.75 * att(k_l, q_h, v_l)) + high,
        to((6, 10), att(k_h, q_l, v_h) + lr) + near,
    ]
    expected = module.reduce(torch.cat(maps, 1))
    torch.testing.assert_close(module(low, high), expected, rtol=1e-9, atol=1e-9)


def test_down_sampling_takes_the_odd_rows_second():
    torch.manual_seed(0)
    module = FPD(3).double().eval()
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    phases = [x[..., row::2, col::2] for row, col in ((0, 0), (1, 0), (0, 1), (1, 1))]
    stacked = torch.cat([*phases, functional.max_pool2d(x, 3, 2, 1)], 1)
    expected = module.norm(module.conv(stacked)).relu()
    torch.testing.assert_close(module(x), expected, rtol=0, atol=0)


def test_coordinate_attention_gates_rows_and_columns():
    torch.manual_seed(0)
    module = CoordinateAttention(16).double().eval()
    x = torch.randn(2, 16, 5, 7, dtype=torch.float64)

    def gate(means, expand):  # (N, 16, L) to (N, 16, L)
        return expand(functional.hardswish(module.norm(module.reduce(means[..., None])))).sigmoid()

    rows, cols = gate(x.mean(3), module.rows), gate(x.mean(2), module.cols)
    expected = x * rows * cols.transpose(2, 3)
    torch.testing.assert_close(module(x), expected, rtol=1e-9, atol=1e-12)


def test_the_first_and_the_last_quarter_share_a_branch():
    network = MPCNet(size=32).train()
    network(torch.rand(1, 1, 16, 16))
    counts = {k: network.get_buffer(f"mpm1.branch{k}.1.num_batches_tracked") for k in (3, 5, 7)}
    assert counts == {3: 1, 5: 1, 7: 2}


def test_attention_stays_in_float32_under_mixed_precision():
    torch.manual_seed(0)
    asking, asked, value = (5 * torch.randn(1, 4, 64, 16).bfloat16() for _ in range(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = attention(asking, asked, value)
    scores = asking.float() @ asked.float().transpose(2, 3)
    expected = (scores.softmax(3) @ value.float()).bfloat16()
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-3)  # one rounding of the result


def test_the_whole_network_runs_in_mixed_precision():
    network = MPCNet(size=32).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert network(torch.rand(1, 1, 16, 16)).isfinite().all()


def test_weights_start_as_the_authors_train():
    torch.manual_seed(0)
    network = MPCNet()
    depthwise = network.get_parameter("gsfm2.reduce.activation.conv.weight")
    dense = network.get_parameter("gsfm2.reduce.conv.weight")
    gains = network.get_parameter("gsfm2.reduce.norm.weight")
    assert depthwise.std().item() == pytest.approx(1, rel=0.05)
    assert dense.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.05)
    assert gains.mean().item() == pytest.approx(1, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.3)
    assert all(network.get_parameter(f"gsfm1.gamma{i}").item() == 0 for i in (1, 2, 3, 4))


def test_the_size_changes_the_result_but_no_weight():
    small, large = MPCNet(size=32).double().eval(), published(14)
    small.load_state_dict(large.state_dict())
    image = GOLDEN.input((1, 1, 32, 32), seed=14).double()
    with torch.no_grad():
        assert deviations(small(image), large(image)) > 1e-2


@pytest.mark.parametrize("size", [(8, 8), (20, 36), (64, 12)])
def test_outputs_have_the_size_of_the_image(size):
    heads = all_heads(tiny(), torch.rand(2, 1, *size, dtype=torch.float64))
    assert [head.shape for head in heads] == [(2, 1, *size)] * 3


def test_several_channels_take_a_single_one():
    network = MPCNet(in_channels=3, size=32).double().eval()
    image = torch.rand(1, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network(image), network(image.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size must be a positive multiple of 8, .*got 0"),
        ({"size": 100}, "size must be a positive multiple of 8, .*got 100"),
        ({"in_channels": 0}, "in_channels must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ModelError, match=message):
        MPCNet(**arguments)


@pytest.mark.parametrize(("rows", "padded"), [(250, 252), (255, 256), (4, 8)])
def test_an_illegal_size_names_the_legal_one(rows, padded):
    message = f"multiples of 4 from 8, got {rows} x 256; pad or .* to {padded} x 256"
    with pytest.raises(ModelError, match=message):
        tiny()(torch.rand(1, 1, rows, 256))
