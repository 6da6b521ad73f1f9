"""A large batch with every kind of faulty file is prepared without exactly those."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from irstd.data.faults import read_quarantine
from irstd.stages.prepare import prepare
from tests.damaged_files import huge_png
from tests.sirst_layout import SHAPE, sirst_params, write_image, write_pair

IMAGES = 1000


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: list[Callable[[Path, Path], object]] = [
    lambda image, _: image.write_bytes(image.read_bytes()[:-20]),
    lambda image, _: image.write_bytes(b""),
    lambda image, _: image.write_bytes(b"no image"),
    lambda image, _: image.write_bytes(huge_png(20_000)),
    lambda image, _: replace_by_pipe(image),
    lambda image, _: replace_by_link(image),
    lambda image, _: image.unlink(),
    lambda _, mask: mask.unlink(),
    lambda _, mask: write_image(mask, np.full((48, 32), 255, np.uint8)),
    lambda _, mask: write_image(mask, np.eye(*SHAPE, dtype=np.uint8) * 7),
]


@pytest.mark.slow  # writes and reads 2,000 files
def test_ten_bad_ones_of_a_thousand_are_quarantined(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "raw" / "sirst"
    names = [f"img {number} ü" for number in range(IMAGES)]
    for number, name in enumerate(names):
        write_pair(folder, name, number)
    bad = names[5::100]
    for name, damage in zip(bad, DAMAGES, strict=True):
        damage(folder / "images" / f"{name}.png", folder / "masks" / f"{name}_pixels0.png")
    (folder / "splits").mkdir()
    for part, first in (("train", 0), ("val", 600), ("test", 800)):
        listed = names[first : {"train": 600, "val": 800, "test": 1000}[part]]
        text = "\r\n".join(listed)
        (folder / "splits" / f"idx_427_{part}.txt").write_bytes(text.encode())
    data = prepare(tmp_path, sirst_params(fault_policy="quarantine"))
    assert sorted(read_quarantine(data.folder)["id"]) == sorted(bad)
    assert set(data.index["id"]) == set(names) - set(bad)
