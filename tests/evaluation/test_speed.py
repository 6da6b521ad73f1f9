import itertools

import numpy as np
import pytest

from irstd.errors import ModelError
from irstd.evaluation.speed import (
    BATCH_RUNS,
    WARM_UP_RUNS,
    Throughput,
    measure_latency,
    measure_throughput,
)
from tests.tiny_network import tiny_facts


def test_warm_up_runs_are_not_timed() -> None:
    now = 0.0
    # Slow at first, then 1, 2, 3, 4 ms.
    costs = itertools.chain([9.0] * WARM_UP_RUNS, [0.001, 0.002, 0.003, 0.004])
    shapes = []

    def predict(image: np.ndarray) -> None:
        nonlocal now
        now += next(costs)
        shapes.append(image.shape)

    latency = measure_latency(predict, np.zeros((4, 6)), runs=4, clock=lambda: now)
    assert latency.median_ms == pytest.approx(2.5)
    assert latency.p95_ms == pytest.approx(3.85)
    assert (latency.runs, latency.height, latency.width) == (4, 4, 6)
    assert len(shapes) == WARM_UP_RUNS + 4


class Recorder:
    """A backend that takes a second per batch and has memory for so many images."""

    device_name = "none"

    def __init__(self, capacity: int = 99) -> None:
        self.capacity, self.now = capacity, 0.0
        self.batches: list[np.ndarray] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch)
        if len(batch) > self.capacity:
            raise ModelError("not enough memory")
        self.now += 100.0 if len(self.batches) == 1 else 1.0
        return np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)


def throughput(backend: Recorder, pixels: int | None = None) -> Throughput:
    images = [np.full((20, 30), 255, np.uint8), np.full((24, 17), 255, np.uint8)]
    return measure_throughput(backend, tiny_facts(), images, pixels, clock=lambda: backend.now)


def test_a_batch_holds_eight_images_padded_to_one_size() -> None:
    backend = Recorder()
    assert throughput(backend) == Throughput(8.0, 8, BATCH_RUNS, 24, 32)
    assert len(backend.batches) == BATCH_RUNS + 1  # the slow first one is not counted
    batch = backend.batches[0]
    assert batch.shape == (8, 1, 24, 32)
    assert [int(one.sum()) for one in batch[:3]] == [20 * 30, 24 * 17, 20 * 30]


def test_the_largest_batch_that_fits_is_named() -> None:
    assert throughput(Recorder(capacity=3)).batch == 2
    assert throughput(Recorder(), pixels=24 * 32 * 5).batch == 4
    assert throughput(Recorder(), pixels=1).batch == 1
    with pytest.raises(ModelError, match="not enough memory"):
        throughput(Recorder(capacity=0))
