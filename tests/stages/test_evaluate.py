import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irstd.config import Params
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import ConfigError, DataError, ModelError
from irstd.evaluation.field import FIGURES
from irstd.evaluation.figures import CURVES
from irstd.evaluation.predictions import StoredPredictions
from irstd.inference.weights import save_model
from irstd.layout import Layout
from irstd.metrics.conventions import CONVENTIONS
from irstd.metrics.suite import MetricSuite
from irstd.stages.evaluate import Part, evaluate, masks_checksum
from irstd.tracking.journal import Journal
from tests.scenes import scenes, smoke_params, trained_project
from tests.tiny_network import register_tiny, tiny_facts, tiny_network

FILES = {
    "metrics.json",
    "intervals.json",
    "breakdown.json",
    "speed.json",
    "per_image.parquet",
    "per_target.parquet",
    "false_alarms.parquet",
    "scores.parquet",
    "field.json",
    "conventions.json",
    "conventions.csv",
    "conventions",
    "overlays",
    *(f"{name}.{kind}" for name in CURVES for kind in ("csv", "png")),
}


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> Params:
    register_tiny(monkeypatch)
    # No store: the journal keeps what the stage logs.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    return smoke_params()


@pytest.fixture
def layout(tmp_path: Path, params: Params) -> Layout:
    return trained_project(tmp_path, params)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_report_is_complete_and_its_figures_right(layout: Layout, params: Params) -> None:
    returned = evaluate(layout.root, params, "tiny")
    folder = layout.report("evaluate", "tiny")
    assert {path.name for path in folder.iterdir()} == FILES
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == returned
    assert metrics["iou"] == pytest.approx(18 / 27)
    assert (metrics["n_images"], metrics["n_targets"], metrics["n_predicted"]) == (4, 3, 4)
    assert isinstance(metrics["n_images"], int)
    assert metrics["f1_target"] == pytest.approx(4 / 7)
    assert metrics["baseline_f1_target"] == pytest.approx(6 / 8)
    assert (metrics["profile"], metrics["network"], metrics["split"]) == ("smoke", "tiny", "seeded")
    assert (metrics["convention"], metrics["threshold"], metrics["distance_px"]) == (
        "ispanet",
        0.5,
        2.0,
    )
    assert metrics["fingerprint"] == "f" * 64
    intervals = json.loads((folder / "intervals.json").read_text())["intervals"]
    field = json.loads((folder / "field.json").read_text())
    assert field["intervals"].items() <= intervals.items()
    known = metrics | field
    assert all(bounds["low"] <= known[key] <= bounds["high"] for key, bounds in intervals.items())
    figures = {key for key, value in metrics.items() if isinstance(value, float)}
    no_figures = {"threshold", "distance_px", "baseline_threshold", "baseline_f1_target"}
    assert figures - intervals.keys() == no_figures
    speed = json.loads((folder / "speed.json").read_text())
    assert speed["device"]
    assert speed["sequential"]["images_per_s"] > 0
    assert (speed["sequential"]["batch"], speed["sequential"]["images"]) == (1, 4)
    assert speed["batched"]["images_per_s"] > 0
    # Images of 64 x 64 and 48 x 81, in multiples of 8.
    batched = (speed["batched"][key] for key in ("batch", "height", "width"))
    assert tuple(batched) == (8, 64, 88)
    assert speed["latency"]["runs"] == params.evaluate.latency_runs


def test_tables_and_overlays(layout: Layout, params: Params) -> None:
    evaluate(layout.root, params, "tiny")
    folder = layout.report("evaluate", "tiny")
    assert pd.read_parquet(folder / "per_target.parquet")["hit"].tolist() == [True, False, True]
    assert pd.read_parquet(folder / "false_alarms.parquet")["id"].tolist() == ["false", "mixed"]
    assert sorted(path.name for path in (folder / "overlays").iterdir()) == [
        "01_miss_miss.png",
        "02_false_alarm_mixed.png",
        "03_false_alarm_false.png",
        "04_hit_hit.png",
    ]


