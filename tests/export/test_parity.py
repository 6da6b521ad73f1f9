from dataclasses import replace

import numpy as np
import pytest

from irstd.config import parse_params, read_yaml
from irstd.errors import ConfigError, ModelError
from irstd.export.onnx import EXAMPLE_SIZE
from irstd.export.parity import Case, Comparison, check, compare, parity_cases, parity_sizes
from irstd.inference.postprocess import probability_of
from tests.sirst_layout import PROJECT
from tests.tiny_network import SPEC, tiny_facts

SIZES = [(2, 2), (3, 5), (4, 3)]


class Affine:
    """A back end that gives factor x + offset, and `wrong` in the last pixel."""

    device_name = "test"

    def __init__(
        self, factor: float = 1.0, offset: float = 0.0, wrong: float | None = None
    ) -> None:
        self.factor, self.offset, self.wrong = factor, offset, wrong

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        logits = np.float32(self.factor) * batch + np.float32(self.offset)
        if self.wrong is not None:
            logits[-1, -1, -1, -1] = self.wrong
        return logits


def noise() -> Case:
    return Case("random", np.random.default_rng(0).normal(size=(2, 1, 16, 24)).astype(np.float32))


def test_sizes_are_multiples_of_the_networks() -> None:
    assert parity_sizes(SPEC, tiny_facts(), SIZES) == [(16, 16), (24, 40), (32, 24)]


def test_the_traced_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"export\.sizes: \[5, 7\] is the size the export traces"):
        parity_sizes(SPEC, tiny_facts(), [*SIZES, EXAMPLE_SIZE])


def test_a_fixed_size_is_the_only_one_to_compare_at() -> None:
    spec = replace(SPEC, dynamic_axes=("batch",))
    assert parity_sizes(spec, tiny_facts(fill=(16, 24)), SIZES) == [(16, 24)]


def test_cases_are_random_and_real_at_every_size() -> None:
    images = [np.full((10, 10), 255, np.uint8), np.zeros((50, 30), np.uint16)]
    facts = tiny_facts(in_channels=3, mean=(0.5,), std=(0.5,))
    cases = list(parity_cases(SPEC, facts, [(16, 16), (24, 40)], images, seed=1))
    assert [case.name for case in cases] == [
        "random, 3 of 16 x 16",
        "images, 1 of 16 x 16",
        "images, 1 of 16 x 16",
        "random, 3 of 24 x 40",
        "images, 1 of 24 x 40",
        "images, 1 of 24 x 40",
    ]
    assert all(case.batch.shape[1] == 3 for case in cases)
    assert (cases[1].batch == 1.0).all(), "normalised as the facts say"
    again = list(parity_cases(SPEC, facts, [(16, 16), (24, 40)], images, seed=1))
    for first, second in zip(cases, again, strict=True):
        np.testing.assert_array_equal(first.batch, second.batch)


def test_a_fixed_batch_is_kept() -> None:
    spec = replace(SPEC, dynamic_axes=("height", "width"))
    (case,) = parity_cases(spec, tiny_facts(), [(16, 16)], [], seed=1)
    assert case.batch.shape == (1, 1, 16, 16)


def test_equal_answers_pass() -> None:
    comparison = compare(Affine(), Affine(), noise(), 0.5, 1e-3)
    assert (comparison.difference, comparison.ratio, comparison.mask_errors) == (0.0, 0.0, 0)
    assert comparison.deviation == pytest.approx(noise().batch.std())
    check(comparison, 1e-3)


def test_the_difference_is_measured_in_deviations() -> None:
    comparison = compare(Affine(10.0), Affine(10.0, 0.05), noise(), 0.5, 0.1)
    assert comparison.difference == pytest.approx(0.05, rel=1e-3)
    assert comparison.ratio == pytest.approx(0.05 / (10 * noise().batch.std()), rel=1e-3)
    check(comparison, 6e-3)
    message = (
        r"random, 2 of 16 x 24: .* differ by 0\.05, that is 0\.00\d+ of .* limit is 0\.001\. "
        "The file is not written"
    )
    with pytest.raises(ModelError, match=message):
        check(comparison, 1e-3)


