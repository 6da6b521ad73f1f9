import itertools

import numpy as np
import pytest

from irstd.evaluation.speed import WARM_UP_RUNS, measure_latency


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
