"""How fast one image becomes detections."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

WARM_UP_RUNS = 3


@dataclass(frozen=True)
class Latency:
    """Wall time from an image in memory to its detections, one image at a time.

    Attributes:
        median_ms: median.
        p95_ms: 95th percentile.
        runs: timed runs.
        warm_up_runs: runs before, not counted.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """

    median_ms: float
    p95_ms: float
    runs: int
    warm_up_runs: int
    height: int
    width: int


def measure_latency(
    predict: Callable[[np.ndarray], object],
    image: np.ndarray,
    runs: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time a prediction.

    Args:
        predict: returns when the result is in main memory.
        image: (H, W).
        runs: how often it is timed, after `WARM_UP_RUNS` runs that are not.
        clock: seconds.
    """
    for _ in range(WARM_UP_RUNS):
        predict(image)
    times = []
    for _ in range(runs):
        start = clock()
        predict(image)
        times.append(1e3 * (clock() - start))
    median, p95 = np.percentile(times, [50.0, 95.0])
    height, width = image.shape
    return Latency(float(median), float(p95), runs, WARM_UP_RUNS, height, width)
