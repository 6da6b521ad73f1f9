"""Time of the metrics against the loops that public evaluation codes run, with the same values.

The loops are those of `benchmarks/metric_loops.py`. Both sides count the same images in the same
run: once for the values, which have to agree, and three times for the time, of which the least
counts. Times are processor times of one thread, so that other programs do not count. Two
comparisons: the figures of one code (BasicIRSTD: IoU, P_d and F_a) and the whole suite, that is all
conventions with their curves and the curves of the default over threshold and distance.
Run: python benchmarks/metrics.py
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.metric_baseline import (
    RIVALS,
    RUNS,
    Baseline,
    Image,
    baseline,
    baseline_by,
    best,
    one_thread,
)
from benchmarks.metric_loops import (
    Figures,
    basicirstd_code,
    curve_code,
    distances,
    loaded,
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
from irstd.stages.publish import update_readme

BLOCK = "benchmark"
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
DISTANCE_PX = CONVENTIONS["ispanet"].distance_px
STRIDE = 8  # the loop computes the pixel curves of the default at every eighth threshold
DISTANCES_PX = tuple(step / 2 for step in range(1, 11))
TOLERANCE = 1e-9
CHUNK = 16  # images in memory at a time
CODE_AIM, SUITE_AIM, LOOP_AIM = 3.0, 20.0, 2.0
BASELINE = (
    "Is the loop a fair one? Elsewhere: BasicIRSTD's own files and an OpenCV pass (P_d and F_a by "
    "`connectedComponentsWithStats`), measured once on similar images by the wall clock of a busy "
    "machine; neither its load nor its libraries were recorded. Free: processor time here. Shared: "
    f"wall clock here, mean of the images, on a core shared with {RIVALS} programs that write "
    "memory; their number was chosen, not derived. What is within the factor on the shared core "
    "but not on the free one differs by load; Loop and Here above are both times of a free core. "
    "The ratio of loop and OpenCV depends less on load, and more on OpenCV, whose version 4.8 "
    "takes half the time of version 5 for a pass. If the ratio is higher elsewhere, that of Loop "
    "and Here above is rather too low than too high. Times of the same loop on the same images "
    "differ by up to a third from run to run."
)


@dataclass(frozen=True)
class Case:
    """Images of one kind.

    Attributes:
        name: for the table.
        size: (height, width) in pixels.
        images: number of images on which one code is compared, all different.
        targets: per image.
        components: predicted per image, at least as many.
        suite_images: number of the first images on which the suite is compared.
        crowds: places where two targets and two components are all in reach of each other.
        pitch: of the grid of places, in pixels.
        earlier: milliseconds of BasicIRSTD's own loop and of an OpenCV pass on similar images,
            measured elsewhere; zero where there is none.
    """

    name: str
    size: tuple[int, int]
    images: int
    targets: int
    components: int
    suite_images: int
    crowds: int = 0
    pitch: int = 8
    earlier: tuple[float, float] = (0.0, 0.0)


CASES = (
    Case("256 x 256", (256, 256), 214, 2, 4, 16),
    Case("1280 x 1024", (1024, 1280), 100, 3, 6, 2),
    Case("512 x 512, 500 components", (512, 512), 16, 5, 500, 4),
    Case("512 x 512, 300 targets, 540 components", (512, 512), 1, 300, 540, 1, crowds=100),
)
QUICK = (
    Case("64 x 64", (64, 64), 3, 2, 4, 2),
    Case("96 x 96, crowded", (96, 96), 1, 9, 16, 1, crowds=3),
)
ELSEWHERE = (
    Case("256 x 256", (256, 256), 16, 2, 4, 0, earlier=(13.3, 1.3)),
    Case("512 x 512", (512, 512), 16, 2, 4, 0, earlier=(40.2, 10.4)),
    Case("512 x 512, 500 components", (512, 512), 8, 5, 500, 0, earlier=(168.0, 13.0)),
    Case("512 x 512, 5000 components", (512, 512), 1, 5, 5000, 0, pitch=7, earlier=(932.0, 8.8)),
    Case("1280 x 1024", (1024, 1280), 8, 3, 6, 0, earlier=(274.0, 52.0)),
)


@dataclass(frozen=True)
class Times:
    """Milliseconds per image.

    Attributes:
        loop: one code by its loop.
        code: the same figures by the library.
        all_loops: all codes and curves by loops.
        suite: the same figures by the library.
        floor: OpenCV's labelling of mask and prediction, nothing else.
        labelling: the library's.
    """

    loop: float
    code: float
    all_loops: float
    suite: float
    floor: float
    labelling: float


def scene(case: Case, seed: int) -> Image:
    """Targets on a grid, predictions moved by up to one pixel, false alarms, faint background.

    Targets and components have 3 x 3 pixels. In a crowd both lose the middle column, and the right
    component is moved once more, so that its first pixel may come before that of the left one.
    """
    rng = np.random.default_rng(seed)
    height, width = case.size
    rows, cols = range(2, height - 6, case.pitch), range(2, width - 6, case.pitch)
    cells = [(row, col) for row in rows for col in cols]
    probability = 1e-3 * rng.random(case.size, dtype=np.float32)
    mask = np.zeros(case.size, dtype=np.uint8)
    for position, cell in enumerate(rng.permutation(len(cells))[: case.components - case.crowds]):
        row, col = cells[cell]
        down, right, more = rng.integers(-1, 2, 3)
        is_crowd = position < case.crowds
        for step in (0, 2) if is_crowd else (0, 1, 2):
            top, column = row + down + (more if is_crowd and step else 0), col + right + step
            probability[top : top + 3, column] = rng.uniform(0.55, 0.99, 3)
            if position < case.targets - case.crowds:
                mask[row : row + 3, col + step] = 1
    return probability, mask


def scenes(case: Case) -> Iterator[list[Image]]:
    """All images of a case, a few at a time."""
    for first in range(0, case.images, CHUNK):
        yield [scene(case, seed) for seed in range(first, min(first + CHUNK, case.images))]


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


def all_loops(images: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, Figures]:
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
    totals = np.zeros(4)
    for images in scenes(case):
        tensors = loaded(images)
        compare(f"{case.name}, basicirstd", basicirstd_code(tensors), one_code(images))
        totals += [
            best(basicirstd_code, tensors),
            best(one_code, images),
            best(lambda few: [plain_labels(x) for x in masks(few)], images),
            best(lambda few: [label_components(x) for x in masks(few)], images),
        ]
    loop, code, floor, labelling = totals / case.images
    few = next(scenes(case))[: case.suite_images]
    tensors, found = loaded(few), whole_suite(few)
    for name, expected in all_loops(tensors).items():
        compare(f"{case.name}, {name}", expected, found[name])
    loops, suite = best(all_loops, tensors) / len(few), best(whole_suite, few) / len(few)
    return Times(loop, code, loops, suite, floor, labelling)


def compare_elsewhere(others: Sequence[Path]) -> Table:
    """Time the loop as it was timed elsewhere; `others` are interpreters with other libraries."""
    found = {}
    for case in ELSEWHERE:
        images = next(scenes(case))
        found[case] = [baseline(images), *(baseline_by(python, images) for python in others)]
    return baseline_table(found)


def masks(images: Sequence[Image]) -> Iterator[np.ndarray]:
    """Prediction and target pixels of each image."""
    for probability, mask in images:
        yield probability > 0.5
        yield mask > 0


def plain_labels(mask: np.ndarray) -> object:
    """Labels by OpenCV."""
    return cv2.connectedComponents(mask.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)


def results_table(results: Mapping[Case, Times]) -> Table:
    """A row per case."""
    head = (
        "Images", "Loop, ms", "Here, ms", "Ratio", "Of these", "All loops, ms", "Suite, ms",
        "Ratio", "Floor, ms", "Labels, ms", "Here / floor", "Suite / floor",
    )  # fmt: skip
    rows = [
        (
            f"{case.images} of {case.name}", f"{t.loop:.2f}", f"{t.code:.2f}",
            f"{t.loop / t.code:.1f}", f"{case.suite_images}", f"{t.all_loops:.0f}",
            f"{t.suite:.1f}", f"{t.all_loops / t.suite:.1f}", f"{t.floor:.2f}",
            f"{t.labelling:.2f}", f"{t.code / t.floor:.1f}", f"{t.suite / t.floor:.0f}",
        )
        for case, t in results.items()
    ]  # fmt: skip
    return Table(head, tuple(rows))


def baseline_table(baselines: Mapping[Case, Sequence[Baseline]]) -> Table:
    """Loop and OpenCV pass on a free and on a shared core, and what they took elsewhere."""
    rows: list[tuple[str, ...]] = []
    for case, found in baselines.items():
        for x in found:
            free, shared = (x.loop, x.opencv), (x.loop_busy, x.opencv_busy)
            rows += [
                (case.name, x.libraries, place, *cells(*times), *closeness(case.earlier, times))
                for place, times in (("free", free), ("shared", shared))
            ]
        rows.append((case.name, "not recorded", "elsewhere", *cells(*case.earlier), *"---"))
    head = ("Images", "Libraries", "Core", "Loop, ms", "OpenCV, ms", "Ratio")
    aims = [f"{name} within {LOOP_AIM:g} times" for name in ("Loop", "OpenCV", "Ratio")]
    return Table((*head, *aims), tuple(rows))


def cells(loop: float, opencv: float) -> tuple[str, str, str]:
    """Two times and their ratio."""
    return f"{loop:.3g}", f"{opencv:.3g}", f"{loop / opencv:.2g}"


def closeness(elsewhere: tuple[float, float], here: tuple[float, float]) -> list[str]:
    """Whether loop, OpenCV pass and their ratio are about what they were elsewhere."""
    factors = [a / b for a, b in zip(elsewhere, here, strict=True)]
    return [
        "yes" if 1 / LOOP_AIM <= factor <= LOOP_AIM else f"no, {factor:.2g}"
        for factor in (*factors, factors[0] / factors[1])
    ]


def verdict(title: str, aim: float, ratios: Mapping[str, float]) -> str:
    """Whether every case reaches an aim."""
    short = [f"{name} ({ratio:.1f})" for name, ratio in ratios.items() if ratio < aim]
    return f"{title} at least {aim:g} times as fast: " + (
        f"missed on {'; '.join(short)}." if short else "reached in every row."
    )


def report(results: Mapping[Case, Times]) -> str:
    """Conditions, aims and tables in Markdown."""
    conditions = (
        f"`python benchmarks/metrics.py` on {processor_name()}, processor milliseconds per image, "
        f"one thread, least of {RUNS} runs after a first one on either side, same images. Loop: "
        "IoU, recall, P_d and F_a as BasicIRSTD computes them, on tensors, with `regionprops` and "
        f"a Python loop over pairs. All loops: the codes of all {len(CONVENTIONS)} conventions "
        "with their ROC curves, and of the "
        f"default a ROC curve of {DEFAULT_BINS // STRIDE + 1} thresholds, P_d over "
        f"{len(THRESHOLDS)} thresholds and over {len(DISTANCES_PX)} distances. Here, Suite: the "
        f"same figures by this package, Suite with all pixel curves over {DEFAULT_BINS + 1} "
        "thresholds and the calibration besides. All images differ; values are equal within "
        f"{TOLERANCE:.0e} on all of them for one code, and for the suite on the first ones (Of "
        "these), which are also the ones timed. Floor: `connectedComponents` of mask and "
        "prediction; Labels: ours of the same."
    )
    codes = {case.name: t.loop / t.code for case, t in results.items()}
    suites = {case.name: t.all_loops / t.suite for case, t in results.items()}
    aims = [
        verdict("One code", CODE_AIM, codes),
        verdict("The whole suite", SUITE_AIM, suites),
    ]
    parts = [conditions, " ".join(aims), results_table(results).markdown()]
    return "\n\n".join(parts)


def interpreter(text: str) -> Path:
    """A file, by its whole path: another working directory must not change which one it is."""
    path = Path(text).absolute()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"expected a Python interpreter, no such file: {text}")
    return path


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small images, to see that it works")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"also put it into the block {BLOCK} of FILE"
    )
    parser.add_argument(
        "--other", type=interpreter, action="append", default=[], metavar="PYTHON",
        help="an interpreter with other libraries, with which the loop is timed too (repeatable)",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    if arguments.quick and arguments.write:
        parser.error("--write wants the full benchmark: leave out --quick")
    one_thread()
    text = report({case: measure(case) for case in (QUICK if arguments.quick else CASES)})
    if not arguments.quick:
        text += f"\n\n{BASELINE}\n\n{compare_elsewhere(arguments.other).markdown()}"
    print(text)
    if arguments.write:
        update_readme(arguments.write, {BLOCK: text})


if __name__ == "__main__":
    main()
