"""Speed of the data path against plain code: PIL decodes PNG, NumPy augments, per sample.

The plain side is `benchmarks/data_loops.py`. Both sides handle the same generated images, in 8 bit
and in the layout of SIRST. Times are processor times of one thread: images per second and core.
Plain code decodes the files and measures their targets each time; it is set against `prepare`,
which does this once, with checks, checksums and a copy of the pixels, and against the statistics of
what is prepared. The training loader has all augmentations in one row, crop and flips in another;
targets added to half of the images cost time here and have nothing to be compared with in the plain
loader, which stays without them. No GPU is measured: how many workers one needs follows from an
assumed demand, `DEMAND`.

Run: python benchmarks/data.py
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.data_loops import decode, plain_loader, plain_statistics
from benchmarks.metrics import verdict
from irstd.config import CropParams, FitParams, GeneratedParams, Params, RecipeParams, load_params
from irstd.config.synthesis import AddedTargetsParams
from irstd.data.dataset import Crops
from irstd.data.generated import generate
from irstd.data.loader import training_loader
from irstd.data.reading import open_source
from irstd.data.statistics import target_table
from irstd.data.store import SPLITS, PreparedData, write_prepared
from irstd.data.synthesis_augment import TargetAdder
from irstd.evaluation.summary import Table
from irstd.inference.backends import processor_name
from irstd.stages.publish import update_readme

Size = tuple[int, int]
"""(height, width) in pixels."""

PROFILE = Path(__file__).parents[1] / "profiles" / "demo.yaml"
NATIVE = FitParams(method="native", height=64, width=64)
CROP_PX, BATCH_SIZE = 256, 8
SIZES = ((256, 256), (224, 320), (512, 512), (1024, 1280))
QUICK = ((64, 64), (96, 128))
RUNS = 3
AIM = 4.0
BLOCK = "benchmark"
ALL = {
    "flip_horizontal": 0.5, "flip_vertical": 0.5, "transpose": 0.5, "blur": 0.5,
    "brightness": 0.1, "contrast": 0.2, "noise_std": 0.02,
}  # fmt: skip
ADDED = AddedTargetsParams.model_validate(
    {
        "share": 0.5, "count": {"low": 1, "high": 2}, "scr": {"low": 3.0, "high": 9.0},
        "targets": {"name": "pasted"},
    }
)  # fmt: skip
EVERYTHING, FLIPS = "loader, all", "loader, crop and flips"
GEOMETRY = ("flip_horizontal", "flip_vertical", "transpose")
DEMAND = (30, 60)
"""Iterations per second that a training on one H200 may reach: an assumption, no measurement."""

DEMAND_BATCH = 16
"""Images of one such iteration."""


@dataclass(frozen=True)
class Speed:
    """Images per second and core."""

    plain: float
    here: float

    @property
    def ratio(self) -> float:
        """How many times as fast this library is."""
        return self.here / self.plain


def write_folder(folder: Path, params: Params, size: Size, count: int) -> list[str]:
    """Generated images in 8 bit in the layout of SIRST with the lists of `idx_427`.

    Returns:
        Ids of the training part.
    """
    changes = {"images": count, "height": size[0], "width": size[1]}
    scenes = GeneratedParams.model_validate(params.data.generated.model_dump() | changes)
    parts: dict[str, list[str]] = {part: [] for part in SPLITS}
    for path in ("images", "masks", "splits"):
        (folder / path).mkdir(parents=True)
    for raw in generate(scenes, seed=0):
        parts[raw.split].append(raw.id)
        cv2.imwrite(str(folder / "images" / f"{raw.id}.png"), (raw.image >> 8).astype(np.uint8))
        cv2.imwrite(str(folder / "masks" / f"{raw.id}_pixels0.png"), raw.mask * np.uint8(255))
    for part, names in parts.items():
        (folder / "splits" / f"idx_427_{part}.txt").write_text("\n".join(names), encoding="utf-8")
    return parts["train"]


def recipe_of(params: Params, crop_px: int, changes: dict[str, float]) -> RecipeParams:
    """The recipe of ISPANet with some augmentations instead of its own."""
    recipe = params.train.recipes["ispanet"]
    return recipe.model_copy(
        update={
            "augmentation": recipe.augmentation.model_copy(
                update=dict.fromkeys(ALL, 0.0) | changes
            ),
            "crop": CropParams(height=crop_px, width=crop_px),
            "batch_size": BATCH_SIZE,
            "workers": 0,
        }
    )


def per_second(work: Callable[[], object], images: int) -> float:
    """Images per second of processor time, the best of some calls after one that does not count."""
    work()
    taken = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return images / min(taken)


def batches(data: PreparedData, recipe: RecipeParams, adder: TargetAdder | None = None) -> Any:
    """This package's loader in this process."""
    return training_loader(Crops(data, recipe, NATIVE, seed=0, adder=adder), pin_memory=False)


