import cv2
import numpy as np
import pytest

from irstd.errors import DataError
from irstd.evaluation.pictures import shrink_png

NOISE = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
PNG = cv2.imencode(".png", NOISE)[1].tobytes()


def test_a_large_picture_is_reduced_in_proportion() -> None:
    small = shrink_png(PNG, 50_000)
    assert len(small) <= 50_000
    height, width = cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert width / height == pytest.approx(1.5, abs=0.05)


def test_a_small_picture_stays_as_it_is() -> None:
    assert shrink_png(PNG, len(PNG)) is PNG


def test_damage_is_named() -> None:
    with pytest.raises(DataError, match="PNG file, got 5 bytes"):
        shrink_png(b"broken"[:5], 100)
