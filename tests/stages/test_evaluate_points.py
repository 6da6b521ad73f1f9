"""Evaluation where the ground truth is boxes or points, and where images are frames."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from irstd.config import Params
from irstd.data.audit import audit
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.data.verdict import judge
from irstd.stages.evaluate import evaluate
from tests.scenes import scenes, smoke_params, trained_project
from tests.tiny_network import register_tiny
from tests.validation_table import LIMITS

PLACES = {"hit": ((21.0, 21.0),), "miss": ((30.5, 40.5),), "false": (), "mixed": ((31.0, 31.0),)}
"""Centres of the targets of the test images."""


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> Params:
    register_tiny(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    return smoke_params()


def as_points(raw: RawImage) -> RawImage:
    if raw.split != "test":
        return raw
    return replace(raw, mask_origin="points", centres=PLACES[raw.id])


def evaluated(root: Path, params: Params, images: list[RawImage]) -> Path:
    layout = trained_project(root, params)
    write_prepared(layout.processed, images, "generated")
    evaluate(root, params, "tiny")
    return layout.report("evaluate", "tiny")


def test_points_have_figures_of_detection_alone(tmp_path: Path, params: Params) -> None:
    folder = evaluated(tmp_path, params, [as_points(raw) for raw in scenes()])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["pd"] == pytest.approx(2 / 3)
    assert metrics["pa"] == pytest.approx(2 / 4)
    assert metrics["f1_target"] == pytest.approx(4 / 7)
    assert metrics["false_on_empty"] == 1
    undefined = {name for name, value in metrics.items() if value is None}
    assert undefined == {
        "iou", "niou_target", "niou_image", "precision", "recall", "f1", "fa_pixel",
        "fa_pixel_all", "roc_auc", "average_precision", "ece", "ece_above_lowest",
        "baseline_threshold", "baseline_f1_target",
    }  # fmt: skip
    assert metrics["undefined"].startswith("the ground truth is points for 4 of 4 images")
    conventions = json.loads((folder / "conventions.json").read_text())
    assert list(conventions) == ["ispanet"]
    assert conventions["ispanet"]["figures"]["iou"] is None
    targets = pd.read_parquet(folder / "per_target.parquet")
    assert targets["hit"].tolist() == [True, False, True]
    assert targets["area_px"].isna().all()
    assert len(pd.read_csv(folder / "froc.csv")) > 1
    assert pd.read_csv(folder / "roc.csv").empty
    assert not (folder / "per_sequence.csv").exists()


def test_points_are_validated_by_what_they_state(tmp_path: Path) -> None:
    """Two targets in one spot of the drawn mask, without area and SCR."""
    images = [as_points(raw) for raw in scenes()]
    images[2] = replace(images[2], centres=((20.0, 20.0), (22.0, 22.0)))
    write_prepared(tmp_path, images, "generated")
    parts = dict.fromkeys(("train", "val", "test"), 1 / 3)
    table = audit(PreparedData(tmp_path), 0, parts, 0.9, 2)
    assert (table["n_targets"][2], table["mask_targets"].isna().tolist()) == (
        2,
        [False, False, True, True, True, True],
    )
    success = {outcome.key: outcome.success for outcome in judge(table, LIMITS)[0]}
    assert success["targets_counted"]
    assert success["scr_defined"]
    assert success["smallest_area"]


def test_sequences_stand_beside_all_images(tmp_path: Path, params: Params) -> None:
    places = {"hit": ("a", 0), "miss": ("a", 1), "false": ("b", 0), "mixed": ("b", 1)}
    images = [
        replace(raw, sequence=places[raw.id][0], frame=places[raw.id][1])
        if raw.split == "test"
        else raw
        for raw in scenes()
    ]
    folder = evaluated(tmp_path, params, images)
    table = pd.read_csv(folder / "per_sequence.csv")
    assert table["sequence"].fillna("all").tolist() == ["a", "b", "all"]
    assert table["n_targets"].tolist() == [2, 1, 3]
    assert table["pd"].tolist() == pytest.approx([1 / 2, 1, 2 / 3])
    metrics = json.loads((folder / "metrics.json").read_text())
    shared = [name for name in table.columns if name in metrics]
    assert len(shared) > 10
    assert table.iloc[-1][shared].tolist() == pytest.approx([metrics[name] for name in shared])
