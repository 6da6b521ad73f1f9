from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irstd.config.build import BuildParams
from irstd.data.construction.ssim import ssim
from irstd.data.pixels import read_grey, read_mask
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import DataError
from irstd.files import read_json
from irstd.stages.add_data import add_data
from irstd.stages.build import build
from irstd.stages.prepare import prepare
from tests.data.construction.pictures import noisy, texture
from tests.sirst_layout import make_params

SIMILARITY = {
    "simple": 0.9,
    "complex": 0.85,
    "simple_backgrounds": ("sky",),
    "simple_edge_share": 0.02,
    "hash_bits": 8,
}


def _params(**changes: Any) -> BuildParams:
    values = {
        "every_nth": 1,
        "similarity": SIMILARITY,
        "size": {"method": "native", "height": 64, "width": 96},
        "relabel": False,
        "classes": {"sky": "aerial", "sea": "maritime"},
    }
    return BuildParams.model_validate(values | changes)


def _image(name: str, split: str, seed: int, **more: Any) -> RawImage:
    image, mask = texture(seed).copy(), np.zeros((72, 90), np.uint8)
    image[30:35, 40:46], mask[31:34, 41:45] = 255, 1
    return RawImage(name, split, image, mask, **more)


def _images() -> list[RawImage]:
    first = _image("a", "train", 0, background="sky")
    return [
        first,
        replace(first, id="copy", split="test", image=noisy(first.image, 1, 0)),
        _image("b", "val", 1, background="sea"),
        _image("c", "train", 2),
    ]


def _frames() -> list[RawImage]:
    return [
        _image(f"{name}_{number:02d}", part, 3 * place + number, sequence=name, frame=number)
        for place, (name, part) in enumerate((("s0", "train"), ("s1", "val"), ("s2", "test")))
        for number in range(3)
    ]


def _report(folder: Path) -> tuple[dict[str, Any], str]:
    metrics = read_json(folder / "metrics.json", "irstd data build")
    return metrics, (folder / "summary.md").read_text(encoding="utf-8")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared", iter(_images()), "generated")
    return tmp_path / "prepared"


def test_of_two_near_images_the_one_in_the_training_part_goes(
    prepared: Path, tmp_path: Path
) -> None:
    table = build(prepared, tmp_path / "built", tmp_path / "report", _params())
    assert table["decision"].tolist() == ["near-duplicate", "kept", "kept", "kept"]
    assert table["kind"].tolist()[:3] == ["simple", "simple", "complex"]
    assert table["kind_from"].tolist() == ["given", "given", "given", "estimated"]
    stored = pd.read_csv(tmp_path / "report" / "decisions.csv")
    first, copy = (raw.image for raw in _images()[:2])
    dropped = stored.dropna(subset="near")
    assert dropped[["id", "near", "limit"]].to_numpy().tolist() == [["a", "copy", 0.9]]
    assert dropped["ssim"].iloc[0] == pytest.approx(ssim(first, copy), abs=1e-9)
    assert stored.drop(index=0)[["ssim", "limit"]].isna().all(axis=None)


def test_the_report_counts_images_backgrounds_and_classes(prepared: Path, tmp_path: Path) -> None:
    build(prepared, tmp_path / "built", tmp_path / "report", _params())
    metrics, summary = _report(tmp_path / "report")
    assert metrics["images"] == {"kept": 3, "near-duplicate": 1, "not sampled": 0}
    assert metrics["balance_before"]["images"] == {"aerial": 2, "maritime": 1, "unknown": 1}
    assert metrics["balance_after"]["images"] == {"aerial": 1, "maritime": 1, "unknown": 1}
    assert metrics["kinds"]["simple"]["given"] == 2
    assert sum(one["estimated"] for one in metrics["kinds"].values()) == 1
    assert "- simple backgrounds: 2 given, " in summary
    assert -1.0 <= metrics["mean_ssim_after"] < metrics["mean_ssim_before"] < 1.0
    assert "| mean SSIM of a pair | " in summary


def test_without_known_backgrounds_the_balance_is_undefined(tmp_path: Path) -> None:
    images = [replace(raw, background=None) for raw in _images()]
    write_prepared(tmp_path / "prepared", iter(images), "generated")
    build(tmp_path / "prepared", tmp_path / "built", tmp_path / "report", _params())
    metrics, summary = _report(tmp_path / "report")
    assert metrics["balance_before"]["imbalance"] is None
    assert "| largest / smallest class | undefined | undefined |" in summary
    assert "nan" not in summary


@pytest.mark.parametrize("origin", ["boxes", "points"])
def test_boxes_and_points_are_refused(tmp_path: Path, origin: Any) -> None:
    images = _images()
    images[1] = replace(images[1], mask_origin=origin, centres=((32.0, 43.0),))
    write_prepared(tmp_path / "prepared", iter(images), "folder")
    with pytest.raises(DataError, match=f"pixel masks for all 4 images, got only {origin} for 1"):
        build(tmp_path / "prepared", tmp_path / "built", tmp_path / "report", _params())
    assert not (tmp_path / "built").exists()


