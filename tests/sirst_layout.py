"""A small data set in SIRST's layout, and parameters that read it."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from irstd.config import Params, parse_params, read_yaml

PROJECT = Path(__file__).parents[1]
IDX_427 = {"train": 6, "val": 3, "test": 3}
SHAPE = (24, 32)


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write pixels as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def write_pair(folder: Path, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Write one image with two targets, of 4 and 1 pixels; return image and mask (0 or 1)."""
    image = np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:5, 4:6] = 1
    mask[20, 30] = 1
    write_image(folder / "images" / f"{name}.png", image)
    write_image(folder / "masks" / f"{name}_pixels0.png", mask * 255)
    return image, mask


def write_sirst(folder: Path, stem: str = "s") -> Path:
    """Write 12 images, STEM_0 to STEM_11, and lists `idx_427` (6, 3, 3) and `nuaa` (8, 4; CRLF)."""
    names = [f"{stem}_{number}" for number in range(12)]
    for number, name in enumerate(names):
        write_pair(folder, name, number)
    splits = folder / "splits"
    splits.mkdir()
    start = 0
    for part, count in IDX_427.items():
        text = "\n".join(names[start : start + count])
        (splits / f"idx_427_{part}.txt").write_text(text, encoding="utf-8")
        start += count
    for file, part_names in (("nuaa_213_train", names[4:]), ("nuaa_214_test", names[:4])):
        text = "\r\n".join(part_names) + "\r\n"
        (splits / f"{file}.txt").write_bytes(text.encode())
    return folder


def make_params(**data: Any) -> Params:
    """Parameters of the base profile with some values of the group `data` replaced."""
    tree = read_yaml(PROJECT / "profiles" / "demo.yaml")
    tree["data"] |= data
    return parse_params(tree, "test")


def sirst_params(**data: Any) -> Params:
    """Parameters for SIRST."""
    return make_params(**{"source": "sirst", "split": "idx_427"} | data)
