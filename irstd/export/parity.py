"""The gate an ONNX file passes before it is written: the same answers as torch.

Sizes must differ from the one the export traced: a constant that the exporter froze (a pooling
window, a token count) gives right answers at that size and wrong ones at every other.

A difference counts in deviations: the standard deviation of torch's values, but at least `FLAT` of
the largest of them. The values are the logits, or the probabilities where the network's SPEC says
so. Masks must be equal wherever torch's probability is farther than a
margin (`export.mask_margin`) from the threshold.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float32

from irstd.errors import ConfigError, ModelError
from irstd.export.onnx import EXAMPLE_SIZE, example_size, has_free_size, sized
from irstd.inference.backends import Backend
from irstd.inference.postprocess import probability_of
from irstd.inference.weights import ModelFacts
from irstd.metrics.inputs import predicted_pixels
from irstd.models.spec import NetworkSpec

RANDOM_BATCH = 3
FLAT = 1e-3
"""Smallest deviation that a difference is measured in, as a part of the largest |logit|.

Float32 resolves 1.2e-7 of a value; without this rule a network with all but constant logits, as at
the start of training, would be held to less than its own rounding.
"""


@dataclass(frozen=True)
class Case:
    """One batch that both back ends run.

    Attributes:
        source: `random` noise or prepared `images`.
        batch: (N, C, H, W) or (N, T, C, H, W), ready for the network.
    """

    source: Literal["random", "images"]
    batch: Float32[np.ndarray, "n *clip c h w"]

    @property
    def name(self) -> str:
        """The case in words."""
        n, *_, height, width = self.batch.shape
        return f"{self.source}, {n} of {height} x {width}"


@dataclass(frozen=True)
class Comparison:
    """What one case gave.

    Attributes:
        case: the case in words.
        difference: largest |candidate - reference|.
        deviation: standard deviation of the reference's values, or `FLAT` of the largest of them
            where that is more.
        mask_errors: pixels whose masks differ, away from the threshold.
        undecided: pixels whose probability is too near the threshold to compare their masks.
    """

    case: str
    difference: float
    deviation: float
    mask_errors: int
    undecided: int

    @property
    def ratio(self) -> float:
        """Difference in deviations; all-zero values must be met exactly."""
        if self.difference == 0:
            return 0.0
        return self.difference / self.deviation if self.deviation else math.inf


def parity_sizes(
    spec: NetworkSpec, facts: ModelFacts, multiples: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Heights and widths to compare at, in pixels.

    Args:
        spec: facts of the network.
        facts: facts of the model.
        multiples: (rows, columns) in steps of legal sizes: `export.sizes` of the parameters.

    Returns:
        The sizes; the one size there is, where the network's height and width are fixed.

    Raises:
        ConfigError: one of them is the size that the export traces.
    """
    if not has_free_size(spec):
        return [example_size(spec, facts)]
    if EXAMPLE_SIZE in multiples:
        raise ConfigError(
            f"params.yaml: export.sizes: {list(EXAMPLE_SIZE)} is the size the export traces, "
            "at which a frozen constant cannot show; choose another"
        )
    return [sized(facts.preprocessing.sizes, steps) for steps in multiples]


def parity_cases(
    spec: NetworkSpec,
    facts: ModelFacts,
    sizes: Sequence[tuple[int, int]],
    images: Sequence[np.ndarray],
    seed: int,
) -> Iterator[Case]:
    """Random and real batches at every size.

    Args:
        spec: facts of the network.
        facts: facts of the model; they say how an image becomes an input.
        sizes: (height, width) in pixels.
        images: prepared images (H, W), brought to each size by the rule `fill`; for a network of
            clips they stand still.
        seed: seed of the random batches.
    """
    rng = np.random.default_rng(seed)
    count = RANDOM_BATCH if "batch" in spec.dynamic_axes else 1
    clip = () if spec.frames == 1 else (spec.frames,)
    for height, width in sizes:
        fitted = replace(facts.preprocessing, fill=(height, width), fit="pad", fit_size=None)
        noise = rng.random((count, *clip, height, width), np.float32)
        yield Case("random", np.concatenate([fitted.apply(image)[0] for image in noise]))
        for image in images:
            yield Case("images", fitted.apply(image)[0])


def compare(
    reference: Backend,
    candidate: Backend,
    case: Case,
    threshold: float,
    margin: float,
    values: Literal["logits", "probability"] = "logits",
) -> Comparison:
    """Run one case on both back ends.

    Args:
        reference: torch.
        candidate: ONNX Runtime.
        case: the batch.
        threshold: probability above which a pixel is a target.
        margin: masks are compared where the reference's probability is farther than this from it.
        values: what the difference is one of: `NetworkSpec.compare`.

    Raises:
        ModelError: the shapes differ, or a logit is not finite.
    """
    expected, got = reference(case.batch), candidate(case.batch)
    if expected.shape != got.shape:
        raise ModelError(
            f"parity, {case.name}: ONNX Runtime returned shape {got.shape}, torch {expected.shape}"
        )
    if not (np.isfinite(expected).all() and np.isfinite(got).all()):
        raise ModelError(f"parity, {case.name}: the logits are not all finite; train again")
    reference_map, candidate_map = probability_of(expected[:, 0]), probability_of(got[:, 0])
    decided = np.abs(reference_map.astype(np.float64) - threshold) > margin
    masks = (predicted_pixels(values, threshold) for values in (reference_map, candidate_map))
    wrong = decided & np.not_equal(*masks)
    if values == "probability":
        expected, got = reference_map, candidate_map
    exact = expected.astype(np.float64)
    return Comparison(
        case=case.name,
        difference=float(np.abs(got - exact).max()),
        deviation=max(float(exact.std()), FLAT * float(np.abs(exact).max())),
        mask_errors=int(wrong.sum()),
        undecided=int((~decided).sum()),
    )


def check(comparison: Comparison, limit: float) -> None:
    """Pass a comparison through the gate.

    Args:
        comparison: one case.
        limit: largest difference allowed, in deviations.

    Raises:
        ModelError: the logits differ by more, or the masks do; the message names case and limit.
    """
    if comparison.ratio > limit:
        raise ModelError(
            f"parity, {comparison.case}: the outputs of ONNX Runtime and torch differ by "
            f"{comparison.difference:.3g}, that is {comparison.ratio:.3g} of their deviation "
            f"{comparison.deviation:.3g} (their standard deviation, at least {FLAT:g} of the "
            f"largest); the limit is {limit:g}. The file is not written: an operation does not "
            "export faithfully (often a constant frozen at the example's size)"
        )
    if comparison.mask_errors:
        raise ModelError(
            f"parity, {comparison.case}: the masks of ONNX Runtime and torch differ in "
            f"{comparison.mask_errors} pixels away from the threshold; the limit is 0. "
            "The file is not written"
        )
