import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, RegularPolygon
from matplotlib.transforms import Bbox

from irstd.data.store import PreparedData
from irstd.evaluation.evaluate import Evaluation
from irstd.evaluation.figures import png_bytes
from irstd.evaluation.overlays import STYLES, caption, contours, draw_overlay
from irstd.evaluation.subjects import Subject, choose_subjects
from irstd.metrics.counts import ImageCounts, count_image


def drawn(
    id: str, data: PreparedData, found: Evaluation, kept: dict[str, np.ndarray]
) -> tuple[Figure, ImageCounts, Subject]:
    row = data.index["id"].tolist().index(id)
    counts = count_image(kept[id], data.mask(row), 0.5, 2.0)
    subjects = choose_subjects(found.per_target.to_pandas(), found.false_alarms.to_pandas(), 9)
    subject = next(one for one in subjects if one.id == id)
    return draw_overlay(data.image(row), counts, subject), counts, subject


@pytest.mark.parametrize(
    ("id", "letters"), [("hit", "H"), ("miss", "M"), ("false", "F"), ("mixed", "HF")]
)
def test_each_object_is_marked_by_colour_shape_line_and_letter(
    id: str, letters: str, data: PreparedData, found: Evaluation, kept: dict[str, np.ndarray]
) -> None:
    figure, _, _ = drawn(id, data, found, kept)
    axes = figure.axes[0]
    assert "".join(text.get_text() for text in axes.texts) == letters
    marks = [patch for patch in axes.patches if isinstance(patch, RegularPolygon)]
    for mark, letter in zip(marks, letters, strict=True):
        style = next(one for one in STYLES.values() if one.letter == letter)
        assert to_hex(mark.get_edgecolor()) == style.colour
        assert mark.get_linestyle() == style.line
        assert mark.numvertices == style.corners


def test_no_two_kinds_share_a_look() -> None:
    for name in ("letter", "colour", "line", "marker", "corners"):
        assert len({getattr(style, name) for style in STYLES.values()}) == len(STYLES)


def box_of(axes: Axes, figure: Figure) -> Bbox:
    figure.draw_without_rendering()
    return axes.get_window_extent()


@pytest.mark.parametrize("far", [(20, 20), (20, 140), (100, 20), (100, 140)])
def test_no_mark_is_hidden_wherever_it_lies(far: tuple[int, int]) -> None:
    mask = np.zeros((120, 160), np.uint8)
    for row, col in (far, (60, 80)):
        mask[row : row + 3, col : col + 3] = 1
    counts = count_image(mask.astype(np.float32), mask, 0.5, 2.0)
    subject = Subject("hit", "a", 0, 61.0, 81.0, (60, 80, 63, 83), "the middle")
    figure = draw_overlay(mask, counts, subject)
    axes, panel = figure.axes
    marks = [patch for patch in axes.patches if isinstance(patch, RegularPolygon)]
    assert len(marks) == 2
    hidden = box_of(panel, figure)
    assert not any(mark.get_window_extent().overlaps(hidden) for mark in marks)


def test_the_subject_is_enlarged_beside_the_image(
    data: PreparedData, found: Evaluation, kept: dict[str, np.ndarray]
) -> None:
    figure, _, subject = drawn("mixed", data, found, kept)
    assert (subject.row, subject.col) == (40.0, 60.0)  # below and right of the middle
    axes, panel = figure.axes
    left, right = panel.get_xlim()
    bottom, top = panel.get_ylim()
    assert left < 60 < right
    assert top < 40 < bottom <= 47.5
    image, part = box_of(axes, figure), box_of(panel, figure)
    assert part.width / (right - left) > 1.9 * image.width / 81  # twice as large as in the image
    assert part.x0 >= image.x1
    assert part.y1 == pytest.approx(image.y1, abs=1)
    assert [text.get_text() for text in panel.texts] == ["H", "F"]  # that outside is not drawn
    (frame,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
    assert frame.get_bbox().extents.tolist() == pytest.approx([left, top, right, bottom])


def test_contours_are_closed_paths_of_joined_segments() -> None:
    mask = np.zeros((7, 7), bool)
    mask[1:3, 1:3] = mask[3, 3] = mask[5, 0] = True  # two touch at a corner, one stands alone
    paths = contours(mask)
    assert sum(len(path) - 1 for path in paths) == 8 + 4 + 4
    assert len(paths) == 2
    for path in paths:
        assert path[0] == path[-1]
        steps = np.abs(np.diff(np.array(path), axis=0)).sum(axis=1)
        assert steps.tolist() == [1.0] * (len(path) - 1)
    assert contours(np.zeros((3, 3), bool)) == []


def test_the_legend_shows_each_line_beside_its_shape(
    data: PreparedData, found: Evaluation, kept: dict[str, np.ndarray]
) -> None:
    figure, _, _ = drawn("mixed", data, found, kept)
    (legend,) = figure.legends
    lines = legend.findobj(Line2D)
    assert {line.get_linestyle() for line in lines} >= {"-", "--", ":", "-."}
    assert not any(
        line.get_marker() not in ("", "None") and line.get_linestyle() != "None" for line in lines
    )


def test_the_caption_counts_the_image(
    data: PreparedData, found: Evaluation, kept: dict[str, np.ndarray]
) -> None:
    figure, counts, subject = drawn("mixed", data, found, kept)
    text = caption(counts, subject)
    assert "mixed: false alarm at row 40.0, column 60.0" in text
    assert "targets 1, hit 1, false alarms 1, IoU 0.90" in text
    assert figure.get_suptitle() == text


def test_equal_input_gives_equal_bytes(
    data: PreparedData, found: Evaluation, kept: dict[str, np.ndarray]
) -> None:
    first, again = (png_bytes(drawn("hit", data, found, kept)[0]) for _ in range(2))
    assert first == again


def test_a_flat_image_can_be_drawn() -> None:
    image = np.full((40, 40), 7, np.uint16)
    mask = np.zeros((40, 40), np.uint8)
    mask[0, 39] = 1
    counts = count_image(np.zeros((40, 40), np.float32), mask, 0.5, 2.0)
    subject = Subject("miss", "flat", 0, 0.0, 39.0, (0, 39, 1, 40), "the corner")
    assert len(png_bytes(draw_overlay(image, counts, subject))) > 1000
