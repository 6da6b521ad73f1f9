"""How fast images become detections, one at a time and in batches."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from irstd.errors import ModelError
from irstd.inference.backends import Backend
from irstd.inference.postprocess import predict_from_logits
from irstd.inference.weights import ModelFacts

WARM_UP_RUNS = 3
BATCH, BATCH_RUNS = 8, 3
CPU_BATCH_PIXELS = 2**20
"""Largest batch on a CPU, in pixels of all its inputs: some GiB of features in a wide network."""


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
        image: (H, W), or a clip (T, H, W).
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
    height, width = image.shape[-2:]
    return Latency(float(median), float(p95), runs, WARM_UP_RUNS, height, width)


@dataclass(frozen=True)
class Throughput:
    """Images per second in batches, from images in memory to their detections.

    Attributes:
        images_per_s: images / median wall time of a batch.
        batch: images in a batch.
        runs: timed batches, after one that is not counted.
        height: of the network's input, in pixels; smaller inputs are zero-padded to it.
        width: of the network's input, in pixels.
    """

    images_per_s: float
    batch: int
    runs: int
    height: int
    width: int


def measure_throughput(
    backend: Backend,
    facts: ModelFacts,
    images: Sequence[np.ndarray],
    pixels: int | None,
    clock: Callable[[], float] = time.perf_counter,
) -> Throughput:
    """Time batches of `BATCH` images, or of half as many and so on until they fit.

    Args:
        backend: runs the network.
        facts: of the network.
        images: (H, W) each, or clips (T, H, W), at least one; fewer than a batch are taken again.
        pixels: a batch has at most so many, unless it is a single image; None: no limit but what
            the backend refuses for lack of memory.
        clock: seconds.

    Raises:
        ModelError: not even one image fits.
    """
    sizes = np.array([facts.preprocessing.apply(image)[1].network for image in images])
    height, width = sizes.max(axis=0).tolist()
    batch = BATCH
    while batch > 1 and pixels is not None and batch * height * width > pixels:
        batch //= 2
    while True:
        try:
            chosen = [images[position % len(images)] for position in range(batch)]
            seconds = _time_batches(backend, facts, chosen, (height, width), clock)
        except ModelError:
            if batch == 1:
                raise
            batch //= 2
        else:
            return Throughput(batch / seconds, batch, BATCH_RUNS, height, width)


def _time_batches(
    backend: Backend,
    facts: ModelFacts,
    images: Sequence[np.ndarray],
    size: tuple[int, int],
    clock: Callable[[], float],
) -> float:
    """Median seconds of a batch."""
    times = []
    for _ in range(BATCH_RUNS + 1):
        start = clock()
        _predict_batch(backend, facts, images, size)
        times.append(clock() - start)
    return float(np.median(times[1:]))


def _predict_batch(
    backend: Backend, facts: ModelFacts, images: Sequence[np.ndarray], size: tuple[int, int]
) -> None:
    """Detect in several images at once; inputs are zero-padded to `size` at bottom and right."""
    placed = [facts.preprocessing.apply(image) for image in images]
    windows = [window for values, _ in placed for window in values]
    batch: Float32[np.ndarray, "n *clip c h w"] = np.zeros(
        (len(windows), *windows[0].shape[:-2], *size), np.float32
    )
    for one, window in zip(batch, windows, strict=True):
        height, width = window.shape[-2:]
        one[..., :height, :width] = window
    maps = iter(backend(batch)[:, 0])
    for _, placement in placed:
        height, width = placement.network
        found = np.stack([next(maps)[:height, :width] for _ in placement.windows])
        predict_from_logits(facts.preprocessing.restore(found, placement), facts.threshold)
