"""Near-duplicates: time of exact decisions, pairs lost, growth with the number, videos, two sizes.

All times are those of `NearImages`, from the images in memory to the pairs.

1. All pairs of generated images, each fourth a changed copy of another, proposed by the bound. On a
   subset every pair's SSIM is computed in full, and pairs above the threshold are counted that are
   not found by the bound, or by sketches.
2. Growing numbers of small textures, of which each fourth is a changed copy of the one before.
   Full SSIM of these known copies shows what is lost.
3. Frames of few still scenes: pairs across scenes, and frames kept when near ones are dropped.
4. Generated images with averaged copies at other sizes, against SSIM of all pairs of two sizes.

Run: python benchmarks/near_duplicates.py
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from irstd.config import GeneratedParams
from irstd.data.backgrounds import power_law_field
from irstd.data.construction.near import NearImages, similarity
from irstd.data.construction.spread import spread
from irstd.data.construction.ssim import ssim
from irstd.data.generated import generate
from irstd.evaluation.summary import Table
from irstd.inference.backends import processor_name
from irstd.stages.publish import update_readme

BLOCK = "near"
COPY_EVERY = 4
FULL = 65535
FACTORS = (2, 3, 4)
AIM_MINUTES = 20.0

ALL, BOUND, SKETCHES = "SSIM of all pairs", "bound", "sketches"

Pair = tuple[int, int]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Plan:
    """How many images of which size, the SSIM, the bits of hashes, and the threads."""

    images: int = 1024
    height: int = 512
    width: int = 640
    subset: int = 400
    small: int = 100_000
    side: int = 64
    scenes: int = 3
    frames: int = 2000
    family: int = 48
    threshold: float = 0.85
    bits: int = 8
    workers: int = 2


QUICK = Plan(24, 64, 96, 16, 400, 32, 2, 40, 8)


@dataclass(frozen=True)
class Search:
    """Seconds that a search took, and pairs found, lost and wrongly found; None if unmeasured."""

    seconds: float
    found: int
    lost: int | None = None
    wrong: int | None = None


def generated(count: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Generated scenes."""
    params = GeneratedParams.model_validate(
        {
            "images": max(count, 8), "frames": 1, "height": height, "width": width,
            "train": 0.6, "val": 0.2, "targets_per_image": {"low": 1, "high": 3},
            "empty_share": 0.1, "scr": {"low": 3.0, "high": 9.0},
            "psf_sigma_px": {"low": 0.8, "high": 1.6}, "clutter_per_image": {"low": 2, "high": 5},
            "noise_std": 0.005,
        }
    )  # fmt: skip
    return (raw.image for raw in generate(params, seed=0))


def scenes(count: int, height: int, width: int) -> list[np.ndarray]:
    """Generated scenes; each fourth image is a copy with other gain, noise and place."""
    images: list[np.ndarray] = []
    for image in generated(count, height, width):
        images.append(image)
        if len(images) % COPY_EVERY == COPY_EVERY - 1:
            images.append(copy_of(image, np.random.default_rng(len(images))))
        if len(images) >= count:
            break
    return images[:count]


