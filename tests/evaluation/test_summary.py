import math
import re
from dataclasses import replace
from typing import Any

import pytest

from irstd.evaluation import summary
from irstd.metrics import conventions

KEYS = [key for key, _, _ in summary.FIGURES]


@pytest.fixture
def result() -> summary.Result:
    figures: dict[str, Any] = dict.fromkeys(KEYS, 0.5) | {"fa_pixel": 12.34e-6, "fa_target": None}
    conditions = {
        "profile": "demo",
        "network": "tiny",
        "source": "sirst",
        "split": "idx_427",
        "n_images": 86,
        "n_targets": 109,
        "baseline_f1_target": 0.2237,
        "convention": "ispanet",
        "threshold": 0.5,
        "distance_px": 2.0,
    }
    bounds = {key: {"low": 0.4, "high": 0.6, "undefined": 0.0} for key in KEYS}
    bounds["fa_pixel"] = {"low": 1e-6, "high": 20e-6, "undefined": 0.0}
    latency = {"median_ms": 12.5, "p95_ms": 14.0, "height": 64, "width": 80}
    known = {"intervals": {"pd": {"low": 0.5, "high": 1.0}}}
    unknown = {"intervals": {"pd": {"low": None, "high": None}}}
    one_bin = {"low": 2.0, "high": None, "targets": 4, "hits": 3, "pd": 0.75} | known
    empty = {"low": None, "high": None, "targets": 0, "hits": 0, "pd": None} | unknown
    sky = {"value": "sky", "targets": 4, "pd": 1.0} | unknown
    other = {"value": None, "targets": 2, "pd": 0.5} | known
    return summary.Result(
        metrics=figures | conditions,
        intervals={"confidence": 0.95, "samples": 1000, "unit": "image", "intervals": bounds},
        breakdown={"scr": [one_bin, empty], "area_px": [], "background": [sky, other]},
        speed={
            "device": "GPU",
            "latency": latency,
            "sequential": {"images_per_s": 80.0, "batch": 1},
            "batched": {"images_per_s": 320.0, "batch": 8, "height": 64, "width": 96},
        },
        run={"device": "GPU", "seconds": 3725, "epochs": 60, "commit": "0123456789abcdef"},
        trained={"parameters": 13_620_000, "best_epoch": 41},
        recipe="width 64",
        attribution="Images from somewhere.",
    )


def test_figures_stand_with_their_intervals(result: summary.Result) -> None:
    table = summary.figures_table([result])
    row = dict(zip(table.head, table.rows[0], strict=True))
    assert row["IoU"] == "0.500 [0.400, 0.600]"
    assert row["F_a (pixels) x 1e-6"] == "12.3 [1.0, 20.0]"
    assert row["F_a (components)"] == "undefined"
    assert row["F1-T of the best global threshold"] == "0.224"
    assert row["Test part"] == "sirst, idx_427: 86 images, 109 targets"


def test_sequences_stand_above_all_images(result: summary.Result) -> None:
    assert summary.sequence_table([result]) is None
    figures = {"iou": 0.25, "niou_image": None, "pd": 1.0, "pa": 0.5, "fa_pixel": 2e-6}
    one = {"value": "seq1", "images": 3, "targets": 4} | figures
    shown = replace(
        result,
        breakdown=result.breakdown | {"sequence": [one]},
        metrics=result.metrics | {"pa": 0.5, "niou_image": None},
    )
    table = summary.sequence_table([shown])
    assert table is not None
    assert table.rows[0] == (
        "tiny", "seq1", "3", "4", "0.250", "undefined", "1.000", "0.500", "2.0",
    )  # fmt: skip
    assert table.rows[1][:4] == ("tiny", "all", "86", "109")


def test_what_masks_would_be_needed_for_is_said(result: summary.Result) -> None:
    assert summary.undefined_parts([result]) == []
    told = replace(result, metrics=result.metrics | {"undefined": "boxes, no masks"})
    assert "Undefined: boxes, no masks." in summary.all_parts([told, told])


def test_an_undefined_interval_is_left_out(result: summary.Result) -> None:
    bounds = result.intervals["intervals"] | {"iou": {"low": None, "high": None, "undefined": 1.0}}
    changed = replace(result, intervals=result.intervals | {"intervals": bounds})
    assert "0.500" in summary.figures_table([changed]).rows[0]


def test_conditions_name_device_time_and_commit(result: summary.Result) -> None:
    table = summary.conditions_table([result])
    row = dict(zip(table.head, table.rows[0], strict=True))
    assert row["Parameters"] == "13.62 M"
    assert row["Training"] == "1 h 2 min on GPU; best epoch 42 of 60"
    assert row["Speed"] == (
        "80.0 images/s one after another (batch 1); 320.0 images/s in batches of 8 at 64 x 96; "
        "latency 12.5 ms (p95 14.0) at 64 x 80; on GPU"
    )
    assert row["Counting"] == "ispanet, threshold 0.5, distance 2 px"
    assert row["Commit"] == "0123456789ab"


