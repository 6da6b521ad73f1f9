import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irstd.data.store import PreparedData
from irstd.errors import DataError
from irstd.evaluation import tables
from irstd.evaluation.evaluate import Evaluation
from irstd.metrics.counts import COUNT_COLUMNS, count_image


def test_image_rows_sum_to_the_counts(found: Evaluation) -> None:
    frame = found.per_image.to_pandas()
    assert frame["id"].tolist() == ["hit", "miss", "false", "mixed"]
    assert (frame["height"].iloc[3], frame["width"].iloc[3]) == (48, 81)
    np.testing.assert_array_equal(frame[list(COUNT_COLUMNS)].to_numpy(), found.counts)


def test_a_hit_has_its_detection(found: Evaluation, kept: dict[str, np.ndarray]) -> None:
    hit = found.per_target.to_pandas().set_index("id").loc["hit"]
    assert hit["hit"]
    assert (hit["row"], hit["col"], hit["area_px"]) == (21.0, 21.0, 9)
    assert (hit["top"], hit["left"], hit["bottom"], hit["right"]) == (20, 20, 23, 23)
    assert (hit["distance_px"], hit["component"], hit["overlap"]) == (0.0, 0, 1.0)
    assert hit["score"] == hit["peak"] == kept["hit"].max()


def test_a_miss_has_a_peak_but_no_score(found: Evaluation, kept: dict[str, np.ndarray]) -> None:
    miss = found.per_target.to_pandas().set_index("id").loc["miss"]
    assert not miss["hit"]
    assert math.isnan(miss["score"])
    assert math.isnan(miss["distance_px"])
    assert miss["peak"] == kept["miss"][30, 40] < 0.5


def test_scr_is_that_of_the_index(found: Evaluation, data: PreparedData) -> None:
    expected = np.concatenate(data.index["scr"].iloc[data.rows("test")].tolist())
    np.testing.assert_array_equal(found.per_target.to_pandas()["scr"], expected)


def test_false_alarms_know_the_nearest_target(found: Evaluation) -> None:
    frame = found.false_alarms.to_pandas().set_index("id")
    assert frame.index.tolist() == ["false", "mixed"]
    assert math.isnan(frame.loc["false", "nearest_px"])
    assert frame.loc["mixed", "nearest_px"] == pytest.approx(math.hypot(9, 29))
    assert (frame.loc["mixed", "component"], frame.loc["mixed", "area_px"]) == (1, 1)


def test_no_rows_keep_their_columns() -> None:
    counts = count_image(np.zeros((5, 5), np.float32), np.zeros((5, 5), np.uint8), 0.5, 2.0)
    blank = np.zeros((5, 5), np.float32)
    assert tables.target_rows("a", counts, blank, np.empty(0)) == []
    assert tables.false_alarm_rows("a", counts, blank) == []


def test_an_index_of_other_targets_is_refused() -> None:
    mask = np.zeros((5, 5), np.uint8)
    mask[2, 2] = 1
    counts = count_image(mask.astype(np.float32), mask, 0.5, 2.0)
    with pytest.raises(DataError, match=r"'a'.*index has 2 targets, the mask 1.*prepare"):
        tables.target_rows("a", counts, mask.astype(np.float32), np.array([1.0, 2.0]))


def test_a_table_comes_back(found: Evaluation, tmp_path: Path) -> None:
    pq.write_table(found.per_target, tmp_path / "a.parquet")
    read = tables.read_rows(tmp_path / "a.parquet", tables.TARGET_SCHEMA, "irstd evaluate tiny")
    assert read.equals(found.per_target)


@pytest.mark.parametrize(
    ("column", "complaint"),
    [(None, r"lacks hit, got id"), (pa.array(["x"] * 3), "not a readable table"), ([None] * 3, "")],
)
def test_a_table_of_another_form_is_refused(
    column: object, complaint: str, found: Evaluation, tmp_path: Path
) -> None:
    table = found.per_target.drop_columns("hit")
    if column is not None:
        table = table.append_column("hit", [column])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=rf"a.parquet: .*{complaint}.*`irstd evaluate tiny`"):
        tables.read_rows(tmp_path / "a.parquet", tables.TARGET_SCHEMA, "irstd evaluate tiny")
