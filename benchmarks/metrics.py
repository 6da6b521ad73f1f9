"""Time of the metrics against the loops that public evaluation codes run, with the same values.

The loops are those of `benchmarks/metric_loops.py`, in the same run and on the same images; times
are processor times of one thread, so that other programs do not count. Two
comparisons: the figures of one code (BasicIRSTD: IoU, P_d and F_a) and the whole suite, that is all
conventions with their curves and the curves of the default over threshold and distance. The floor
is OpenCV's labelling of mask and prediction, which any such figure needs.
Run: python benchmarks/metrics.py
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from benchmarks.metric_loops import (
    Figures,
    Image,
    basicirstd_code,
    curve_code,
    distances,
    run_codes,
    sweep,
)
from irstd.evaluation.summary import Table
from irstd.inference.backends import processor_name
from irstd.metrics.calibration import calibration_curve
from irstd.metrics.components import label_components
from irstd.metrics.conventions import CONVENTIONS
from irstd.metrics.curves import TargetSweep
from irstd.metrics.detection import DetectionMetrics
from irstd.metrics.histogram import DEFAULT_BINS, ScoreHistogram
from irstd.metrics.suite import MetricSuite
from irstd.stages.publish import markers, update_readme

Result = TypeVar("Result")

BLOCK = "benchmark"
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
DISTANCE_PX = CONVENTIONS["ispanet"].distance_px
STRIDE = 8  # the loop computes the pixel curves of the default at every eighth threshold
DISTANCES_PX = tuple(step / 2 for step in range(1, 11))
TOLERANCE = 1e-9
KEPT_IMAGES = 16  # different images of a case; they are gone through again until all are counted


@dataclass(frozen=True)
class Case:
    """Images of one kind.

    Attributes:
        name: for the table.
        size: (height, width) in pixels.
        images: number of images that the library counts.
        targets: per image, 3 x 3 pixels each.
        components: predicted per image, at least as many.
        loop_images: number of images that the loop of one code counts.
        suite_images: number of images that the loops of all codes count.
        published_ms: processor time per image of the steps of BasicIRSTD's evaluation on torch
            tensors, measured once on these images on one thread of an AMD EPYC.
    """

    name: str
    size: tuple[int, int]
    images: int
    targets: int
    components: int
    loop_images: int
    suite_images: int
    published_ms: float | None = None


CASES = (
    Case("256 x 256", (256, 256), 214, 2, 4, 32, 2, 2.1),
    Case("1280 x 1024", (1024, 1280), 100, 3, 6, 4, 1, 40),
    Case("512 x 512, 500 components", (512, 512), 16, 5, 500, 4, 1, 35),
    Case("512 x 512, 300 targets, 540 components", (512, 512), 1, 300, 540, 1, 1, 600),
)
QUICK = (
    Case("64 x 64", (64, 64), 3, 2, 4, 2, 1),
    Case("96 x 96, crowded", (96, 96), 1, 9, 16, 1, 1),
)


@dataclass(frozen=True)
class Times:
    """Milliseconds per image.

    Attributes:
        loop: one code by its loop.
        code: the same figures by the library.
        all_loops: all codes and curves by loops.
        suite: the same figures by the library.
        floor: OpenCV's labelling of mask and prediction, with areas, boxes and centroids.
        labelling: the library's.
    """

    loop: float
    code: float
    all_loops: float
    suite: float
    floor: float
    labelling: float


def scene(case: Case, seed: int) -> Image:
    """Targets on a grid, predictions moved by up to one pixel, false alarms, faint background."""
    rng = np.random.default_rng(seed)
    height, width = case.size
    cells = [(row, col) for row in range(6, height - 8, 8) for col in range(6, width - 8, 8)]
    probability = 1e-3 * rng.random(case.size, dtype=np.float32)
    mask = np.zeros(case.size, dtype=np.uint8)
    for position, cell in enumerate(rng.permutation(len(cells))[: case.components]):
        row, col = cells[cell]
        down, right = rng.integers(-1, 2, 2)
        blob = rng.uniform(0.55, 0.99, (3, 3))
        probability[row + down : row + down + 3, col + right : col + right + 3] = blob
        if position < case.targets:
            mask[row : row + 3, col : col + 3] = 1
    return probability, mask


def one_code(images: Sequence[Image]) -> dict[str, float]:
    """Figures of BasicIRSTD by the library."""
    metrics = DetectionMetrics("basicirstd")
    for image in images:
        metrics.update(*image)
    return metrics.compute()


def whole_suite(images: Sequence[Image]) -> dict[str, Figures]:
    """All conventions, their curves and the curves of the default by the library."""
    suite = MetricSuite(tuple(CONVENTIONS))
    histogram, targets = ScoreHistogram(), TargetSweep(THRESHOLDS, DISTANCE_PX)
    for image in images:
        suite.update(*image)
        histogram.update(*image)
        targets.update(*image)
    found: dict[str, Figures] = {name: dict(values) for name, values in suite.compute().items()}
    for name, convention in CONVENTIONS.items():
        if convention.curve_steps:
            rate = suite.roc(name)
            found[name] |= {"tpr": rate.tpr, "fpr": rate.fpr}
    curve = targets.curve()
    found["over threshold"] = {"pd": curve.pd, "fa_pixel": curve.fa_pixel}
    found["over distance"] = {"pd": suite.distance_curve(DISTANCES_PX).pd}
    roc = histogram.roc()
    rates = {"tpr": roc.tpr, "fpr": roc.fpr}
    found["over pixels"] = {key: values[::-STRIDE] for key, values in rates.items()}
    for make in (histogram.pr, histogram.overlap, targets.free_response):
        make()
    calibration_curve(histogram)
    return found


def all_loops(images: Sequence[Image]) -> dict[str, Figures]:
    """The same by loops, with fewer thresholds."""
    return run_codes(images) | {
        "over pixels": curve_code(images, DEFAULT_BINS // STRIDE, smooth=0.0),
        "over threshold": sweep(images, THRESHOLDS, DISTANCE_PX),
        "over distance": distances(images, DISTANCES_PX),
    }


def compare(where: str, expected: Figures, found: Figures) -> None:
    """Stop unless the library gives every figure of the loop."""
    for key, value in expected.items():
        if not np.allclose(found[key], value, rtol=TOLERANCE, atol=0.0, equal_nan=True):
            raise SystemExit(f"{where}: {key} is {found[key]} by the library, {value} by the loop")


def measure(case: Case) -> Times:
    """Check the values of a case and time it."""
    kept = [scene(case, seed) for seed in range(min(case.images, KEPT_IMAGES))]
    images = list(islice(cycle(kept), case.images))
    few, fewer = images[: case.loop_images], images[: case.suite_images]
    basicirstd_code([scene(QUICK[0], 0)])  # what is loaded at the first call does not count
    loop, expected = timed(basicirstd_code, few)
    compare(f"{case.name}, basicirstd", expected, one_code(few))
    loops, expected_all = timed(all_loops, fewer)
    for name, found in whole_suite(fewer).items():
        compare(f"{case.name}, {name}", expected_all[name], found)
    return Times(
        loop=loop,
        code=best(one_code, images),
        all_loops=loops,
        suite=best(whole_suite, images),
        floor=best(lambda few: [opencv_labels(x) for x in masks(few)], kept),
        labelling=best(lambda few: [label_components(x) for x in masks(few)], kept),
    )


def masks(images: Sequence[Image]) -> Iterator[np.ndarray]:
    """Prediction and target pixels of each image."""
    for probability, mask in images:
        yield probability > 0.5
        yield mask > 0


def opencv_labels(mask: np.ndarray) -> object:
    """Labels, areas, boxes and centroids."""
    return cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)


def timed(
    function: Callable[[Sequence[Image]], Result], images: Sequence[Image]
) -> tuple[float, Result]:
    """Processor time of one call in milliseconds per image, and its result."""
    start = time.process_time()
    result = function(images)
    return 1e3 * (time.process_time() - start) / len(images), result


def best(function: Callable[[Sequence[Image]], object], images: Sequence[Image]) -> float:
    """Least milliseconds per image of three calls after a first one."""
    return min([timed(function, images)[0] for _ in range(4)][1:])


def results_table(results: Mapping[Case, Times]) -> Table:
    """A row per case."""
    head = (
        "Images", "BasicIRSTD, ms", "Loop, ms", "Here, ms", "Ratio",
        "All loops, ms", "Suite, ms", "Ratio", "OpenCV, ms", "Labels, ms",
        "One code / OpenCV", "Suite / OpenCV",
    )  # fmt: skip
    rows = []
    for case, t in results.items():
        published = "" if case.published_ms is None else f"{case.published_ms:.3g}"
        rows.append((
            f"{case.images} of {case.name}", published, f"{t.loop:.1f}", f"{t.code:.2f}",
            f"{t.loop / t.code:.1f}", f"{t.all_loops:.0f}", f"{t.suite:.1f}",
            f"{t.all_loops / t.suite:.1f}", f"{t.floor:.2f}", f"{t.labelling:.2f}",
            f"{t.code / t.floor:.2f}", f"{t.suite / t.floor:.2f}",
        ))  # fmt: skip
    return Table(head, tuple(rows))


def report(results: Mapping[Case, Times]) -> str:
    """Conditions and table in Markdown."""
    conditions = (
        f"`python benchmarks/metrics.py` on {processor_name()}, processor milliseconds per image, "
        "one thread. Loop: IoU, recall, P_d and F_a as BasicIRSTD computes them, with "
        "`regionprops` and a Python loop over pairs; before it, the steps of its evaluation on "
        f"torch tensors, measured once. All loops: the codes of all {len(CONVENTIONS)} conventions "
        "with their ROC curves, and of the "
        f"default a ROC curve of {DEFAULT_BINS // STRIDE + 1} thresholds, P_d over "
        f"{len(THRESHOLDS)} thresholds and over {len(DISTANCES_PX)} distances. Here, Suite: the "
        f"same figures by this package, Suite with all pixel curves over {DEFAULT_BINS + 1} "
        f"thresholds and the calibration besides; equal within {TOLERANCE:.0e}. The loops ran on a "
        "part of the images. OpenCV: `connectedComponentsWithStats` of mask and prediction, the "
        "floor; Labels: ours of the same."
    )
    return f"{conditions}\n\n{results_table(results).markdown()}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small images, to see that it works")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"also put it between {markers(BLOCK)} of FILE"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    text = report({case: measure(case) for case in (QUICK if arguments.quick else CASES)})
    print(text)
    if arguments.write:
        update_readme(arguments.write, {BLOCK: text})


if __name__ == "__main__":
    main()