def test_bins_state_their_bounds(result: summary.Result) -> None:
    rows = summary.breakdown_table([result]).rows
    assert rows == (
        ("tiny", "SCR of the target", "2 and more", "4", "0.750 [0.500, 1.000]"),
        ("tiny", "SCR of the target", "undefined", "0", "undefined"),
        ("tiny", "background", "sky", "4", "1.000"),
        ("tiny", "background", "not stated", "2", "0.500 [0.500, 1.000]"),
    )


CONVENTIONS = {
    "ispanet": {
        "defects": {},
        "figures": {"iou": 0.5, "niou_image": 0.25, "niou_target": None, "fa_target": math.nan},
    },
    "lpnet": {
        "defects": {"D12": "twelfth", "D8": "eighth"},
        "figures": {"pd": 1.5, "fa_image": 0.125, "f1": 0.5, "f1_target": 0.75},
    },
    "dnanet": {"defects": {"D8": "eighth"}, "figures": {"fa_pixel": 3e-6}},
}


def test_conventions_stand_side_by_side(result: summary.Result) -> None:
    table = summary.conventions_table({"tiny": CONVENTIONS})
    rows = [dict(zip(table.head, row, strict=True)) for row in table.rows]
    assert [row["Convention"] for row in rows] == ["ispanet", "lpnet", "dnanet"]
    assert [row["Defects"] for row in rows] == ["none", "D12, D8", "D8"]
    assert [row["IoU"] for row in rows] == ["0.500", "-", "-"]
    assert rows[0]["nIoU"] == "per image 0.250, per target undefined"
    assert rows[0]["F_a (other)"] == "of components undefined"
    assert (rows[1]["P_d"], rows[1]["F_a (other)"]) == ("1.500", "per image 0.125")
    assert rows[1]["F1"] == "pixels 0.500, targets 0.750"
    assert rows[2]["F_a (pixels) x 1e-6"] == "3.0"
    legend = summary.defects_table({"tiny": CONVENTIONS})
    assert legend.rows == (("D8", "eighth"), ("D12", "twelfth"))
    assert summary.convention_parts([result]) == []
    assert len(summary.convention_parts([replace(result, conventions=CONVENTIONS)])) == 3


def test_every_figure_of_every_convention_is_shown_once(result: summary.Result) -> None:
    complements_and_sums = {"md", "pair_iou_sum", "false_on_empty"}
    for name, convention in conventions.CONVENTIONS.items():
        keys = {k for k in convention.figures if not k.startswith("n_")} - complements_and_sums
        # In millionths, so that a figure that is scaled differs from none.
        values = {key: place / 1000 for place, key in enumerate(sorted(keys), start=1)}
        content = {"tiny": {name: {"defects": {}, "figures": values}}}
        tables = summary.conventions_table(content), summary.hierarchical_table(content)
        cells = " ".join(cell for table in tables for row in table.rows for cell in row)
        for value in values.values():
            shown = {summary.number(value), summary.number(value, summary.PER_MILLION)}
            assert len([word for word in re.split(r"[ ,]+", cells) if word in shown]) == 1


def test_hierarchical_iou_has_a_table_of_its_own(result: summary.Result) -> None:
    figures = dict.fromkeys(conventions.CONVENTIONS["opdc"].figures, 0.25) | {"iou_seg": None}
    opdc = {"opdc": {"defects": {}, "figures": figures}}
    table = summary.hierarchical_table({"tiny": CONVENTIONS | opdc})
    (row,) = table.rows
    cells = dict(zip(table.head, row, strict=True))
    assert (cells["Convention"], cells["hIoU"], cells["IoU_seg"]) == ("opdc", "0.250", "undefined")
    assert cells["1 - IoU_loc: M2S"] == cells["1 - IoU_seg: MRG"] == "0.250"
    parts = summary.convention_parts([replace(result, conventions=CONVENTIONS | opdc)])
    assert table in parts


def test_a_legend_without_defects_is_left_out(result: summary.Result) -> None:
    only = {"ispanet": CONVENTIONS["ispanet"]}
    note, table = summary.convention_parts([replace(result, conventions=only)])
    assert "conventions.csv" in str(note)
    assert isinstance(table, summary.Table)
    assert table.rows[0][-1] == "none"


def test_the_field_report_is_shown_where_an_image_is_empty(result: summary.Result) -> None:
    field = dict.fromkeys((key for _, key in summary.FIELD_FIGURES), 3) | {"pd": 0.5, "pa": None}
    table = summary.field_table([result, replace(result, field_report=field)])
    assert table is not None
    row = dict(zip(table.head, *table.rows, strict=True))
    assert (row["Images without"], row["P_d"], row["P_a"]) == ("3", "0.500", "undefined")
    assert summary.field_parts([replace(result, field_report=field | {"images_without": 0})]) == []


def test_the_note_explains_the_brackets(result: summary.Result) -> None:
    assert "95% interval" in summary.interval_note([result])
    assert "over images, 1000 samples" in summary.interval_note([result])


def test_a_table_in_markdown_and_html() -> None:
    table = summary.Table(("a", "b"), (("1|2", "<3"),))
    assert table.markdown() == "| a | b |\n| --- | --- |\n| 1\\|2 | <3 |"
    assert "<tr><td>1|2</td><td>&lt;3</td></tr>" in table.html()


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.4, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert summary.duration(seconds) == text
