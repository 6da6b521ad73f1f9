"""The loop of one published code and an OpenCV pass over the same images, timed side by side.

They are for comparison with times measured elsewhere. Those depend on the libraries, so an
interpreter with others can be asked too; this file therefore imports nothing of `irstd`. By the
wall clock they also depend on what else runs, so both are timed once more on a core that they share
with busy programs (Linux).
Run: python -m benchmarks.metric_baseline IMAGES.npz
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from benchmarks.metric_loops import Figures, basicirstd_code, loaded

Image = tuple[np.ndarray, np.ndarray]
"""Probability and mask, both (H, W)."""
Input = TypeVar("Input")

ROOT = Path(__file__).resolve().parent.parent
RUNS = 3
RIVALS = 4  # busy programs on the same core
RIVAL = """
import os, numpy as np
parent, x = os.getppid(), np.zeros(4_000_000)
while os.getppid() == parent:
    x += 1
"""
LIBRARIES = {
    "OpenCV": "opencv-python-headless",
    "NumPy": "numpy",
    "scikit-image": "scikit-image",
    "torch": "torch",
    "SciPy": "scipy",
}


@dataclass(frozen=True)
class Baseline:
    """Milliseconds per image.

    Attributes:
        libraries: what ran, with versions.
        loop: IoU, recall, P_d and F_a by BasicIRSTD's loop, processor time.
        opencv: P_d and F_a by OpenCV's labelling with areas and centroids, processor time.
        loop_busy: the loop by the wall clock on a core shared with `RIVALS` busy programs.
        opencv_busy: the same of the OpenCV pass.
    """

    libraries: str
    loop: float
    opencv: float
    loop_busy: float
    opencv_busy: float


def opencv_code(images: Sequence[Image]) -> Figures:
    """P_d and F_a with any component closer than 3 pixels: about what an OpenCV pass costs."""
    hits = n_targets = false = pixels = 0
    for probability, mask in images:
        (_, _, boxes, centres), (_, _, _, places) = (
            cv2.connectedComponentsWithStats(x.view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
            for x in (probability > 0.5, mask > 0)
        )
        near = np.linalg.norm(places[1:, None] - centres[None, 1:], axis=2) < 3
        hits, n_targets = hits + near.any(axis=1).sum(), n_targets + len(near)
        false += boxes[1:, cv2.CC_STAT_AREA][~near.any(axis=0)].sum()
        pixels += mask.size
    return {"pd": hits / n_targets, "fa_pixel": false / pixels}


def best(function: Callable[[Sequence[Input]], object], images: Sequence[Input]) -> float:
    """Least processor time of some calls in milliseconds, after one that does not count."""
    function(images)
    taken = []
    for _ in range(RUNS):
        start = time.process_time()
        function(images)
        taken.append(1e3 * (time.process_time() - start))
    return min(taken)


def wall(function: Callable[[Sequence[Input]], object], images: Sequence[Input]) -> float:
    """Mean wall-clock time of an image in milliseconds, waiting for other programs included."""
    start = time.perf_counter()
    for _ in range(RUNS):
        function(images)
    return 1e3 * (time.perf_counter() - start) / RUNS / len(images)


@contextmanager
def busy_core() -> Iterator[None]:
    """Run on one core, which busy programs share (Linux)."""
    cores = os.sched_getaffinity(0)
    with ExitStack() as ends:
        ends.callback(os.sched_setaffinity, 0, cores)
        os.sched_setaffinity(0, {min(cores)})
        for _ in range(RIVALS):
            rival = ends.enter_context(subprocess.Popen([sys.executable, "-c", RIVAL]))
            ends.callback(rival.kill)
        time.sleep(1)  # until they are at work
        yield


def one_thread() -> None:
    """Keep OpenCV and torch to one thread."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def baseline(images: Sequence[Image]) -> Baseline:
    """All times with the libraries of this interpreter."""
    tensors = loaded(images)
    loop, opencv = best(basicirstd_code, tensors), best(opencv_code, images)
    with busy_core():
        busy = wall(basicirstd_code, tensors), wall(opencv_code, images)
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    libraries = ", ".join(
        [*(f"{name} {version(package)}" for name, package in LIBRARIES.items()), python]
    )
    return Baseline(libraries, loop / len(images), opencv / len(images), *busy)


def baseline_by(python: Path, images: Sequence[Image]) -> Baseline:
    """All times with the libraries of another interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npz"
        np.savez(path, probabilities=[p for p, _ in images], masks=[mask for _, mask in images])
        command = [str(python), "-m", "benchmarks.metric_baseline", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} ended with {done.returncode}:\n{done.stderr}")
    return Baseline(**json.loads(done.stdout))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the times of the images in a file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "images", type=Path, help="NPZ file with `probabilities` and `masks`, both (N, H, W)"
    )
    with np.load(parser.parse_args(argv).images) as arrays:
        images = list(zip(arrays["probabilities"], arrays["masks"], strict=True))
    one_thread()
    json.dump(asdict(baseline(images)), sys.stdout)


if __name__ == "__main__":
    main()
