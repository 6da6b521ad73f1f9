import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from irstd import cli
from irstd.config import Params
from irstd.errors import ConfigError, DataError
from irstd.evaluation.evaluate import split_hash
from irstd.evaluation.tables import (
    FALSE_ALARM_SCHEMA,
    IMAGE_SCHEMA,
    SCORE_SCHEMA,
    TARGET_SCHEMA,
)
from irstd.files import write_json
from irstd.layout import Layout
from irstd.metrics.conventions import find_convention
from irstd.metrics.counts import COUNT_COLUMNS
from irstd.metrics.histogram import DEFAULT_BINS
from irstd.stages.compare import as_text, compare
from irstd.stages.evaluate import evaluate
from tests.scenes import smoke_params, trained_project
from tests.tiny_network import register_tiny

BINS = DEFAULT_BINS + 1
HITS_A, HITS_B = [1, 0, 0, 1, 1, 0, 1, 0], [1, 1, 1, 1, 1, 0, 1, 1]


@pytest.fixture(scope="module")
def params() -> Params:
    return smoke_params()


def counts(hits: list[int], columns: tuple[str, ...]) -> pd.DataFrame:
    """A target of 9 pixels and a prediction of 9 pixels in each image, the same or far apart."""
    hit = np.array(hits, dtype=np.float64)
    known = dict.fromkeys(("images", "targets", "predicted", "nonempty_images"), 1.0)
    known |= {"pixels": 4096.0, "matched": hit, "tp": 9 * hit, "fp": 9 - 9 * hit}
    known |= {"fn": 9 - 9 * hit, "overlap": hit, "image_iou": hit, "unmatched_pixels": 9 - 9 * hit}
    return pd.DataFrame({name: known.get(name, 0.0) for name in columns}, index=range(len(hits)))


def evaluation(
    folder: Path,
    hits: list[int],
    ids: list[str] | None = None,
    sequences: list[str] | None = None,
    **special: Any,
) -> str:
    """What `irstd evaluate` leaves of a model that hits these targets."""
    ids = ids or [f"image {position}" for position in range(len(hits))]
    (folder / "conventions").mkdir(parents=True)
    metrics = {"profile": "smoke", "network": folder.name, "split_hash": split_hash(ids)}
    metrics |= {"convention": "ispanet", "threshold": 0.5, "distance_px": 2.0}
    metrics |= {"masks_checksum": "0" * 64}
    write_json(folder / "metrics.json", metrics | special)
    per_image = counts(hits, COUNT_COLUMNS).assign(id=ids, height=64, width=64)
    pq.write_table(
        pa.Table.from_pandas(per_image, IMAGE_SCHEMA, preserve_index=False),
        folder / "per_image.parquet",
    )
    write_scores(folder, hits, ids)
    write_json(folder / "conventions.json", {"basicirstd": {}})
    table = counts(hits, find_convention("basicirstd").columns).assign(id=ids)
    if sequences is not None:
        table["sequence"] = sequences
    table.to_parquet(folder / "conventions" / "basicirstd.parquet", index=False)
    return str(folder)


def write_scores(folder: Path, hits: list[int], ids: list[str]) -> None:
    """A hit has a score of 0.9, a false alarm one of 0.8, a pixel without either one of 0."""
    target, background = np.zeros((2, len(ids), BINS), dtype=np.int64)
    hit = np.array(hits, dtype=bool)
    target[hit, round(0.9 * BINS)] = target[~hit, 0] = 9
    background[~hit, round(0.8 * BINS)] = 9
    background[:, 0] = 4096 - 9 - background.sum(axis=1)
    bins = {"target": target, "background": background}
    rows = [
        {"id": id} | {key: x[i].tolist() for key, x in bins.items()} for i, id in enumerate(ids)
    ]
    place = dict.fromkeys(("row", "col", "area_px", "top", "left", "bottom", "right", "scr"), 9)
    place |= {"target": 0, "component": 0, "overlap": 1.0, "peak": 0.0}
    found = [
        {"id": id, "hit": bool(hit), "score": 0.9 if hit else None} | place
        for id, hit in zip(ids, hits, strict=True)
    ]
    alarms = [row | {"score": 0.8} for row in found if not row["hit"]]
    tables = {"scores": (rows, SCORE_SCHEMA), "per_target": (found, TARGET_SCHEMA)}
    for name, (content, schema) in (
        tables | {"false_alarms": (alarms, FALSE_ALARM_SCHEMA)}
    ).items():
        pq.write_table(pa.Table.from_pylist(content, schema), folder / f"{name}.parquet")


