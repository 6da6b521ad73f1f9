"""The report of the drift stage, on a small prepared reference and batches made of it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from irstd.config.drift import DriftParams
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import DataError
from irstd.layout import Layout
from irstd.stages.drift import check_drift

PARAMS = DriftParams(false_alarm_rate=0.05, least_images=20, most_images=30)


def _pixels(number: int, shift: int = 0) -> np.ndarray:
    rng = np.random.default_rng(number)
    return (rng.integers(60, 120) + rng.integers(0, 40, (32, 40)) + shift).astype(np.uint8)


def _raw(number: int, split: str, shift: int = 0) -> RawImage:
    mask = np.zeros((32, 40), np.uint8)
    mask[10 : 12 + number % 3, 10:13] = 1
    return RawImage(f"i{number}", split, _pixels(number, shift), mask)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = [_raw(number, "train") for number in range(40)]
    images += [_raw(40 + number, "test", shift=90) for number in range(5)]
    write_prepared(Layout(tmp_path, "small").processed, iter(images), "test")
    return tmp_path


def _folder(path: Path, shift: int, count: int = 30) -> Path:
    path.mkdir()
    for number in range(count):
        cv2.imwrite(str(path / f"{number:03d}.png"), _pixels(100 + number, shift))
    return path


def test_an_unchanged_folder_of_images_and_its_report(root: Path) -> None:
    new = _folder(root / "new", shift=0)
    document = check_drift(root, PARAMS, 0, new, "small")
    report = Layout(root, "small").report("drift")
    assert json.loads((report / "drift.json").read_text())["verdict"] == "no_drift"
    assert document["changed"] == []
    assert document["not_tested"] == ["target_count", "target_size", "scr"]
    assert document["reference"]["images"] == 30  # sampled of 40 training images
    table = pd.read_csv(report / "measurements.csv")
    assert table["batch"].value_counts().to_dict() == {"reference": 30, "new": 30}
    assert table.loc[table["batch"] == "reference", "intensity"].max() < 0.7  # no test image
    assert (report / "figures.png").stat().st_size > 10_000
    assert "# Drift: no_drift" in (report / "summary.md").read_text()


def test_a_change_is_named_and_equal_runs_give_equal_files(root: Path) -> None:
    new = _folder(root / "new", shift=60)
    report = Layout(root, "small").report("drift")
    assert check_drift(root, PARAMS, 0, new, "small")["changed"] == ["intensity"]
    first = (report / "drift.json").read_bytes()
    check_drift(root, PARAMS, 0, new, "small")
    assert (report / "drift.json").read_bytes() == first
    assert "| **intensity** | mean grey" in (report / "summary.md").read_text()


def test_a_prepared_batch_is_compared_with_its_targets(root: Path) -> None:
    write_prepared(root / "batch", (_raw(200 + n, "test") for n in range(25)), "test")
    document = check_drift(root, PARAMS, 0, root / "batch", "small")
    assert document["not_tested"] == []
    assert document["verdict"] == "no_drift"
    assert document["new"]["images"] == 25


def test_masks_beside_images_are_ground_truth_and_no_images(root: Path) -> None:
    for part in ("images", "masks"):
        (root / "new" / part).mkdir(parents=True)
    for number in range(30):
        raw = _raw(300 + number, "test")
        cv2.imwrite(str(root / "new" / "images" / f"{number}.png"), raw.image)
        cv2.imwrite(str(root / "new" / "masks" / f"{number}.png"), raw.mask * 255)
    (root / "new" / "images" / "7.png").write_bytes(b"no image")
    document = check_drift(root, PARAMS, 0, root / "new", "small")
    assert document["new"]["images"] == 29
    assert [item["file"] for item in document["new"]["unreadable"]] == ["images/7.png"]
    assert document["not_tested"] == []
    assert document["verdict"] == "no_drift"


def test_faulty_files_are_listed_and_the_rest_is_judged(root: Path) -> None:
    new = _folder(root / "new", shift=0, count=28)
    (new / "broken.png").write_bytes(b"no image")
    cv2.imwrite(str(new / "tiny.png"), np.zeros((4, 4), np.uint8))
    document = check_drift(root, PARAMS, 0, new, "small")
    faults = {item["file"]: item["reason"] for item in document["new"]["unreadable"]}
    assert set(faults) == {"broken.png", "tiny.png"}
    assert faults["tiny.png"] == "expected at least 8 x 8 px, got (4, 4)"
    assert document["new"]["images"] == 28
    assert document["verdict"] == "no_drift"


def test_few_images_decide_nothing(root: Path) -> None:
    new = _folder(root / "new", shift=90, count=5)
    assert check_drift(root, PARAMS, 0, new, "small")["verdict"] == "undecided"


def test_nothing_readable_is_an_error(root: Path) -> None:
    new = root / "new"
    new.mkdir()
    (new / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none of 1 files could be read; a\.png: expected"):
        check_drift(root, PARAMS, 0, new, "small")


def test_the_reference_must_be_the_data_of_the_training(root: Path) -> None:
    new = _folder(root / "new", shift=0, count=5)
    checksum = PreparedData(Layout(root, "small").processed).checksum
    check_drift(root, PARAMS, 0, new, "small", trained_on=checksum)
    with pytest.raises(DataError, match=r"expected the data that the network was trained on"):
        check_drift(root, PARAMS, 0, new, "small", trained_on="0" * 64)
    with pytest.raises(DataError, match="no prepared data"):
        check_drift(root, PARAMS, 0, new, "other")
