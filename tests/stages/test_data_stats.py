import json
from pathlib import Path

import pandas as pd
import pytest

from irstd.config import Params
from irstd.data.faults import FaultLog, read_images
from irstd.data.layouts import open_contents
from irstd.data.listing import Listed
from irstd.data.statistics import ISPANET_TABLE_V
from irstd.data.store import write_prepared
from irstd.errors import DataError
from irstd.layout import Layout
from irstd.stages.data_stats import data_stats, summary
from tests.scenes import prepared, smoke_params


def test_the_report_is_complete(tmp_path: Path) -> None:
    params = smoke_params()
    layout = Layout(tmp_path, params.profile)
    data = prepared(layout.processed)
    metrics = data_stats(tmp_path, params)
    folder = layout.report("data")
    assert {path.name for path in folder.iterdir()} == {
        "metrics.json", "targets.csv", "histograms.png", "summary.md",
    }  # fmt: skip
    assert json.loads((folder / "metrics.json").read_text())["targets"] == metrics["targets"] == 5
    assert len(pd.read_csv(folder / "targets.csv")) == data.index["n_targets"].sum()
    text = (folder / "summary.md").read_text()
    assert "| targets | 5 |" in text
    assert "ISPANet" not in text


def test_a_part_of_a_published_set_is_called_so(tmp_path: Path) -> None:
    params = smoke_params()
    prepared(Layout(tmp_path, params.profile).processed)
    metrics = data_stats(tmp_path, params)
    text = summary(metrics, ISPANET_TABLE_V["sirst"])
    assert "6 of the paper's 427 images" in text
    assert "| targets | 5 |  | 533 |" in text
    assert "Misc_111" not in text  # by how much it lowers a mean holds for all images
    assert "Misc_111" in summary(metrics | {"images": 427}, ISPANET_TABLE_V["sirst"])


def _reading(params: Params, source: str) -> Params:
    """Parameters as if they named another source."""
    return params.model_copy(update={"data": params.data.model_copy(update={"source": source})})


def test_images_of_another_source_are_not_taken_for_those_of_the_parameters(tmp_path: Path) -> None:
    params = smoke_params()
    prepared(Layout(tmp_path, params.profile).processed)
    message = r"expected images of sirst \(data\.source\), got generated; run `irstd prepare`"
    with pytest.raises(DataError, match=message):
        data_stats(tmp_path, _reading(params, "sirst"))
    assert not Layout(tmp_path, params.profile).report("data").exists()


@pytest.mark.slow
def test_sirst_beside_the_paper(tmp_path: Path, shared: Path) -> None:
    contents = open_contents(shared / "data" / "sirst")
    items = [Listed(entry, "test") for entry in contents.entries.values()]
    params = _reading(smoke_params(), "sirst")
    folder = Layout(tmp_path, params.profile).processed
    write_prepared(folder, read_images(contents, items, FaultLog("repair")), "sirst")
    found = data_stats(tmp_path, params)
    paper = ISPANET_TABLE_V["sirst"]
    assert (found["images"], found["targets"]) == (paper.images, paper.targets)
    figures = found["figures"]
    assert (figures["area_px"]["low"], figures["area_px"]["high"]) == (4, 330)
    # Means are printed with two decimals, cut off; one mask of 427 is repaired (0.01 px in a mean).
    assert figures["area_px"]["mean"] == pytest.approx(paper.figures["area_px"].mean, abs=0.03)
    for name in ("height_px", "width_px"):
        mean = figures[name]["mean_over_images"]
        assert mean == pytest.approx(paper.figures[name].mean, abs=0.02)
    assert tuple(map(tuple, found["extremes"])) == paper.extremes