def copy_of(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same scene a moment later: other gain, more noise, moved by up to a pixel."""
    full = np.iinfo(image.dtype).max
    gain, std = rng.uniform(0.9, 1.1), rng.uniform(0.0, 0.015)
    moved = np.roll(image, rng.integers(0, 2), axis=1) / full * gain
    noise = rng.normal(0.0, std, image.shape)
    return np.round(np.clip(moved + noise, 0.0, 1.0) * full).astype(image.dtype)


def texture(rng: np.random.Generator, side: int) -> np.ndarray:
    """A small 8-bit texture."""
    field = rng.uniform(0.05, 0.2) * power_law_field(rng, (side, side), rng.uniform(2.0, 3.5))
    unit = np.clip(rng.uniform(0.2, 0.6) + field, 0.0, 1.0)
    return np.round(unit * 255).astype(np.uint8)


def textures(count: int, side: int) -> list[np.ndarray]:
    """Small textures; each fourth is a changed copy of the one before."""
    images: list[np.ndarray] = []
    for number in range(count):
        rng = np.random.default_rng(number)
        changed = number % COPY_EVERY == COPY_EVERY - 1
        images.append(copy_of(images[-1], rng) if changed else texture(rng, side))
    return images


def videos(count: int, frames: int, side: int) -> list[np.ndarray]:
    """Frames of still scenes that differ by noise, scene after scene."""
    rng = np.random.default_rng(0)
    stills = [texture(rng, side) for _ in range(count)]
    return [
        np.clip(np.round(still + rng.normal(0.0, 1.0, still.shape)), 0, 255).astype(np.uint8)
        for still in stills
        for _ in range(frames)
    ]


def averaged_family(count: int, height: int, width: int) -> list[np.ndarray]:
    """Generated scenes, each with an averaged copy at half, a third or a quarter of its size."""
    images: list[np.ndarray] = []
    for number, image in zip(range(count // 2), generated(count, height, width), strict=False):
        factor = FACTORS[number % len(FACTORS)]
        size = width // factor, height // factor
        images += [image, cv2.resize(image, size, interpolation=cv2.INTER_AREA)]
    return images


def timed(work: Callable[[], Value]) -> tuple[Value, float]:
    """A result, and the seconds that it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def near_pairs(images: list[np.ndarray], plan: Plan, exact: bool) -> tuple[set[Pair], float]:
    """All near pairs, and the seconds that it took."""
    up_to = len(images) if exact else 1

    def search() -> set[Pair]:
        near = NearImages(images, plan.threshold, plan.bits, up_to, plan.workers)
        return {(i, j) for i, j in near.pairs(plan.threshold, range(len(images))).tolist()}

    return timed(search)


def truly_near(
    images: list[np.ndarray],
    pairs: Sequence[Pair],
    plan: Plan,
    value: Callable[[np.ndarray, np.ndarray], float] = ssim,
) -> set[Pair]:
    """Those of some pairs whose SSIM, computed in full, is above the threshold."""
    values = spread(lambda pair: value(images[pair[0]], images[pair[1]]), pairs, plan.workers)
    return {pair for pair, one in zip(pairs, values, strict=True) if one > plan.threshold}


def search_large(plan: Plan) -> tuple[dict[str, Search], int]:
    """Part 1, and how many near pairs the subset has."""
    images = scenes(plan.images, plan.height, plan.width)
    few = images[: plan.subset]
    subset = list(combinations(range(len(few)), 2))
    above, seconds = timed(lambda: truly_near(few, subset, plan))
    searches = {ALL: Search(seconds, len(above))}
    for name, some, exact in ((BOUND, images, True), (SKETCHES, few, False)):
        found, seconds = near_pairs(some, plan, exact)
        wrong = len(found & set(subset) - above)
        searches[name] = Search(seconds, len(found), len(above - found), wrong)
    return searches, len(above)


def search_small(plan: Plan) -> dict[int, Search]:
    """Part 2 by the number of images."""
    images = textures(plan.small, plan.side)
    copies = [(k - 1, k) for k in range(COPY_EVERY - 1, plan.small, COPY_EVERY)]
    above = truly_near(images, copies, plan)
    searches = {}
    for count in (plan.small // 4, plan.small // 2, plan.small):
        found, seconds = near_pairs(images[:count], plan, exact=False)
        lost = {pair for pair in above if pair[1] < count} - found
        searches[count] = Search(seconds, len(found), len(lost))
    return searches


def search_video(plan: Plan) -> dict[str, Search]:
    """Part 3: frames of one scene in one part, then all in one order."""
    frames = videos(plan.scenes, plan.frames, plan.side)
    scene = np.repeat(range(plan.scenes), plan.frames).tolist()
    limits = [plan.threshold] * len(frames)

    def across() -> int:
        near = NearImages(frames, plan.threshold, plan.bits, 1, plan.workers)
        return len(near.pairs(plan.threshold, scene))

    def kept() -> int:
        near = NearImages(frames, plan.threshold, plan.bits, 1, plan.workers)
        return sum(not partners for partners in near.distinct(limits))

    (pairs, pairs_seconds), (n_kept, kept_seconds) = timed(across), timed(kept)
    return {
        "sketches, pairs of two scenes": Search(pairs_seconds, pairs),
        "sketches, frames that are kept": Search(kept_seconds, n_kept),
    }


def search_two_sizes(plan: Plan) -> dict[str, Search]:
    """Part 4: averaged copies, and all pairs of two sizes."""
    images = averaged_family(plan.family, plan.height, plan.width)
    pairs = [
        (i, j) for i, j in combinations(range(len(images)), 2) if images[i].shape != images[j].shape
    ]
    above = truly_near(images, pairs, plan, similarity)
    copies = {(k, k + 1) for k in range(0, len(images), 2)}
    found, seconds = near_pairs(images, plan, exact=True)
    searches = {}
    for name, some in (("averaged copies", copies), ("all of two sizes", set(pairs))):
        here, true = found & some, above & some
        searches[name] = Search(seconds, len(here), len(true - here), len(here - true))
    return searches


def verdicts(large: dict[str, Search], small: dict[int, Search], above: int) -> str:
    """Whether the aims are reached."""
    seconds = large[BOUND].seconds
    word = "reached" if seconds <= 60 * AIM_MINUTES else "missed"
    lines = [f"Exact decisions within {AIM_MINUTES:g} minutes: {word} ({seconds / 60:.1f})."]
    lost = {
        f"bound, of {above}": large[BOUND].lost,
        f"sketches, of {above}": large[SKETCHES].lost,
        "sketches, of the known copies": small[max(small)].lost,
    }
    missed = [f"{name}: {count}" for name, count in lost.items() if count]
    lines.append("0 lost: " + (f"missed ({'; '.join(missed)})." if missed else "reached."))
    return " ".join(lines)


def shown(count: int | None) -> str:
    """A count, or a dash where nothing was counted."""
    return "-" if count is None else f"{count}"


def report(plan: Plan) -> str:
    """Conditions, verdicts and tables in Markdown."""
    large, above = search_large(plan)
    small, video, sizes = search_small(plan), search_video(plan), search_two_sizes(plan)
    conditions = (
        f"`python benchmarks/near_duplicates.py` on {processor_name()}, workers: {plan.workers}, "
        f"SSIM > {plan.threshold:g}, from images in memory. Each fourth image is a changed copy of "
        f"another. Lost, wrong: of the {above} near pairs among the first {plan.subset} images of "
        f"{plan.width} x {plan.height}; of the known copies among the textures of "
        f"{plan.side} x {plan.side} that are above the threshold; of the near pairs of two sizes."
    )
    size, side = f"{plan.width} x {plan.height}", f"{plan.side} x {plan.side}"
    rows = [
        (f"{plan.images if name == BOUND else plan.subset} of {size}", name, one)
        for name, one in large.items()
    ]
    rows += [(f"{count} of {side}", SKETCHES, one) for count, one in small.items()]
    still = f"{plan.scenes} still scenes of {plan.frames} frames, {side}"
    rows += [(still, name, one) for name, one in video.items()]
    by = f"hashes within {plan.bits} bits"
    rows += [(f"{plan.family} of two sizes, {of}", by, one) for of, one in sizes.items()]
    cells = [
        (of, name, f"{one.found}", f"{one.seconds:.1f}", shown(one.lost), shown(one.wrong))
        for of, name, one in rows
    ]
    table = Table(("Images", "By", "Found", "Seconds", "Lost", "Wrong"), tuple(cells))
    return "\n\n".join((conditions, verdicts(large, small, above), table.markdown()))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=Plan.workers, help="threads")
    parser.add_argument(
        "--quick", action="store_true", help="few small images, to see that it works"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"also put it into the block {BLOCK} of FILE"
    )
    options = parser.parse_args(argv)
    if options.quick and options.write:
        parser.error("--write wants the full benchmark: leave out --quick")
    cv2.setNumThreads(1)
    text = report(replace(QUICK if options.quick else Plan(), workers=options.workers))
    print(text)
    if options.write:
        update_readme(options.write, {BLOCK: text})


if __name__ == "__main__":
    main()
