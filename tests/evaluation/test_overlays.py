import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import RegularPolygon

from irstd.data.store import PreparedData
from irstd.evaluation.evaluate import Evaluation
from irstd.evaluation.figures import png_bytes
from irstd.evaluation.overlays import STYLES, caption, draw_overlay
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


def test_the_subject_is_enlarged_in_the_opposite_corner(
    data: PreparedData, found: Evaluation, kept: dict[str, np.ndarray]
) -> None:
    figure, _, subject = drawn("mixed", data, found, kept)
    assert (subject.row, subject.col) == (40.0, 60.0)  # below and right of the middle
    png_bytes(figure)  # lays it out
    (inset,) = figure.axes[0].child_axes
    left, right = inset.get_xlim()
    bottom, top = inset.get_ylim()
    assert left < 60 < right
    assert top < 40 < bottom <= 47.5
    assert right - left < 0.36 * 48 / 1.9  # twice as large as in the image
    outer, inner = figure.axes[0].get_position(), inset.get_position()
    assert inner.x0 == pytest.approx(outer.x0)
    assert inner.y1 == pytest.approx(outer.y1)


def test_the_caption_counts_the_image(
    data: PreparedData, found: Evaluation, kept: dict[str, np.ndarray]
) -> None:
    figure, counts, subject = drawn("mixed", data, found, kept)
    text = caption(counts, subject)
    assert "mixed: false alarm at row 40.0, column 60.0" in text
    assert "targets 1, hit 1, false alarms 1, IoU 0.90" in text
    assert figure.axes[0].get_title() == text


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
