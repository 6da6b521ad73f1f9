import cv2
import numpy as np
import pytest


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    import importlib
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "app"))
    return importlib.import_module("panels")


def decode(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def coloured(picture: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    """Columns that hold a colour, above the legend, as shares of the width."""
    picture = picture[: int(picture.shape[0] * 0.85)]
    near = np.abs(picture[..., ::-1].astype(int) - rgb).max(axis=2) < 30
    return np.flatnonzero(near.any(axis=0)) / picture.shape[1]


GREEN, RED, YELLOW = (0, 210, 106), (255, 69, 58), (255, 214, 10)


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image = np.random.default_rng(0).integers(0, 4000, (64, 80)).astype(np.uint16)
    mask, predicted = np.zeros((64, 80), np.uint8), np.zeros((64, 80), bool)
    mask[10:13, 10:13] = mask[40:43, 40:43] = 1
    predicted[10:13, 10:13] = predicted[50:52, 60:62] = True
    return image, mask, predicted


def test_marks_stand_in_their_panels(panels, scene) -> None:  # type: ignore[no-untyped-def]
    marks = [
        panels.Mark("hit", (10, 10, 13, 13)),
        panels.Mark("miss", (40, 40, 43, 43)),
        panels.Mark("false_alarm", (50, 60, 52, 62)),
    ]
    picture = decode(panels.draw_panels(*scene, marks, None))
    for colour in (GREEN, RED):
        columns = coloured(picture, colour)
        assert columns.min() > 1 / 3
        assert {int(column * 3) for column in columns} == {1, 2}
    assert {int(column * 3) for column in coloured(picture, YELLOW)} == {2}


def test_an_image_without_marks_has_no_colour(panels, scene) -> None:  # type: ignore[no-untyped-def]
    picture = decode(panels.draw_panels(*scene, [], None))
    assert all(coloured(picture, colour).size == 0 for colour in (GREEN, RED, YELLOW))


def test_a_view_enlarges_its_mark(panels, scene) -> None:  # type: ignore[no-untyped-def]
    marks = [panels.Mark("miss", (40, 40, 43, 43))]
    whole = decode(panels.draw_panels(*scene, marks, None))
    near = decode(panels.draw_panels(*scene, marks, (40, 40, 43, 43)))

    def extent(picture: np.ndarray) -> float:
        columns = coloured(picture, RED)
        second = columns[(columns > 1 / 3) & (columns < 2 / 3)]
        return float(second.max() - second.min())

    assert extent(near) > 1.3 * extent(whole)


def test_a_constant_image_can_be_drawn(panels) -> None:  # type: ignore[no-untyped-def]
    flat = np.full((32, 32), 7, np.uint8)
    picture = decode(panels.draw_panels(flat, flat * 0, flat > 9, [], None))
    assert picture.ndim == 3