@pytest.fixture
def a(tmp_path: Path) -> str:
    return evaluation(tmp_path / "a", HITS_A)


@pytest.fixture
def b(tmp_path: Path) -> str:
    return evaluation(tmp_path / "b", HITS_B)


def test_differences_are_b_less_a(a: str, b: str, params: Params) -> None:
    result = compare(Path(), params, a, b)
    pd_ = result["conventions"]["ispanet"]["figures"]["pd"]
    assert (pd_["a"], pd_["b"], pd_["difference"]) == (0.5, 0.875, 0.375)
    assert 0.0 <= pd_["low"] < 0.375 < pd_["high"] <= 0.75
    # Three images differ, all in favour of B: of eight swaps, two are as large.
    assert (pd_["p"], result["conventions"]["ispanet"]["swaps"]) == (0.25, 8)
    assert (result["unit"], result["n_units"], result["seed"]) == ("image", 8, params.seed)
    assert result["a"]["network"] == "a"


def test_images_are_paired_by_id_and_not_by_position(tmp_path: Path, params: Params) -> None:
    ids = [f"image {position}" for position in range(8)]
    a = evaluation(tmp_path / "a", HITS_A, ids)
    b = evaluation(tmp_path / "b", HITS_A[::-1], ids[::-1])
    figure = compare(Path(), params, a, b)["conventions"]["ispanet"]["figures"]["pd"]
    assert (figure["low"], figure["high"], figure["p"]) == (0.0, 0.0, 1.0)


def test_sequences_are_the_units_where_there_are_any(tmp_path: Path, params: Params) -> None:
    names = ["s1"] * 3 + ["s2"] * 5
    a = evaluation(tmp_path / "a", HITS_A, sequences=names)
    b = evaluation(tmp_path / "b", HITS_B, sequences=names)
    result = compare(Path(), params, a, b)
    assert (result["unit"], result["n_units"], result["n_images"]) == ("sequence", 2, 8)
    # Both sequences differ in favour of B: of four swaps, two are as large.
    assert result["conventions"]["ispanet"]["figures"]["pd"]["p"] == 0.5


def test_other_conventions_are_compared_from_their_own_counts(
    a: str, b: str, params: Params
) -> None:
    result = compare(Path(), params, a, b, conventions="basicirstd,ispanet")
    assert list(result["conventions"]) == ["basicirstd", "ispanet"]
    figures = result["conventions"]["basicirstd"]["figures"]
    assert figures["pd"]["difference"] == 0.375
    assert set(figures) == set(find_convention("basicirstd").figures)


def test_an_undefined_figure_is_null(tmp_path: Path, params: Params) -> None:
    a, b = (evaluation(tmp_path / name, [0]) for name in ("a", "b"))
    figure = compare(Path(), params, a, b)["conventions"]["ispanet"]["figures"]["pd"]
    assert (figure["difference"], figure["low"], figure["p"]) == (0.0, None, 1.0)


def test_the_result_is_written_once(a: str, b: str, tmp_path: Path, params: Params) -> None:
    output = tmp_path / "out" / "a-b.json"
    result = compare(tmp_path, params, a, b, output=output)
    assert json.loads(output.read_text()) == result
    with pytest.raises(DataError, match=r"exists.*--overwrite"):
        compare(tmp_path, params, a, b, output=output)
    assert compare(tmp_path, params, a, b, output=output, overwrite=True) == result


def test_figures_of_the_scores_are_compared_as_well(a: str, b: str, params: Params) -> None:
    found = compare(Path(), params, a, b)["scores"]
    average = found["figures"]["average_precision_target"]
    # All hits come first: the average is P_d.
    assert (average["a"], average["b"]) == (0.5, 0.875)
    assert (average["p"], found["swaps"], found["exact"]) == (0.25, 8, True)
    assert 0.0 <= average["low"] < 0.375 < average["high"] <= 0.75
    assert found["figures"]["roc_auc"]["difference"] > 0.0
    assert found["figures"].keys() == {
        *("roc_auc", "average_precision", "average_precision_target"),
        *("ece", "ece_above_lowest"),
    }


