import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from irstd.layout import Layout

Open = Callable[..., AppTest]


def report(root: Path) -> Path:
    return Layout(root, "demo").report("evaluate", "ispanet")


def choose(app: AppTest, kind: str) -> AppTest:
    return app.selectbox[1].select(kind).run()


def test_an_empty_project_says_what_to_run(open_page: Open, tmp_path: Path) -> None:
    app = open_page(tmp_path, "images")
    assert "make demo" in app.info[0].value
    assert not app.exception


def test_the_first_image_is_drawn_with_its_tables(open_page: Open, project: Path) -> None:
    app = open_page(project, "images")
    assert not app.exception
    assert app.title[0].value == "Test images"
    assert len(app.get("image")) == 1
    assert "a: 1 hit, 0 missed, 0 false alarms" in app.get("image")[0].captions[0]
    assert [title.value for title in app.subheader] == ["Targets"]
    assert app.dataframe[0].value["hit"].tolist() == [True]
    assert "probability above 0.5" in app.caption[0].value


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("all", ["a", "b", "c"]),
        ("with a missed target", ["b"]),
        ("with a false alarm", ["c"]),
        ("with every target hit", ["a"]),
        ("without a target", ["c"]),
    ],
)
def test_images_are_filtered(open_page: Open, project: Path, kind: str, ids: list[str]) -> None:
    app = choose(open_page(project, "images"), kind)
    assert list(app.selectbox[2].options) == ids
    assert not app.exception


def test_a_mark_can_be_enlarged(open_page: Open, project: Path) -> None:
    app = choose(open_page(project, "images"), "with a false alarm")
    assert list(app.selectbox[3].options) == ["whole image", "1: false alarm"]
    whole = app.get("image")[0].value
    app = app.selectbox[3].select("1: false alarm").run()
    assert app.get("image")[0].value != whole
    assert "0 hit, 0 missed, 1 false alarms" in app.get("image")[0].captions[0]


def test_a_kind_without_images_is_said(open_page: Open, project: Path) -> None:
    alarms = pd.read_parquet(report(project) / "false_alarms.parquet")
    alarms.iloc[:0].to_parquet(report(project) / "false_alarms.parquet")
    app = choose(open_page(project, "images"), "with a false alarm")
    assert app.info[0].value == "No test image is of this kind."


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("reports/evaluate/demo/ispanet/per_target.parquet", "not a readable table"),
        ("artifacts/demo/ispanet/predictions/index.parquet", "not a readable table"),
        ("artifacts/demo/ispanet/predictions/probability.npy", "run `irstd evaluate`"),
        ("data/processed/demo/index.parquet", "irstd prepare"),
    ],
)
@pytest.mark.parametrize("missing", [True, False])
def test_a_broken_file_is_named(
    open_page: Open, project: Path, path: str, complaint: str, missing: bool
) -> None:
    file = project / path
    file.unlink() if missing else file.write_bytes(b"broken")
    app = open_page(project, "images")
    assert not app.exception
    assert complaint in app.error[0].value
    assert str(file.parent) in app.error[0].value


def test_data_other_than_those_of_the_report_are_refused(open_page: Open, project: Path) -> None:
    metrics = json.loads((report(project) / "metrics.json").read_text())
    (report(project) / "metrics.json").write_text(json.dumps(metrics | {"data_checksum": "0" * 64}))
    app = open_page(project, "images")
    assert "not those of the report" in app.error[0].value
    assert not app.get("image")


def drop_column(file: Path) -> None:
    frame = pd.read_parquet(file)
    frame.drop(columns=frame.columns[-1]).to_parquet(file)


def retype_column(file: Path) -> None:
    frame = pd.read_parquet(file)
    frame.assign(**{frame.columns[1]: "x"}).to_parquet(file)


@pytest.mark.parametrize(
    "path",
    [
        "reports/evaluate/demo/ispanet/per_image.parquet",
        "reports/evaluate/demo/ispanet/per_target.parquet",
        "reports/evaluate/demo/ispanet/false_alarms.parquet",
        "artifacts/demo/ispanet/predictions/index.parquet",
    ],
)
@pytest.mark.parametrize(
    ("damage", "complaint"), [(drop_column, "lacks"), (retype_column, "not a readable table")]
)
def test_a_readable_file_of_another_form_is_named(
    open_page: Open, project: Path, path: str, damage: Callable[[Path], None], complaint: str
) -> None:
    damage(project / path)
    app = open_page(project, "images")
    assert not app.exception
    assert complaint in app.error[0].value
    assert str(project / path) in app.error[0].value
    assert "run `irstd evaluate" in app.error[0].value


def test_predictions_of_other_sizes_are_named(open_page: Open, project: Path) -> None:
    np.save(project / "artifacts/demo/ispanet/predictions/probability.npy", np.zeros(9, np.uint8))
    app = open_page(project, "images")
    assert not app.exception
    assert "expected 12288 bytes" in app.error[0].value


def test_an_image_that_is_not_prepared_is_named(open_page: Open, project: Path) -> None:
    file = report(project) / "per_image.parquet"
    pd.read_parquet(file).assign(id=["x", "b", "c"]).to_parquet(file)
    app = open_page(project, "images")
    assert not app.exception
    assert "'x' is not among the 5 prepared images" in app.error[0].value