def test_every_convention_counts_the_same_predictions(layout: Layout, params: Params) -> None:
    metrics = evaluate(layout.root, params, "tiny")
    folder = layout.report("evaluate", "tiny")
    content = json.loads((folder / "conventions.json").read_text())
    assert list(content) == list(CONVENTIONS)
    main = content["ispanet"]["figures"]
    assert main == {key: pytest.approx(metrics[key]) for key in main}
    bounds = json.loads((folder / "intervals.json").read_text())["intervals"]
    assert content["ispanet"]["intervals"] == {key: bounds[key] for key in main}
    assert all(set(found["figures"]) == set(found["intervals"]) for found in content.values())
    distances = {name: found["distance_px"] for name, found in content.items()}
    assert (distances["ispanet"], distances["lpnet"], distances["acm"]) == (2.0, 4.0, None)
    assert {found["threshold"] for found in content.values()} == {metrics["threshold"]}
    assert content["dnanet"]["defects"] == CONVENTIONS["dnanet"].notes
    assert content["dnanet"]["published_names"]["FA"] == "fa_pixel"
    # One target of 9, one of 9 pixels hit; components of 4 and 1 pixels false, on 16,176 pixels.
    assert content["basicirstd"]["figures"]["fa_pixel"] == pytest.approx(5 / (3 * 64**2 + 48 * 81))
    table = pd.read_csv(folder / "conventions.csv", index_col="convention")
    assert table.loc["ispanet", "iou"] == pytest.approx(metrics["iou"])
    assert {path.stem for path in (folder / "conventions").iterdir()} == set(CONVENTIONS)
    for name, convention in CONVENTIONS.items():
        counts = pd.read_parquet(folder / "conventions" / f"{name}.parquet")
        assert counts["id"].tolist() == ["hit", "miss", "false", "mixed"]
        suite = MetricSuite([name])
        figures = suite.figures(name, counts[list(convention.columns)].to_numpy().sum(axis=0))
        for key, value in content[name]["figures"].items():
            assert figures[key] == pytest.approx(np.nan if value is None else value, nan_ok=True)


def test_images_without_target_have_a_report_of_their_own(layout: Layout, params: Params) -> None:
    evaluate(layout.root, params, "tiny")
    field = json.loads((layout.report("evaluate", "tiny") / "field.json").read_text())
    assert (field["images_with_targets"], field["images_without"]) == (3, 1)
    assert (field["false_alarms_without"], field["alarm_free_share"]) == (1, 0.0)
    assert (field["pa"], field["pa_with_targets"]) == (pytest.approx(2 / 4), pytest.approx(2 / 3))
    assert set(field["intervals"]) == set(FIGURES)
    assert (field["unit"], field["seed"]) == ("image", params.seed)


def test_the_distance_is_that_of_the_conventions_that_leave_it_open(
    layout: Layout, params: Params
) -> None:
    beside = (replace(image, mask=np.roll(image.mask, 1, axis=0)) for image in scenes())
    write_prepared(layout.processed, beside, "generated")

    def conventions(names: str) -> tuple[dict[str, Any], dict[str, Any]]:
        changed = params.evaluate.model_copy(update={"convention": names, "distance": 0.5})
        metrics = evaluate(layout.root, params.model_copy(update={"evaluate": changed}), "tiny")
        file = layout.report("evaluate", "tiny") / "conventions.json"
        return metrics, json.loads(file.read_text())

    metrics, content = conventions("ispanet,dnanet")
    assert metrics["pd"] == 0.0  # all centroids are a pixel apart
    found = content["ispanet"]["figures"]
    assert found == {key: metrics[key] for key in found}
    assert content["dnanet"]["figures"]["pd"] == pytest.approx(2 / 3)
    assert [one["distance_px"] for one in content.values()] == [0.5, 3.0]
    assert conventions("dnanet")[1] == {"dnanet": content["dnanet"]}


