import threading

import pytest

from irstd.data.construction.spread import spread


@pytest.mark.parametrize("workers", [1, 4, None])
def test_results_keep_their_order(workers: int | None) -> None:
    assert spread(lambda item: item**2, range(50), workers) == [item**2 for item in range(50)]


def test_workers_are_threads_at_once() -> None:
    meet = threading.Barrier(3, timeout=10)
    spread(lambda _: meet.wait(), range(3), 3)


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        spread(lambda item: 1 / item, [1, 0], 2)