def test_a_built_data_set_of_sequences_comes_back_as_it_was(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", iter(_frames()), "generated")
    built = tmp_path / "data" / "built" / "demo"
    build(tmp_path / "prepared", built, tmp_path / "report", _params(similarity=None))
    assert (built / "images" / "s0" / "02.png").is_file()
    assert (built / "img_idx" / "val.txt").read_text() == "s1/00\ns1/01\ns1/02\n"
    add_data(tmp_path, "folder", built)
    again = prepare(tmp_path, make_params(source="folder", split="given"))
    _assert_equal(again, _frames())


def test_a_built_data_set_of_images_comes_back_as_it_was(prepared: Path, tmp_path: Path) -> None:
    built = tmp_path / "data" / "built" / "demo"
    build(prepared, built, tmp_path / "report", _params(similarity=None))
    add_data(tmp_path, "folder", built)
    again = prepare(tmp_path, make_params(source="folder", split="given"))
    _assert_equal(again, _images())


def _assert_equal(data: PreparedData, images: list[RawImage]) -> None:
    rows = {name: row for row, name in enumerate(data.index["id"])}
    assert sorted(rows) == sorted(raw.id for raw in images)
    for raw in images:
        row = data.index.iloc[rows[raw.id]]
        assert row["split"] == raw.split
        assert (row["sequence"], row["frame"]) == (raw.sequence, raw.frame) or (
            raw.sequence is None and row[["sequence", "frame"]].isna().all()
        )
        assert np.array_equal(data.image(rows[raw.id]), raw.image)
        assert np.array_equal(data.mask(rows[raw.id]), raw.mask)


def test_every_second_frame_of_each_sequence(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", iter(_frames()), "generated")
    params = _params(every_nth=2, similarity=None)
    table = build(tmp_path / "prepared", tmp_path / "built", tmp_path / "report", params)
    assert table["decision"].tolist() == ["kept", "not sampled", "kept"] * 3
    listed = (tmp_path / "built" / "img_idx" / "train.txt").read_text()
    assert listed == "s0/00\ns0/02\n"


def test_sequences_beside_single_images_are_refused(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared", iter([*_images(), *_frames()]), "generated")
    with pytest.raises(DataError, match="got 4 single images of 13, which no layout of files"):
        build(tmp_path / "prepared", tmp_path / "built", tmp_path / "report", _params())


def test_without_limits_every_image_is_written_as_it_was(prepared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "built"
    build(prepared, folder, tmp_path / "report", _params(similarity=None))
    for raw in _images():
        assert np.array_equal(read_grey(folder / "images" / f"{raw.id}.png"), raw.image)
        assert np.array_equal(read_mask(folder / "masks" / f"{raw.id}.png"), raw.mask)
    lists = {part: (folder / "img_idx" / f"{part}.txt").read_text() for part in ("train", "test")}
    assert lists == {"train": "a\nc\n", "test": "copy\n"}
    targets = pd.read_csv(folder / "targets.csv")
    assert targets[["top", "left", "bottom", "right"]].drop_duplicates().to_numpy().tolist() == [
        [31, 41, 34, 45]
    ]
    assert targets["id"].tolist() == ["a", "copy", "b", "c"]


def test_one_size_for_all_or_every_image_that_does_not_fit_is_named(
    prepared: Path, tmp_path: Path
) -> None:
    size = {"method": "fill", "height": 128, "width": 160}
    build(prepared, tmp_path / "built", tmp_path / "report", _params(size=size))
    assert read_grey(tmp_path / "built" / "images" / "b.png").shape == (128, 160)
    before = sorted(path.name for path in (tmp_path / "built" / "images").iterdir())
    images = [replace(raw, mask=np.eye(72, 90, dtype=np.uint8)) for raw in _images()]
    write_prepared(prepared, iter(images), "generated")
    narrow = _params(similarity=None, size={"method": "crop", "height": 96, "width": 32})
    with pytest.raises(DataError, match=r"4 images cannot .*\n  a: no crop of 72 x 24"):
        build(prepared, tmp_path / "built", tmp_path / "report", narrow)
    assert sorted(path.name for path in (tmp_path / "built" / "images").iterdir()) == before


def test_new_labels_are_proposed_and_the_old_ones_stay(prepared: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    build(prepared, tmp_path / "built", report, _params(relabel=True))
    proposals = pd.read_csv(report / "relabel" / "proposals.csv")
    assert set(proposals["status"]) == {"proposed"}
    assert (proposals["new_px"] > proposals["old_px"]).all()
    name = proposals["id"].iloc[0]
    assert (report / "relabel" / "pictures" / f"{name}_0.png").is_file()
    assert proposals[["top", "left", "bottom", "right"]].iloc[0].tolist() == [31, 41, 34, 45]
    assert "[Old and new labels side by side](relabel/index.html)" in _report(report)[1]
    proposed = read_mask(report / "relabel" / "masks" / f"{name}.png")
    assert proposed.sum() == proposals["new_px"].iloc[0]
    row = PreparedData(prepared).index["id"].tolist().index(name)
    built = read_mask(tmp_path / "built" / "masks" / f"{name}.png")
    assert np.array_equal(built, PreparedData(prepared).mask(row))


def test_proposals_of_an_earlier_run_go(prepared: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    build(prepared, tmp_path / "built", report, _params(relabel=True))
    build(prepared, tmp_path / "built", report, _params())
    assert not (report / "relabel").exists()
    assert "relabel" not in _report(report)[1]


@pytest.mark.parametrize(("source", "is_shown"), [("sirst", True), ("folder", False)])
def test_the_papers_verdicts_stand_beside_those_of_sirst_only(
    tmp_path: Path, source: str, is_shown: bool
) -> None:
    write_prepared(tmp_path / "prepared", iter(_images()), source)
    build(tmp_path / "prepared", tmp_path / "built", tmp_path / "report", _params(relabel=True))
    metrics, summary = _report(tmp_path / "report")
    assert ("306 up, 112 equal, 79 down" in summary) == is_shown
    assert metrics.get("verdict_sirst_re", {}).get("up") == (306 if is_shown else None)