def test_images_without_target_are_compared(tmp_path: Path, params: Params) -> None:
    a, b = (evaluation(tmp_path / name, [1] * 8) for name in ("a", "b"))
    for folder, alarms in ((a, [3, 1, 1, 0]), (b, [0, 0, 1, 0])):
        path = Path(folder) / "per_image.parquet"
        table = pd.read_parquet(path)
        table.loc[:3, ["targets", "matched"]] = 0.0
        table.loc[:3, "empty_images"] = 1.0
        table.loc[:3, ["predicted", "false_on_empty"]] = np.array([alarms, alarms], float).T
        pq.write_table(pa.Table.from_pandas(table, IMAGE_SCHEMA, preserve_index=False), path)
    result = compare(Path(), params, a, b)
    figures = result["field"]["figures"]
    share, alarms = figures["alarm_free_share"], figures["false_alarms_without"]
    assert (share["a"], share["b"], share["difference"]) == (0.25, 0.75, 0.5)
    assert (alarms["a"], alarms["b"], figures["images_without_alarmed"]["difference"]) == (5, 1, -2)
    assert share["low"] < 0.5 < share["high"]
    assert (share["p"], result["field"]["swaps"]) == (0.5, 4)
    assert "Images with and without targets (all 4 swaps)" in as_text(result, as_json=False)
    assert "| alarm_free_share | 0.25 | 0.75 | 0.5 | " in as_text(result, as_json=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "2"])
def test_conditions_are_finite_numbers(a: str, value: Any, params: Params) -> None:
    path = Path(a) / "metrics.json"
    metrics = json.loads(path.read_text())
    path.write_text(json.dumps(metrics | {"threshold": value}))
    with pytest.raises(DataError, match=r"\.json: threshold missing, of another type or not fin"):
        compare(Path(), params, a, a)


def test_names_that_are_no_conventions_are_refused(a: str, tmp_path: Path, params: Params) -> None:
    write_json(Path(a) / "conventions.json", {"x/../../y": {}})
    message = r"conventions\.json: expected conventions among ispanet, .*, got 'x/\.\./\.\./y'"
    with pytest.raises(DataError, match=message):
        compare(Path(), params, a, a)
    b = evaluation(tmp_path / "b", HITS_B, convention="../other")
    with pytest.raises(DataError, match=r"metrics\.json: expected .*, got '\.\./other'"):
        compare(Path(), params, b, b)


def test_models_with_scores_of_their_own_share_one_ranking(
    a: str, tmp_path: Path, params: Params
) -> None:
    b = evaluation(tmp_path / "b", HITS_A)
    for name in ("per_target", "false_alarms"):
        path = tmp_path / "b" / f"{name}.parquet"
        table = pq.read_table(path)
        at = table.column_names.index("score")
        half = pa.compute.multiply(table["score"], pa.scalar(0.5, pa.float32()))
        pq.write_table(table.set_column(at, table.schema.field("score"), half), path)
    average = compare(Path(), params, a, b)["scores"]["figures"]["average_precision_target"]
    assert (average["a"], average["b"], average["difference"]) == (0.5, 0.5, 0.0)


def test_totals_and_complements_are_not_printed(a: str, b: str, params: Params) -> None:
    result = compare(Path(), params, a, b, conventions="ispanet,basicirstd")
    text = as_text(result, as_json=False)
    for key in ("n_images", "n_targets", "n_empty_images", "n_pixels", "md", "fa_target"):
        assert f"| {key} |" not in text
        assert any(key in one["figures"] for one in result["conventions"].values())
    assert "| n_predicted |" in text


def test_the_text_names_both_and_how_they_were_compared(a: str, b: str, params: Params) -> None:
    text = as_text(compare(Path(), params, a, b), as_json=False)
    assert "| average_precision_target | 0.5 | 0.875 | 0.375 | " in text
    assert "A: " + a in text
    assert "8 images, 8 units (unit: image)" in text
    assert "| pd | 0.5 | 0.875 | 0.375 | " in text
    assert "all 8 swaps" in text


def test_other_images_are_refused(a: str, tmp_path: Path, params: Params) -> None:
    ids = ["other", *(f"image {position}" for position in range(1, 8))]
    b = evaluation(tmp_path / "b", HITS_B, ids)
    with pytest.raises(DataError, match="same images, got 8 and 8, 7 of them in common"):
        compare(Path(), params, a, b)


def test_other_masks_are_refused(a: str, tmp_path: Path, params: Params) -> None:
    b = evaluation(tmp_path / "b", HITS_B, masks_checksum="1" * 64)
    with pytest.raises(DataError, match=r"same masks_checksum, got 0{64} and 1{64}.*same data"):
        compare(Path(), params, a, b)


def test_an_evaluation_without_a_checksum_of_masks_is_refused(
    a: str, tmp_path: Path, params: Params
) -> None:
    b = evaluation(tmp_path / "b", HITS_B, masks_checksum=None)
    with pytest.raises(DataError, match=r"metrics\.json: masks_checksum missing.*run `irstd eval"):
        compare(Path(), params, a, b)


