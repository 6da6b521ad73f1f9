from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from irstd.data.pixels import read_mask
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.stages.proposals import write_proposals


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    """A target whose label is too small and one without an edge, in images of their own."""
    truth = np.zeros((60, 70), np.uint8)
    truth[20:29, 30:40] = 1
    image = np.round(50 + 150 * ndimage.gaussian_filter(truth.astype(float), 0.8)).astype(np.uint8)
    mask = ndimage.binary_erosion(truth, iterations=2).astype(np.uint8)
    images = [
        RawImage("a & b", "train", image, mask),
        RawImage("flat", "test", np.full_like(image, 70), mask),
    ]
    write_prepared(tmp_path / "prepared", iter(images), "folder")
    return PreparedData(tmp_path / "prepared")


def test_each_target_has_a_row_and_a_picture_on_the_page(
    data: PreparedData, tmp_path: Path
) -> None:
    folder = tmp_path / "relabel"
    table = write_proposals(folder, data, ["seq/0", "seq/1"], np.arange(2))
    assert table["status"].tolist() == ["proposed", "no edge"]
    assert table[["top", "left", "bottom", "right"]].to_numpy().tolist() == [[22, 32, 27, 38]] * 2
    pd.testing.assert_frame_equal(pd.read_csv(folder / "proposals.csv"), table)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 2
    assert 'src="pictures/a%20%26%20b_0.png"' in page
    assert "<td>a &amp; b</td>" in page
    assert f"<td>{table['old_px'].iloc[0]} to {table['new_px'].iloc[0]}</td>" in page
    assert "<td>undefined to undefined</td>" in page
    assert {path.name for path in (folder / "pictures").iterdir()} == {"a & b_0.png", "flat_0.png"}


def test_only_images_with_a_new_label_have_a_mask(data: PreparedData, tmp_path: Path) -> None:
    folder = tmp_path / "relabel"
    table = write_proposals(folder, data, ["seq/0", "seq/1"], np.arange(2))
    masks = list((folder / "masks").rglob("*.png"))
    assert masks == [folder / "masks" / "seq" / "0.png"]
    assert read_mask(masks[0]).sum() == table["new_px"].iloc[0]
