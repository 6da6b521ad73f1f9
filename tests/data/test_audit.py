from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from irstd.config import parse_params
from irstd.data.audit import audit, split_table, stated_shares
from irstd.data.generated import generate
from irstd.data.sources import RawImage
from irstd.data.store import MASKS_FILE, PIXELS_FILE, PreparedData, write_prepared
from irstd.data.verdict import judge
from tests.validation_table import LIMITS, profile_tree

PARAMS = parse_params(profile_tree("smoke"), "smoke")
SHARES = stated_shares(PARAMS.data)
NEAR = LIMITS.near_duplicate_ssim, LIMITS.near_duplicate_bits


@pytest.fixture(scope="module")
def raw_images() -> list[RawImage]:
    return list(generate(PARAMS.data.generated, PARAMS.seed))


def _audit(folder: Path, images: list[RawImage], quarantined: int = 0) -> pd.DataFrame:
    write_prepared(folder, images, "generated")
    return audit(PreparedData(folder), quarantined, SHARES, *NEAR)


def _failed(table: pd.DataFrame) -> set[str]:
    return {outcome.key for outcome in judge(table, LIMITS)[0] if not outcome.success}


def test_generated_images_meet_every_expectation(tmp_path: Path, raw_images: list) -> None:
    table = _audit(tmp_path, raw_images)
    assert len(table) == 16
    assert _failed(table) == set()
    assert table["missing"].isna().all()
    assert set(table["mask_values"]) <= {"0", "0 1"}
    assert (table["image_pixels"] == 64 * 64).all()
    assert (table["mask_targets"] == table["n_targets"]).all()


def test_an_empty_image_has_no_target_figures(tmp_path: Path, raw_images: list) -> None:
    empty = replace(raw_images[0], mask=np.zeros_like(raw_images[0].mask))
    table = _audit(tmp_path, [empty, *raw_images[1:]])
    assert np.isnan(
        table.loc[0, ["smallest_area", "largest_area", "scr_median"]].astype(float)
    ).all()
    assert table.loc[0, "scr_undefined"] == 0


def test_stored_bytes_that_end_early_are_missing(tmp_path: Path, raw_images: list) -> None:
    write_prepared(tmp_path, raw_images, "generated")
    masks = np.load(tmp_path / MASKS_FILE)
    np.save(tmp_path / MASKS_FILE, masks[:-100])
    table = audit(PreparedData(tmp_path), 0, SHARES, *NEAR)
    assert table["missing"].dropna().to_dict() == {15: "mask"}
    assert "pairs_complete" in _failed(table)


def test_changed_pixels_are_found(tmp_path: Path, raw_images: list) -> None:
    write_prepared(tmp_path, raw_images, "generated")
    pixels = np.load(tmp_path / PIXELS_FILE)
    pixels[64 * 64 * 2 * 3] ^= 1
    np.save(tmp_path / PIXELS_FILE, pixels)
    table = audit(PreparedData(tmp_path), 0, SHARES, *NEAR)
    assert table.index[table["checksum"] != table["stored_checksum"]].tolist() == [3]
    assert _failed(table) == {"pixels_unchanged"}


def test_masks_that_are_not_binary_are_found(tmp_path: Path, raw_images: list) -> None:
    write_prepared(tmp_path, raw_images, "generated")
    masks = np.load(tmp_path / MASKS_FILE)
    masks[0] = 255
    np.save(tmp_path / MASKS_FILE, masks)
    table = audit(PreparedData(tmp_path), 0, SHARES, *NEAR)
    assert table.loc[0, "mask_values"].endswith("255")
    assert {"masks_binary", "pixels_unchanged", "targets_counted"} == _failed(table)


def test_a_mask_of_another_size_is_found(tmp_path: Path, raw_images: list) -> None:
    """The index says 64 x 64; the second image's bytes begin where 32 x 64 pixels would end."""
    write_prepared(tmp_path, raw_images, "generated")
    data = PreparedData(tmp_path)
    data.index.loc[1:, "mask_offset"] -= 32 * 64
    table = audit(data, 0, SHARES, *NEAR)
    assert table.loc[0, "mask_pixels"] == 32 * 64
    assert table.loc[1, "mask_pixels"] == 64 * 64
    assert "sizes_equal" in _failed(table)


def test_copies_in_other_parts_are_found(tmp_path: Path, raw_images: list) -> None:
    train = next(raw for raw in raw_images if raw.split == "train")
    copy = replace(train, id="copy", split="test", mask=np.zeros_like(train.mask))
    pixels = train.image.copy()
    pixels[0, 0] ^= 1
    near = replace(train, id="near", split="val", image=pixels)
    table = _audit(tmp_path, [*raw_images, copy, near]).set_index("id")
    assert table.loc["copy", "equal_elsewhere"] == train.id
    assert table.loc[train.id, "equal_elsewhere"] == "copy"
    assert table.loc["near", "near_elsewhere"] == f"{train.id}, copy"
    assert table["equal_elsewhere"].notna().sum() == 2


