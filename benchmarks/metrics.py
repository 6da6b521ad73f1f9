"""Time of one metrics update against a plain loop over components, in the same run.

Baseline `component_loop`: the same definitions written as they read, with one boolean image per
component and one distance per pair of components. Both must give the same figures.
Run: python benchmarks/metrics.py
"""

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from irstd.metrics import DetectionMetrics

DISTANCE_PX = 2.0
REPEATS = 3


def component_loop(probability: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Figures of one image, component by component."""
    predicted = probability > 0.5
    parts = []
    for image in (mask > 0, predicted):
        labels, count = ndimage.label(image, structure=np.ones((3, 3)))
        parts.append([labels == position for position in range(1, count + 1)])
    targets, components = parts
    centres = [[np.argwhere(part).mean(axis=0) for part in side] for side in parts]
    far = 1.0 + DISTANCE_PX * (len(targets) + len(components))
    cost = np.full((len(targets), len(components)), far)
    for i, a in enumerate(centres[0]):
        for j, b in enumerate(centres[1]):
            distance = float(np.hypot(*(a - b)))
            if distance <= DISTANCE_PX:
                cost[i, j] = distance
    rows, cols = linear_sum_assignment(cost)
    matched = [int(j) for i, j in zip(rows, cols, strict=True) if cost[i, j] < far]
    overlap = 0.0
    for target in targets:
        touching = [part for part in components if (part & target).any()]
        union = np.logical_or.reduce(touching) if touching else np.zeros_like(target)
        overlap += (union & target).sum() / (union | target).sum()
    unmatched = sum(part.sum() for j, part in enumerate(components) if j not in set(matched))
    return {
        "iou": (predicted & (mask > 0)).sum() / (predicted | (mask > 0)).sum(),
        "niou_target": overlap / len(targets),
        "pd": len(matched) / len(targets),
        "fa_target": 1 - len(matched) / len(components),
        "fa_pixel": unmatched / mask.size,
    }


def library(probability: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Figures of one image by this package."""
    metrics = DetectionMetrics(distance=DISTANCE_PX)
    metrics.update(probability, mask)
    return metrics.compute()


def scene(size: tuple[int, int], n_targets: int, n_false: int) -> tuple[np.ndarray, np.ndarray]:
    """Square targets of 3 x 3 on a grid, predictions moved by up to one pixel, false alarms."""
    rng = np.random.default_rng(0)
    cells = [(row, col) for row in range(6, size[0] - 8, 8) for col in range(6, size[1] - 8, 8)]
    chosen = rng.permutation(len(cells))[: n_targets + n_false]
    probability, mask = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=np.uint8)
    for position, cell in enumerate(chosen):
        row, col = cells[cell]
        down, right = rng.integers(-1, 2, 2)
        probability[row + down : row + down + 3, col + right : col + right + 3] = 0.9
        if position < n_targets:
            mask[row : row + 3, col : col + 3] = 1
    return probability, mask


def best_ms(
    function: Callable[[np.ndarray, np.ndarray], object], probability: np.ndarray, mask: np.ndarray
) -> float:
    """Shortest time of a few calls, in milliseconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function(probability, mask)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main() -> None:
    """Print a line per scene."""
    print("scene                        targets components  loop ms  ours ms  loop / ours")
    for size, n_targets, n_false in [
        ((256, 256), 2, 3), ((512, 512), 300, 240), ((1024, 1280), 5, 50),
    ]:  # fmt: skip
        pair = scene(size, n_targets, n_false)
        expected, found = component_loop(*pair), library(*pair)
        for key, value in expected.items():
            if abs(found[key] - value) > 1e-9:
                raise SystemExit(
                    f"{size}: {key} is {found[key]} by the library, {value} by the loop"
                )
        loop, ours = best_ms(component_loop, *pair), best_ms(library, *pair)
        components = int(found["n_predicted"])
        print(
            f"{size[0]:5d} x {size[1]:5d} {n_targets:21d} {components:10d} {loop:8.1f} {ours:8.2f}"
            f" {loop / ours:12.1f}"
        )


if __name__ == "__main__":
    main()
