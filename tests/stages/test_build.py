from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irstd.config.build import BuildParams
from irstd.data.pixels import read_grey, read_mask
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import DataError
from irstd.files import read_json
from irstd.stages.build import build
from tests.data.construction.pictures import noisy, texture

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
        _image("s_0", "train", 2, sequence="s", frame=0),
        _image("s_1", "train", 2, sequence="s", frame=1),
    ]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    write_prepared(tmp_path / "prepared", iter(_images()), "generated")
    return tmp_path / "prepared"


def test_of_two_near_images_the_one_in_the_training_part_goes(
    prepared: Path, tmp_path: Path
) -> None:
    table = build(prepared, tmp_path / "built", tmp_path / "report", _params(every_nth=2))
    decisions = dict(zip(table["id"], table["decision"], strict=True))
    assert decisions == {
        "a": "near-duplicate", "copy": "kept", "b": "kept", "s_0": "kept", "s_1": "not sampled",
    }  # fmt: skip
    assert table.loc[0, "near"] == "copy"
    assert table["kind"].tolist()[:3] == ["simple", "simple", "complex"]
    stored = pd.read_csv(tmp_path / "report" / "decisions.csv")
    assert stored["near"].dropna().tolist() == ["copy"]
    metrics = read_json(tmp_path / "report" / "metrics.json", "irstd data build")
    assert metrics["images"] == {"kept": 3, "near-duplicate": 1, "not sampled": 1}
    assert metrics["balance_before"]["images"] == {"aerial": 2, "maritime": 1, "unknown": 2}
    assert metrics["balance_after"]["images"] == {"aerial": 1, "maritime": 1, "unknown": 1}


def test_without_limits_every_image_is_written_as_it_was(prepared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "built"
    build(prepared, folder, tmp_path / "report", _params(similarity=None))
    for raw in _images():
        assert np.array_equal(read_grey(folder / "images" / f"{raw.id}.png"), raw.image)
        assert np.array_equal(read_mask(folder / "masks" / f"{raw.id}.png"), raw.mask)
    lists = {part: (folder / "img_idx" / f"{part}.txt").read_text() for part in ("train", "test")}
    assert lists == {"train": "a\ns_0\ns_1\n", "test": "copy\n"}
    targets = pd.read_csv(folder / "targets.csv")
    assert targets[["top", "left", "bottom", "right"]].drop_duplicates().to_numpy().tolist() == [
        [31, 41, 34, 45]
    ]
    assert targets["id"].tolist() == ["a", "copy", "b", "s_0", "s_1"]


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
    with pytest.raises(DataError, match=r"5 images cannot .*\n  a: no crop of 72 x 24"):
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
    proposed = read_mask(report / "relabel" / "masks" / f"{name}.png")
    assert proposed.sum() == proposals["new_px"].iloc[0]
    row = PreparedData(prepared).index["id"].tolist().index(name)
    built = read_mask(tmp_path / "built" / "masks" / f"{name}.png")
    assert np.array_equal(built, PreparedData(prepared).mask(row))
