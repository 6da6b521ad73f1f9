"""Near-duplicates: time of exact decisions, pairs lost, and growth of the proposal with the number.

1. All pairs of generated images, a quarter of them changed copies of others, are decided by
   `NearImages` in worker processes.
2. On a subset every pair's SSIM is computed in full; pairs above the threshold that the bound or
   the sketches miss are counted.
3. Sketches of many small textures are hashed; pairs proposed and time for growing numbers.

Run: python benchmarks/near_duplicates.py; every number of the plan has an option.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from multiprocessing import get_context

import cv2
import numpy as np

from irstd.config import GeneratedParams
from irstd.data.backgrounds import power_law_field
from irstd.data.construction.near import NearImages
from irstd.data.construction.sketch import near_pairs, sketch
from irstd.data.construction.ssim import ssim
from irstd.data.generated import generate

COPY_EVERY = 4
FULL = 65535

_shared: dict[str, object] = {}  # inherited by the worker processes


def scenes(count: int, height: int, width: int) -> list[np.ndarray]:
    """Generated scenes; each fourth image is a copy with other gain, noise and place."""
    params = GeneratedParams.model_validate(
        {
            "images": max(count, 8), "frames": 1, "height": height, "width": width,
            "train": 0.6, "val": 0.2, "targets_per_image": {"low": 1, "high": 3},
            "empty_share": 0.1, "scr": {"low": 3.0, "high": 9.0},
            "psf_sigma_px": {"low": 0.8, "high": 1.6}, "clutter_per_image": {"low": 2, "high": 5},
            "noise_std": 0.005,
        }
    )  # fmt: skip
    images: list[np.ndarray] = []
    for raw in generate(params, seed=0):
        images.append(raw.image)
        if len(images) % COPY_EVERY == COPY_EVERY - 1:
            images.append(copy_of(raw.image, np.random.default_rng(len(images))))
        if len(images) >= count:
            break
    return images[:count]


def copy_of(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same scene a moment later: other gain, more noise, moved by up to a pixel."""
    gain, std = rng.uniform(0.9, 1.1), rng.uniform(0.0, 0.015)
    moved = np.roll(image, rng.integers(0, 2), axis=1) / FULL * gain
    noise = rng.normal(0.0, std, image.shape)
    return np.round(np.clip(moved + noise, 0.0, 1.0) * FULL).astype(np.uint16)


def partners(row: int) -> list[tuple[int, int]]:
    """Near images before one row, in a worker process."""
    near, threshold = _shared["near"], _shared["threshold"]
    earlier = np.arange(_shared["count"]) < row
    return [(other, row) for other in near.partners(row, threshold, earlier)]


def value(pair: tuple[int, int]) -> float:
    """SSIM of a pair, in a worker process."""
    images = _shared["images"]
    return ssim(images[pair[0]], images[pair[1]])


def near_images(
    images: list[np.ndarray], threshold: float, workers: int, exact: bool
) -> tuple[set[tuple[int, int]], float]:
    """All near pairs of some images, and the seconds that it took."""
    start = time.perf_counter()
    near = NearImages(images, threshold, hash_bits=0, exact_up_to=len(images) if exact else 1)
    _shared.update(near=near, threshold=threshold, count=len(images))
    with pool(workers) as executor:
        found = executor.map(partners, range(len(images)), chunksize=4)
        return {pair for some in found for pair in some}, time.perf_counter() - start


def pool(workers: int) -> ProcessPoolExecutor:
    """Worker processes that see what the parent holds."""
    return ProcessPoolExecutor(workers, mp_context=get_context("fork"))


def textures(count: int, side: int) -> list[np.ndarray]:
    """Small textures; each fourth is a changed copy of the one before."""
    images: list[np.ndarray] = []
    for number in range(count):
        rng = np.random.default_rng(number)
        if number % COPY_EVERY == COPY_EVERY - 1:
            images.append(copy_of(images[-1], rng))
            continue
        field = rng.uniform(0.05, 0.2) * power_law_field(rng, (side, side), rng.uniform(2.0, 3.5))
        unit = np.clip(rng.uniform(0.2, 0.6) + field, 0.0, 1.0)
        images.append(np.round(unit * FULL).astype(np.uint16))
    return images


def main() -> None:
    """Print the three parts."""
    parser = argparse.ArgumentParser()
    for name, default in {
        "images": 1024, "height": 512, "width": 640, "subset": 400, "workers": 2,
        "sketches": 100_000, "side": 64,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threshold", type=float, default=0.85)
    options = parser.parse_args()
    cv2.setNumThreads(1)

    images = scenes(options.images, options.height, options.width)
    print(f"{len(images)} images of {options.width} x {options.height}, SSIM > {options.threshold}")
    exact, seconds = near_images(images, options.threshold, options.workers, exact=True)
    n_pairs = len(images) * (len(images) - 1) // 2
    print(f"  bound, exact: {len(exact)} near of {n_pairs} pairs in {seconds:.1f} s")
    sketched, seconds = near_images(images, options.threshold, options.workers, exact=False)
    print(f"  sketch:       {len(sketched)} near of {n_pairs} pairs in {seconds:.1f} s")

    subset = list(combinations(range(min(options.subset, len(images))), 2))
    _shared["images"] = images
    start = time.perf_counter()
    with pool(options.workers) as executor:
        values = list(executor.map(value, subset, chunksize=64))
    seconds = time.perf_counter() - start
    above = {pair for pair, one in zip(subset, values, strict=True) if one > options.threshold}
    print(f"  brute force:  {len(above)} near of {len(subset)} pairs in {seconds:.1f} s")
    print(f"  lost by bound {len(above - exact)}, by sketch {len(above - sketched)}; "
          f"wrongly found {len(exact & set(subset) - above)}")  # fmt: skip

    sketches = sketch(textures(options.sketches, options.side))
    print(f"sketches of textures of {options.side} x {options.side}")
    for count in (options.sketches // 4, options.sketches // 2, options.sketches):
        start = time.perf_counter()
        proposed = len(near_pairs(sketches[:count], options.threshold))
        seconds = time.perf_counter() - start
        share = proposed / (count * (count - 1) / 2)
        print(f"  {count:7d} images: {proposed} pairs, {share:.2e} of all, in {seconds:.1f} s")


if __name__ == "__main__":
    main()