def exhausted(loader: Any) -> None:
    """Go through all batches."""
    for _ in loader:
        pass


def measure(folder: Path, params: Params, size: Size, count: int, crop_px: int) -> dict[str, Speed]:
    """All comparisons on images of one size."""
    raw, prepared = folder / "raw", folder / "prepared"
    train = write_folder(raw, params, size, count)
    names = [path.stem for path in sorted((raw / "images").iterdir())]
    source = params.data.model_copy(update={"source": "sirst", "split": "idx_427", "limit": None})

    def prepare() -> None:
        write_prepared(prepared, open_source(raw, source, 0).images, "sirst")

    def plain_figures() -> None:
        for name in names:
            plain_statistics(*(np.array(plane) for plane in decode(raw, name)))

    plain = per_second(plain_figures, count)
    speeds = {"prepare": Speed(plain, per_second(prepare, count))}
    data = PreparedData(prepared)
    speeds["statistics"] = Speed(plain, per_second(lambda: target_table(data), count))
    used = len(train) // BATCH_SIZE * BATCH_SIZE
    for title, changes in ((EVERYTHING, ALL), (FLIPS, {name: ALL[name] for name in GEOMETRY})):
        recipe = recipe_of(params, crop_px, changes)
        loader = plain_loader(raw, train, recipe)
        speeds[title] = Speed(
            per_second(lambda loader=loader: exhausted(loader), used),
            per_second(lambda recipe=recipe: exhausted(batches(data, recipe)), used),
        )
    adder, recipe = TargetAdder(ADDED, data), recipe_of(params, crop_px, ALL)
    here = per_second(lambda: exhausted(batches(data, recipe, adder)), used)
    speeds["loader, all and added targets"] = Speed(speeds[EVERYTHING].plain, here)
    return speeds


def report(results: Mapping[Size, Mapping[str, Speed]], count: int, crop_px: int) -> str:
    """Conditions, aim and table in Markdown."""
    conditions = (
        f"`python benchmarks/data.py` on {processor_name()}: images per second and core, best of "
        f"{RUNS} runs after a first one on either side, {count} images of each size, batches of "
        f"{BATCH_SIZE} crops of {crop_px} x {crop_px}. Plain: PIL and NumPy, from PNG files."
    )
    rows = [
        (f"{width} x {height}", work, f"{s.plain:.0f}", f"{s.here:.0f}", f"{s.ratio:.1f}")
        for (height, width), speeds in results.items()
        for work, s in speeds.items()
    ]
    table = Table(("Images", "Work", "Plain", "Here", "Ratio"), tuple(rows))
    loaders = {
        f"{width} x {height}, {work}": speeds[work].ratio
        for (height, width), speeds in results.items()
        for work in (EVERYTHING, FLIPS)
    }
    aim = verdict("Loader without added targets", AIM, loaders)
    return "\n\n".join((conditions, aim, workers(results, crop_px), table.markdown()))


def workers(results: Mapping[Size, Mapping[str, Speed]], crop_px: int) -> str:
    """How many worker processes keep a GPU busy with crops, by the size of the images."""
    wanted = [rate * DEMAND_BATCH for rate in DEMAND]
    counts = []
    for (height, width), speeds in results.items():
        speed = speeds[EVERYTHING].here
        least, most = (math.ceil(rate / speed) for rate in wanted)
        number = str(most) if least == most else f"{least} to {most}"
        counts.append(f"{width} x {height}: {speed:.0f} crops a second and core, so {number}")
    return (
        f"Feeding a GPU: a training at {DEMAND[0]} to {DEMAND[1]} iterations a second in batches "
        f"of {DEMAND_BATCH} (assumed, not measured: what one H200 may reach) takes {wanted[0]} to "
        f"{wanted[1]} crops a second of {crop_px} x {crop_px}. Workers (`workers` of a recipe, one "
        "core each) that deliver so many with all augmentations, the way between processes not "
        f"counted: {'; '.join(counts)}."
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=64, help="of each size")
    parser.add_argument("--quick", action="store_true", help="small images, to see that it works")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"also put it into the block {BLOCK} of FILE"
    )
    options = parser.parse_args(argv)
    if options.quick and options.write:
        parser.error("--write wants the full benchmark: leave out --quick")
    if options.images < 2 * BATCH_SIZE:
        parser.error(f"--images: at least {2 * BATCH_SIZE}, so that a batch fills")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    params = load_params(PROFILE)
    crop_px = 32 if options.quick else CROP_PX
    results = {}
    for size in QUICK if options.quick else SIZES:
        with tempfile.TemporaryDirectory() as folder:
            results[size] = measure(Path(folder), params, size, options.images, crop_px)
    text = report(results, options.images, crop_px)
    print(text)
    if options.write:
        update_readme(options.write, {BLOCK: text})


if __name__ == "__main__":
    main()
