from pathlib import Path

import numpy as np

from irstd.data.sheet import draw_samples, outline, sample_rows
from irstd.data.sources import RawImage
from irstd.data.store import SPLITS, PreparedData, write_prepared


def make_data(folder: Path, kinds: list[str | None]) -> PreparedData:
    random = np.random.default_rng(2)
    images = []
    for number, kind in enumerate(kinds):
        mask = np.zeros((20, 30), np.uint8)
        mask[5, 6] = number % 2
        image = random.integers(0, 65536, (20, 30)).astype(np.uint16)
        images.append(RawImage(f"i{number}", SPLITS[number % 3], image, mask, background=kind))
    write_prepared(folder, images, "test")
    return PreparedData(folder)


def test_outline_follows_the_edges_of_the_pixels() -> None:
    mask = np.zeros((3, 3), np.uint8)
    mask[0, 0] = mask[0, 1] = 1
    segments = {tuple(segment) for segment in outline(mask)}
    assert segments == {
        ((-0.5, -0.5), (0.5, -0.5)),
        ((0.5, -0.5), (1.5, -0.5)),
        ((-0.5, 0.5), (0.5, 0.5)),
        ((0.5, 0.5), (1.5, 0.5)),
        ((-0.5, -0.5), (-0.5, 0.5)),
        ((1.5, -0.5), (1.5, 0.5)),
    }
    assert outline(np.zeros((3, 3), np.uint8)) == []


def test_every_background_is_sampled_without_repetition(tmp_path: Path) -> None:
    data = make_data(tmp_path, ["sky"] * 10 + ["sea"] * 10 + ["ground"] * 4)
    rows = sample_rows(data, 12)
    assert len(set(rows.tolist())) == 12
    assert set(data.index["background"].iloc[rows]) == {"sky", "sea", "ground"}
    assert len(sample_rows(data, 100)) == 24


def test_captions_say_what_is_shown(tmp_path: Path) -> None:
    data = make_data(tmp_path, ["sky", "sky", None])
    figure = draw_samples(data, np.array([0, 1, 2]), columns=2)
    titles = [axes.get_title() for axes in figure.axes]
    ratio = data.index["scr"].iloc[1][0]
    assert titles[0] == "i0 (train, sky)\n20 x 30, no target"
    assert titles[1] == f"i1 (val, sky)\n20 x 30, SCR {ratio:.1f}"
    assert titles[2].startswith("i2 (test)\n")
    assert titles[3] == ""
    assert len(figure.axes[1].collections[0].get_paths()) == 4
