import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

Open = Callable[..., AppTest]


def files(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def report(root: Path, profile: str = "demo") -> Path:
    return root / "reports" / "evaluate" / profile / "ispanet"


def second(root: Path, **changes: object) -> None:
    """Copy the result to another profile, with changed figures."""
    folder = Path(shutil.copytree(report(root), report(root, "other")))
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"profile": "other"} | changes))


def test_an_empty_project_says_what_to_run(open_page: Open, tmp_path: Path) -> None:
    app = open_page(tmp_path)
    assert "make demo" in app.info[0].value
    assert str(tmp_path) in app.info[0].value
    assert not app.exception
    assert not app.dataframe


def test_a_result_is_shown_with_its_conditions(open_page: Open, project: Path) -> None:
    before = files(project)
    app = open_page(project)
    assert not app.exception
    metrics = json.loads((report(project) / "metrics.json").read_text())
    row = app.dataframe[0].value.iloc[0]
    assert (row["profile"], row["network"], row["split"]) == ("demo", "ispanet", "seeded")
    titles = {
        "IoU": "iou",
        "nIoU per target": "niou_target",
        "nIoU per image": "niou_image",
        "P_d": "pd",
        "F_a (components)": "fa_target",
        "F1-T": "f1_target",
        "F1-T of the best global threshold": "baseline_f1_target",
    }
    assert {title: row[title] for title in titles} == {t: metrics[k] for t, k in titles.items()}
    assert row["F_a (pixels) x 1e-6"] == pytest.approx(1e6 * 9 / (3 * 64 * 64))
    assert row["F_a (components)"] == 0.5
    assert (metrics["pd"], metrics["n_images"]) == (0.5, 3)
    assert " to " in row["IoU, interval"]
    assert row["intervals are"].startswith("95%")
    caption = app.caption[0].value
    assert all(text in caption for text in ("ispanet", "0.5", "2.0 px"))
    assert "seeded: 3 test images" in app.subheader[0].value
    assert files(project) == before


def test_comparable_results_share_a_table_best_first(open_page: Open, project: Path) -> None:
    second(project, iou=0.99)
    app = open_page(project)
    assert len(app.dataframe) == 1
    assert list(app.dataframe[0].value["profile"]) == ["other", "demo"]


@pytest.mark.parametrize(
    "change", [{"threshold": 0.4}, {"split_hash": "x"}, {"data_checksum": "x"}, {"split": "nuaa"}]
)
def test_results_under_other_conditions_stand_apart(
    open_page: Open, project: Path, change: dict[str, object]
) -> None:
    second(project, **change)
    assert len(open_page(project).dataframe) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"profile": "demo"}', "expected network (text, got none), source (text, got none)"),
    ],
)
def test_a_broken_report_is_named_and_the_others_shown(
    open_page: Open, project: Path, text: str, complaint: str
) -> None:
    second(project)
    (report(project) / "metrics.json").write_text(text)
    app = open_page(project)
    assert not app.exception
    assert complaint in app.error[0].value
    assert str(report(project)) in app.error[0].value
    assert "irstd evaluate ispanet" in app.error[0].value
    assert list(app.dataframe[0].value["profile"]) == ["other"]


def test_only_broken_reports_end_with_a_hint(open_page: Open, project: Path) -> None:
    (report(project) / "intervals.json").unlink()
    app = open_page(project)
    assert "intervals.json: not found" in app.error[0].value
    assert "dvc repro" in app.info[0].value


def test_undefined_figures_are_shown_as_such(open_page: Open, project: Path) -> None:
    second(project, iou=None)
    intervals = json.loads((report(project, "other") / "intervals.json").read_text())
    intervals["intervals"]["iou"] = {"low": None, "high": None, "undefined": 1.0}
    (report(project, "other") / "intervals.json").write_text(json.dumps(intervals))
    table = open_page(project).dataframe[0].value
    assert list(table["profile"]) == ["demo", "other"]
    assert table["IoU"].isna().tolist() == [False, True]
    assert table["IoU, interval"].iloc[1] == "undefined"


def test_new_results_appear_without_a_restart(open_page: Open, project: Path) -> None:
    app = open_page(project)
    second(project)
    assert len(app.run().dataframe[0].value) == 2


@pytest.mark.parametrize(
    ("file", "changes", "complaint"),
    [
        ("metrics.json", {"data_checksum": None}, "data_checksum (text, got null)"),
        ("metrics.json", {"profile": 3}, "profile (text, got a whole number)"),
        ("metrics.json", {"iou": "high"}, "iou (a whole number or a number or null, got text)"),
        ("intervals.json", {"confidence": None}, "confidence (a whole number or a number"),
        ("intervals.json", {"intervals": {"iou": 1}}, "iou (an object, got a whole number), niou"),
        ("intervals.json", {"intervals": None}, "intervals (an object, got null)"),
    ],
)
def test_values_of_another_type_are_named(
    open_page: Open, project: Path, file: str, changes: dict[str, object], complaint: str
) -> None:
    second(project)
    path = report(project) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    app = open_page(project)
    assert not app.exception
    assert complaint in app.error[0].value
    assert str(path) in app.error[0].value
    assert "run `irstd evaluate ispanet` again" in app.error[0].value
    assert list(app.dataframe[0].value["profile"]) == ["other"]


def test_bounds_of_another_type_are_named(open_page: Open, project: Path) -> None:
    path = report(project) / "intervals.json"
    content = json.loads(path.read_text())
    content["intervals"]["pd"] = {"low": "0"}
    path.write_text(json.dumps(content))
    app = open_page(project)
    assert not app.exception
    assert "intervals.pd.low (" in app.error[0].value
    assert "intervals.pd.high (" in app.error[0].value
