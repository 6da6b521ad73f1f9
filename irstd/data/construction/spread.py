"""Work on many images in threads: NumPy and OpenCV let others run while they compute."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None
) -> list[Result]:
    """Results in the order of the items; they don't depend on the number of workers.

    Args:
        function: reads what it shares with other calls, and changes nothing.
        items: its arguments.
        workers: threads; None for one per core.
    """
    count = workers or os.cpu_count() or 1
    if count == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, items))