def test_other_sequences_are_refused(a: str, tmp_path: Path, params: Params) -> None:
    b = evaluation(tmp_path / "b", HITS_B, sequences=["s1"] * 8)
    with pytest.raises(DataError, match=r"same sequences, but 8 images differ, first 'image 0'"):
        compare(Path(), params, a, b)


def test_other_distances_are_refused_other_thresholds_are_not(
    a: str, tmp_path: Path, params: Params
) -> None:
    b = evaluation(tmp_path / "b", HITS_B, distance_px=3.0)
    with pytest.raises(DataError, match=r"same distance_px, got 2\.0 and 3\.0"):
        compare(Path(), params, a, b)
    c = evaluation(tmp_path / "c", HITS_B, threshold=0.3)
    assert compare(Path(), params, a, c)["b"]["threshold"] == 0.3


def test_tables_of_other_images_than_the_figures_are_refused(
    a: str, tmp_path: Path, params: Params
) -> None:
    b = evaluation(tmp_path / "b", HITS_B, split_hash="0" * 64)
    with pytest.raises(DataError, match=r"per_image\.parquet are not those of metrics\.json"):
        compare(Path(), params, a, b)
    c = Path(evaluation(tmp_path / "c", HITS_B))
    table = c / "conventions" / "basicirstd.parquet"
    pd.read_parquet(table).iloc[1:].to_parquet(table, index=False)
    with pytest.raises(DataError, match=r"basicirstd\.parquet: its images are not those of"):
        compare(Path(), params, a, str(c))
    d = Path(evaluation(tmp_path / "d", HITS_B, ids=[f"other {i}" for i in range(8)]))
    for name in ("per_target", "scores"):
        (d / f"{name}.parquet").replace(Path(a) / f"{name}.parquet")
        with pytest.raises(DataError, match=rf"{name}\.parquet: its images are not those of"):
            compare(Path(), params, a, a)
        write_scores(Path(a), HITS_A, [f"image {i}" for i in range(8)])


def test_damaged_files_are_named(a: str, b: str, tmp_path: Path, params: Params) -> None:
    c = evaluation(tmp_path / "c", HITS_B, threshold="high", profile=None)
    with pytest.raises(
        DataError, match=r"metrics\.json: profile, threshold missing, of another type"
    ):
        compare(Path(), params, a, c)
    (Path(b) / "conventions" / "basicirstd.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"basicirstd\.parquet: not a readable table"):
        compare(Path(), params, a, b)


def test_what_is_missing_is_named(a: str, b: str, params: Params) -> None:
    with pytest.raises(DataError, match=r"nowhere: expected an output folder.*smoke: tiny"):
        compare(Path(), params, a, "nowhere")
    with pytest.raises(
        DataError,
        match=r"'dnanet', has ispanet, basicirstd; run .*--convention.*evaluate\.convention in pa",
    ):
        compare(Path(), params, a, b, conventions="dnanet")
    (Path(b) / "conventions" / "basicirstd.parquet").rename(Path(b) / "hidden")
    with pytest.raises(DataError, match=r"basicirstd\.parquet: not a readable table"):
        compare(Path(), params, a, b)
    (Path(b) / "hidden").rename(Path(b) / "conventions" / "basicirstd.parquet")
    with pytest.raises(ConfigError, match="unknown convention 'guess'"):
        compare(Path(), params, a, b, conventions="guess")
    (Path(b) / "metrics.json").unlink()
    with pytest.raises(DataError, match=r"metrics\.json: not found; run `irstd evaluate`"):
        compare(Path(), params, a, b)


def test_the_command_takes_networks_and_folders(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation(Layout(tmp_path, "smoke").report("evaluate", "tiny"), HITS_A)
    evaluation(tmp_path / "b", HITS_B)
    monkeypatch.setattr(cli, "_params", lambda: params)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["compare", "tiny", "b", "-o", "out.json"])
    assert done.exit_code == 0, done.output
    assert "A: reports/evaluate/smoke/tiny (tiny, profile smoke" in done.output
    printed = CliRunner().invoke(cli.app, ["compare", "tiny", "b", "--json"]).output
    assert json.loads(printed) == json.loads(Path("out.json").read_text())


@pytest.mark.slow
def test_what_evaluate_writes_can_be_compared(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    trained_project(tmp_path, params)
    evaluate(tmp_path, params, "tiny")
    result = compare(tmp_path, params, "tiny", "tiny", conventions="ispanet,dnanet")
    for one in result["conventions"].values():
        for figure in one["figures"].values():
            assert figure["difference"] in (0.0, None)
            assert figure["p"] in (1.0, None)
    found = result["conventions"]["ispanet"]["figures"]["f1_target"]
    assert found["a"] == pytest.approx(4 / 7)