def test_one_wrong_pixel_is_found() -> None:
    comparison = compare(Affine(), Affine(wrong=9.0), noise(), 0.5, 1e-3)
    assert comparison.mask_errors == 1
    with pytest.raises(ModelError, match="the outputs of ONNX Runtime and torch differ by"):
        check(comparison, 1e-3)


def test_masks_must_agree_away_from_the_threshold() -> None:
    flipped = Comparison("c", difference=0.0, deviation=1.0, mask_errors=4, undecided=0)
    with pytest.raises(ModelError, match="differ in 4 pixels away from the threshold"):
        check(flipped, 1e-3)


def test_pixels_near_the_threshold_are_undecided() -> None:
    case = Case("random", np.array([[[[0.001, -0.001, 4.0, -4.0]]]], np.float32))
    comparison = compare(Affine(), Affine(offset=-0.002), case, 0.5, 1e-2)
    assert (comparison.undecided, comparison.mask_errors) == (2, 0)
    assert compare(Affine(), Affine(offset=-0.002), case, 0.5, 1e-4).mask_errors == 1


def test_masks_are_compared_by_the_rule_of_the_metrics() -> None:
    at = np.log(0.3 / 0.7).astype(np.float32) + np.arange(-9, 9, dtype=np.float32) * 2**-24
    above = at[np.flatnonzero(probability_of(at) == np.float32(0.3))[0]]
    case = Case("random", np.array([[[[above, 4.0]]]], np.float32))
    below = Affine(offset=-(2**-22))  # no longer above 0.3
    assert compare(Affine(), below, case, 0.3, 1e-9).mask_errors == 1
    assert compare(Affine(), below, case, 0.3, 1e-6).undecided == 1


def test_all_but_constant_logits_are_measured_against_their_size() -> None:
    case = noise()
    constant = compare(Affine(0.0, -4.6), Affine(0.0, -4.6 + 1e-6), case, 0.5, 1e-3)
    assert constant.deviation == pytest.approx(4.6e-3)
    check(constant, 1e-3)  # rounding of float32
    drifted = compare(Affine(0.0, -4.6), Affine(0.0, -4.6 + 1e-4), case, 0.5, 1e-3)
    rule = (
        r"of their deviation 0\.0046 \(their standard deviation, at least 0\.001 of the largest\)"
    )
    with pytest.raises(ModelError, match=rf"{rule}; the limit is"):
        check(drifted, 1e-3)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sizes", [[2, 2], [3, 5], [2, 2]], r"export\.sizes: .*names one twice"),
        ("sizes", [[2, 2], [3, 5]], r"export\.sizes: .*at least 3"),
        ("mask_margin", 0.02, r"export\.mask_margin: .*less than or equal to 0\.01"),
        ("mask_margin", 0.0, r"export\.mask_margin: .*greater than 0"),
    ],
)
def test_parameters_that_empty_the_gate_are_refused(name: str, value: object, message: str) -> None:
    tree = read_yaml(PROJECT / "profiles" / "demo.yaml")
    tree["export"][name] = value
    with pytest.raises(ConfigError, match=message):
        parse_params(tree, "test")


def test_zero_logits_must_be_met_exactly() -> None:
    check(compare(Affine(0.0), Affine(0.0), noise(), 0.5, 1e-3), 1e-3)
    comparison = compare(Affine(0.0), Affine(0.0, 1e-20), noise(), 0.5, 1e-3)
    with pytest.raises(ModelError, match="the limit is"):
        check(comparison, 1e-3)


def test_infinite_logits_and_other_shapes_are_errors() -> None:
    with pytest.raises(ModelError, match="random, 2 of 16 x 24: the logits are not all finite"):
        compare(Affine(), Affine(wrong=float("inf")), noise(), 0.5, 1e-3)

    def half(batch: np.ndarray) -> np.ndarray:
        return batch[..., ::2]

    with pytest.raises(
        ModelError, match=r"returned shape \(2, 1, 16, 12\), torch \(2, 1, 16, 24\)"
    ):
        compare(Affine(), half, noise(), 0.5, 1e-3)  # type: ignore[arg-type]