def test_equal_masks_have_equal_checksums(tmp_path: Path) -> None:
    def checksum(name: str, *test: RawImage) -> str:
        write_prepared(tmp_path / name, test, "generated")
        data = PreparedData(tmp_path / name)
        return masks_checksum(Part(data, list(range(len(data))), "", ""))

    images = [image for image in scenes() if image.split == "test"]
    first = checksum("first", *images)
    assert checksum("turned", *images[::-1]) == first
    assert checksum("brighter", *(replace(x, image=x.image // 2 + 9) for x in images)) == first
    mask = np.roll(images[0].mask, 1, axis=0)  # as many targets and pixels
    assert checksum("moved", replace(images[0], mask=mask), *images[1:]) != first


def test_an_unknown_convention_is_refused(layout: Layout, params: Params) -> None:
    changed = params.evaluate.model_copy(update={"convention": "dnanet,coco"})
    with pytest.raises(ConfigError, match="unknown convention 'coco'; choose one of: acm, "):
        evaluate(layout.root, params.model_copy(update={"evaluate": changed}), "tiny")


def test_predictions_are_kept_for_the_browser(layout: Layout, params: Params) -> None:
    evaluate(layout.root, params, "tiny")
    stored = StoredPredictions(layout.predictions("tiny"))
    assert stored.ids == ("hit", "miss", "false", "mixed")
    expected = np.zeros((64, 64), bool)
    expected[20:23, 20:23] = True
    np.testing.assert_array_equal(stored.mask("hit"), expected)


def test_a_second_run_gives_the_same_bytes_but_for_the_speed(
    layout: Layout, params: Params
) -> None:
    folder = layout.report("evaluate", "tiny")
    evaluate(layout.root, params, "tiny")
    first = contents(folder)
    evaluate(layout.root, params, "tiny")
    again = contents(folder)
    assert {name for name in first if first[name] != again[name]} <= {"speed.json"}
    assert first.keys() == again.keys()


def test_threshold_and_distance_are_obeyed(layout: Layout, params: Params) -> None:
    changed = params.evaluate.model_copy(update={"threshold": 0.99994, "distance": 1.5})
    metrics = evaluate(layout.root, params.model_copy(update={"evaluate": changed}), "tiny")
    assert metrics["threshold"] == 0.99994
    assert metrics["distance_px"] == 1.5
    assert metrics["n_predicted"] == 2  # only 255 / 255 gives a logit of 10
    stored = StoredPredictions(layout.predictions("tiny"))
    assert stored.threshold == 0.99994
    assert stored.mask("hit").sum() == 9
    assert not stored.mask("false").any()


def test_the_figures_are_logged(layout: Layout, params: Params) -> None:
    evaluate(layout.root, params, "tiny")
    journal = Journal(layout.artifacts("tiny") / "tracking", "f" * 64)
    entries = list(journal.read())
    logged = [entry.content["values"] for entry in entries if entry.kind == "metrics"]
    assert logged[0]["test_f1_target"] == pytest.approx(4 / 7)
    assert "metrics.json" in {e.content["name"] for e in entries if e.kind == "artifact"}


def test_missing_weights_name_the_command(layout: Layout, params: Params) -> None:
    layout.weights("tiny").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors.*`irstd train`"):
        evaluate(layout.root, params, "tiny")
    assert not layout.report("evaluate", "tiny").exists()


def test_weights_of_unknown_origin_are_refused(layout: Layout, params: Params) -> None:
    facts = replace(tiny_facts(), provenance={"profile": "smoke"})
    save_model(layout.weights("tiny"), tiny_network(), facts)
    with pytest.raises(ModelError, match=r"fingerprint.*\['profile'\].*irstd train tiny"):
        evaluate(layout.root, params, "tiny")


def test_an_empty_test_part_is_refused(layout: Layout, params: Params) -> None:
    write_prepared(layout.processed, (s for s in scenes() if s.split != "test"), "generated")
    with pytest.raises(DataError, match="images in the test part, got none of 2"):
        evaluate(layout.root, params, "tiny")


def test_unprepared_data_names_the_command(tmp_path: Path, params: Params) -> None:
    with pytest.raises(DataError, match="irstd prepare"):
        evaluate(tmp_path, params, "tiny")
