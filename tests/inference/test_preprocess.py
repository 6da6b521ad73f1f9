from dataclasses import replace

import numpy as np
import pytest

from irstd.config import FitParams
from irstd.data.pixels import to_unit
from irstd.errors import DataError, ModelError
from irstd.inference.preprocess import Preprocessing
from irstd.models.registry import network_spec

PAD = Preprocessing(in_channels=1, mean=0.0, std=1.0, size_multiple=32, fit="pad", fill=None)


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "legal"),
    [((1, 1), (32, 32)), ((5, 7), (32, 32)), ((32, 64), (32, 64)), ((33, 97), (64, 128))],
)
def test_pad_adds_zeros_at_bottom_and_right(size: tuple[int, int], legal: tuple[int, int]) -> None:
    pixels = image(*size)
    batch, placement = PAD.apply(pixels)
    assert batch.shape == (1, 1, *legal)
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    np.testing.assert_array_equal(batch[0, 0, : size[0], : size[1]], to_unit(pixels))
    assert batch.sum(dtype=np.float64) == pytest.approx(to_unit(pixels).sum(dtype=np.float64))
    restored = PAD.restore(batch[0, 0], placement)
    np.testing.assert_array_equal(restored, to_unit(pixels))


def test_dtypes_of_equal_content_give_equal_inputs() -> None:
    eight = image(9, 11)
    sixteen = eight.astype(np.uint16) * 257
    unit = eight / 255.0
    first, _ = PAD.apply(eight)
    for other in (sixteen, unit, unit.astype(np.float32)):
        np.testing.assert_allclose(PAD.apply(other)[0], first, atol=1e-7)


def test_normalisation_comes_before_the_padding() -> None:
    facts = replace(PAD, mean=0.5, std=0.25, in_channels=3)
    batch, _ = facts.apply(np.full((4, 4), 255, np.uint8))
    assert batch.shape == (1, 3, 32, 32)
    assert (batch[:, :, :4, :4] == 2.0).all()
    assert np.count_nonzero(batch) == 3 * 16


@pytest.mark.parametrize(("side", "legal"), [(1, 32), (47, 32), (49, 64), (64, 64), (100, 96)])
def test_resize_goes_to_the_nearest_legal_size(side: int, legal: int) -> None:
    facts = replace(PAD, fit="resize")
    batch, placement = facts.apply(np.full((side, 64), 51, np.uint8))
    assert batch.shape == (1, 1, legal, 64)
    np.testing.assert_allclose(batch, 0.2, atol=1e-6)
    restored = facts.restore(batch[0, 0], placement)
    assert restored.shape == (side, 64)
    np.testing.assert_allclose(restored, 0.2, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (50, 80), (200, 31), (5, 7)])
def test_fill_and_restore_keep_a_ramp_in_place(size: tuple[int, int]) -> None:
    facts = replace(PAD, fill=(96, 128))
    rows, cols = np.mgrid[: size[0], : size[1]]
    ramp = ((rows / size[0] + cols / size[1]) / 2).astype(np.float32)
    batch, placement = facts.apply(ramp)
    assert batch.shape == (1, 1, 96, 128)
    restored = facts.restore(batch[0, 0], placement)
    assert restored.shape == size
    inner = (
        slice(0, size[0] * 2 // 3),
        slice(0, size[1] * 2 // 3),
    )  # the far edge mixes with zeros
    step = 1 / size[0] + 1 / size[1]
    np.testing.assert_allclose(restored[inner], ramp[inner], atol=step)


def test_a_point_returns_to_its_pixel_after_fill() -> None:
    facts = replace(PAD, fill=(128, 160))
    pixels = np.zeros((50, 70), np.float32)
    pixels[20:23, 30:33] = 1.0
    batch, placement = facts.apply(pixels)
    restored = facts.restore(batch[0, 0], placement)
    assert np.unravel_index(restored.argmax(), restored.shape) == (21, 31)


def test_facts_survive_their_text() -> None:
    for facts in (PAD, replace(PAD, fill=(64, 96), mean=0.1, std=2.5, fit="resize")):
        assert Preprocessing.from_json(facts.to_json()) == facts


def test_facts_come_from_spec_and_parameters() -> None:
    spec = network_spec("ispanet")
    native = Preprocessing.of(spec, 1, FitParams(method="native", height=64, width=96))
    assert native == PAD
    fill = Preprocessing.of(spec, 1, FitParams(method="fill", height=64, width=96))
    assert fill.fill == (64, 96)
    assert fill.legal_size((65, 97)) == (96, 128)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"std": 0.0}, "std must be positive and finite, got 0"),
        ({"mean": float("nan")}, "mean must be finite, got nan"),
        ({"size_multiple": 0}, "size_multiple must be at least 1"),
        ({"fit": "tile"}, "fit must be pad or resize, got 'tile'"),
        ({"fill": (0, 5)}, r"fill must be a positive \(height, width\), got \(0, 5\)"),
    ],
)
def test_impossible_facts_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(PAD, **changes)


@pytest.mark.parametrize("shape", [(0, 4), (4, 4, 3), (4,)])
def test_other_than_grey_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"expected a grey image \(height, width\) with pixels"):
        PAD.apply(np.zeros(shape, np.uint8))


def test_a_map_of_another_size_is_refused() -> None:
    _, placement = PAD.apply(image(5, 7))
    with pytest.raises(ModelError, match=r"expected a map of 32 x 32 .* got shape \(8, 8\)"):
        PAD.restore(np.zeros((8, 8), np.float32), placement)