def test_a_sequence_in_two_parts_is_found(tmp_path: Path, raw_images: list) -> None:
    first, second = raw_images[0], next(r for r in raw_images if r.split != raw_images[0].split)
    images = [
        replace(raw, sequence="s", frame=0) if raw.id in (first.id, second.id) else raw
        for raw in raw_images
    ]
    table = _audit(tmp_path, images).set_index("id")
    assert table.loc[first.id, "sequence_elsewhere"] == second.id
    assert table["sequence_elsewhere"].notna().sum() == 2


def test_images_left_out_are_a_share_of_those_listed(tmp_path: Path, raw_images: list) -> None:
    table = _audit(tmp_path, raw_images, quarantined=4)
    assert (table["quarantine_share"] == 0.2).all()


def _index(**means: list[float]) -> pd.DataFrame:
    rows = [
        {"split": split, "sequence": None, "frame": None}
        | {"mean": mean, "n_targets": 1, "scr": np.array([mean * 10])}
        for split, values in means.items()
        for mean in values
    ]
    return pd.DataFrame(rows)


def test_drift_is_measured_against_the_training_part() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(0.4, 0.1, 400).tolist()
    table = split_table(
        _index(train=train, val=rng.normal(0.4, 0.1, 100), test=rng.normal(0.6, 0.1, 100)),
        {"train": 0.5, "val": 0.25, "test": 0.25},
    )
    assert table.loc["train", ["scr_drift_p", "mean_drift"]].tolist() == [1.0, 0.0]
    assert table.loc["val", "mean_drift"] < 3
    assert table.loc["val", "scr_drift_p"] > 0.01
    expected = 0.2 / (0.1 * np.sqrt(1 / 400 + 1 / 100))
    assert table.loc["test", "mean_drift"] == pytest.approx(expected, rel=0.15)
    assert table.loc["test", "scr_drift_p"] < 1e-6
    assert table.loc["test", "split_share_error"] == pytest.approx(0.25 - 1 / 6)


def test_frames_of_a_sequence_count_once() -> None:
    """Sequences of 50 nearly equal frames: each frame counted, any two parts would differ."""
    rng = np.random.default_rng(0)
    levels = {"train": rng.normal(0.4, 0.1, 12), "val": rng.normal(0.4, 0.1, 4)}
    means = {
        split: (values[:, None] + rng.normal(0, 1e-3, (len(values), 50))).ravel().tolist()
        for split, values in levels.items()
    }
    frames = _index(**means)
    counted = split_table(frames, {})
    assert counted.loc["val", "scr_drift_p"] < LIMITS.scr_drift_p
    assert counted.loc["val", "mean_drift"] > LIMITS.mean_drift_sigma
    frames["sequence"], frames["frame"] = frames.index // 50, frames.index % 50
    first = frames[frames["frame"] == 0].assign(sequence=None)
    table = split_table(frames.sample(frac=1, random_state=0), {})
    drifts = ["scr_drift_p", "mean_drift"]
    pd.testing.assert_frame_equal(table[drifts], split_table(first, {})[drifts])
    assert table.loc["val", "scr_drift_p"] > LIMITS.scr_drift_p
    assert table.loc["val", "split_targets"] == 200


def test_drift_of_a_constant_reference_is_finite() -> None:
    table = split_table(_index(train=[0.4, 0.4], val=[0.4], test=[1.0]), {})
    assert table.loc["val", "mean_drift"] == 0.0
    assert np.isfinite(table.loc["test", "mean_drift"])
    assert table.loc["test", "mean_drift"] > 1e6


@pytest.mark.parametrize(
    ("split", "counts"),
    [("idx_427", (256, 85, 86)), ("idx_320", (160, 64, 96)), ("nuaa", (170.4, 42.6, 214))],
)
def test_stated_shares_of_published_splits(split: str, counts: tuple[float, ...]) -> None:
    tree = profile_tree("sirst")
    tree["data"]["split"] = split
    shares = stated_shares(parse_params(tree, "sirst").data)
    for part, count in zip(("train", "val", "test"), counts, strict=True):
        assert shares[part] == pytest.approx(count / sum(counts))


def test_stated_shares_of_the_generated_source() -> None:
    assert stated_shares(PARAMS.data) == pytest.approx({"train": 0.6, "val": 0.15, "test": 0.25})
