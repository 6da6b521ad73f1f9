import math
from typing import Any

import pandas as pd
import pytest

from irstd.data.store import PreparedData
from irstd.evaluation.breakdown import IMAGE_FIGURES, breakdown
from irstd.evaluation.evaluate import Evaluation
from irstd.metrics.counts import COUNT_COLUMNS

Frames = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def frames(
    targets: list[tuple[int, dict[str, Any]]], n_images: int = 4, **facts: list[str | None]
) -> Frames:
    """Images of 64 x 80 with these targets: the image of each, and what is special about it."""
    ids = [f"image {position}" for position in range(n_images)]
    usual = {"scr": 3.0, "area_px": 9, "hit": True, "top": 20, "left": 20}
    rows = [usual | {"id": ids[image]} | special for image, special in targets]
    per_target = pd.DataFrame(rows, columns=[*usual, "id"])
    per_target["bottom"], per_target["right"] = per_target["top"] + 3, per_target["left"] + 3
    per_image = pd.DataFrame(0.0, index=range(n_images), columns=list(COUNT_COLUMNS))
    per_image = per_image.assign(id=ids, height=64, width=80, images=1.0, pixels=5120.0)
    of_image = per_target.groupby("id")["hit"].agg(["size", "sum"]).reindex(ids, fill_value=0)
    per_image["targets"] = per_image["predicted"] = of_image["size"].to_numpy(float)
    per_image["matched"] = of_image["sum"].to_numpy(float)
    nothing: list[str | None] = [None] * n_images
    index = pd.DataFrame({"id": ids, "background": nothing, "sequence": nothing} | facts)
    return per_image, per_target, index


def bins(tables: Frames, name: str) -> list[dict[str, Any]]:
    return breakdown(*tables, 200, 0.9, 0)[name]


def column(tables: Frames, name: str, key: str) -> list[Any]:
    return [one[key] for one in bins(tables, name)]


def test_targets_fall_into_half_open_bins() -> None:
    targets = [
        (0, {"scr": 1.0, "area_px": 9, "hit": False}),
        (0, {"scr": 2.0, "area_px": 10}),
        (1, {"scr": 3.9, "area_px": 25, "hit": False}),
        (2, {"scr": 4.0, "area_px": 26}),
        (2, {"scr": 100.0, "area_px": 81}),
    ]
    tables = frames(targets)
    assert column(tables, "scr", "targets") == [1, 2, 1, 0, 0, 1]
    second = bins(tables, "scr")[1]
    assert (second["low"], second["high"]) == (2.0, 4.0)
    assert (second["images"], second["targets"], second["hits"], second["pd"]) == (2, 2, 1, 0.5)
    assert column(tables, "area_px", "targets") == [1, 2, 1, 1, 0]
    assert bins(tables, "area_px")[-1]["high"] is None
    assert math.isnan(bins(tables, "area_px")[-1]["pd"])


def test_the_border_distance_is_that_of_the_nearest_side() -> None:
    places = [(0, 40), (61, 40), (30, 0), (30, 77), (3, 40), (60, 40), (30, 73), (20, 30)]
    tables = frames([(0, {"top": top, "left": left}) for top, left in places])
    # 0 four times, 3 and 1 (of 64 rows 63 is the last but one), 4 (of 80 columns), 20.
    assert column(tables, "border_px", "targets") == [4, 2, 1, 0, 1, 0]


def test_an_undefined_scr_is_a_bin_of_its_own() -> None:
    tables = frames([(0, {"scr": math.nan}), (1, {"hit": False})])
    last = bins(tables, "scr")[-1]
    assert (last["low"], last["high"], last["targets"], last["pd"]) == (None, None, 1, 1.0)
    assert sum(column(tables, "scr", "targets")) == 2


def test_images_are_binned_by_their_number_of_targets() -> None:
    tables = frames([(0, {}), (1, {}), (1, {"hit": False}), *[(2, {})] * 10])
    tables[0].loc[3, ["predicted", "unmatched_pixels"]] = [2.0, 512.0]
    found = bins(tables, "targets")
    assert [one["images"] for one in found] == [1, 1, 1, 0, 0, 1]
    assert [one["targets"] for one in found] == [0, 1, 2, 0, 0, 10]
    assert (found[2]["pd"], found[2]["pa"]) == (0.5, 0.5)
    assert math.isnan(found[0]["pd"])
    assert (found[0]["pa"], found[0]["fa_pixel"]) == (0.0, pytest.approx(0.1))


def test_backgrounds_and_sequences_where_the_index_states_them() -> None:
    targets = [(0, {}), (1, {"hit": False}), (2, {})]
    assert set(breakdown(*frames(targets), 100, 0.9, 0)) == {
        "scr", "area_px", "border_px", "targets",
    }  # fmt: skip
    tables = frames(
        targets, background=["sky", "sea", "sky", None], sequence=["s1", "s1", "s2", "s2"]
    )
    assert column(tables, "background", "value") == ["sea", "sky", None]
    assert column(tables, "background", "images") == [1, 2, 1]
    assert column(tables, "background", "pd")[:2] == [0.0, 1.0]
    assert column(tables, "sequence", "value") == ["s1", "s2"]
    assert column(tables, "sequence", "pd") == [0.5, 1.0]


def test_intervals_hold_the_figure_and_need_two_units() -> None:
    targets = [(image, {"hit": image % 3 > 0}) for image in range(30)]
    found = bins(frames(targets, 30), "scr")[1]
    bounds = found["intervals"]["pd"]
    assert found["pd"] == pytest.approx(2 / 3)
    assert bounds["low"] < 2 / 3 < bounds["high"]
    alone = bins(frames([(0, {})]), "scr")[1]["intervals"]["pd"]
    assert math.isnan(alone["low"])


def test_whole_sequences_are_drawn() -> None:
    targets = [(image, {"hit": image < 20}) for image in range(40)]
    names: list[str | None] = [f"s{image // 10}" for image in range(40)]
    by_image = bins(frames(targets, 40), "scr")[1]["intervals"]["pd"]
    by_sequence = bins(frames(targets, 40, sequence=names), "scr")[1]["intervals"]["pd"]
    assert by_sequence["low"] < by_image["low"] < by_image["high"] < by_sequence["high"]
    one = bins(frames(targets, 40, sequence=names), "sequence")[0]["intervals"]["pd"]
    assert math.isnan(one["low"])


def test_no_target_at_all() -> None:
    result = breakdown(*frames([]), 100, 0.9, 0)
    assert all(one["targets"] == 0 for found in result.values() for one in found)
    assert result["targets"][0]["images"] == 4


def test_on_what_an_evaluation_gives(found: Evaluation, data: PreparedData) -> None:
    result = breakdown(
        found.per_image.to_pandas(), found.per_target.to_pandas(), data.index, 100, 0.9, 0
    )
    for name in ("scr", "area_px", "border_px", "targets"):
        assert sum(one["targets"] for one in result[name]) == 3
        assert sum(one["hits"] for one in result[name]) == 2
    assert all(set(one["intervals"]) == set(IMAGE_FIGURES) for one in result["targets"])
