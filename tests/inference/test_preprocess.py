from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from irstd.config import FitParams
from irstd.data.pixels import to_unit
from irstd.errors import DataError, ModelError
from irstd.inference.preprocess import Preprocessing
from irstd.models.registry import network_spec
from irstd.models.spec import SizeRule

PAD = Preprocessing(
    in_channels=1,
    mean=(0.0,),
    std=(1.0,),
    sizes=SizeRule(multiple=32),
    fit="pad",
    fit_size=None,
    fill=None,
)


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
    restored = PAD.restore(batch[:, 0], placement)
    np.testing.assert_array_equal(restored, to_unit(pixels))


def test_dtypes_of_equal_content_give_equal_inputs() -> None:
    eight = image(9, 11)
    sixteen = eight.astype(np.uint16) * 257
    unit = eight / 255.0
    first, _ = PAD.apply(eight)
    for other in (sixteen, unit, unit.astype(np.float32)):
        np.testing.assert_allclose(PAD.apply(other)[0], first, atol=1e-7)


def test_normalisation_comes_before_the_padding() -> None:
    facts = replace(PAD, mean=(0.5,), std=(0.25,), in_channels=3)
    batch, _ = facts.apply(np.full((4, 4), 255, np.uint8))
    assert batch.shape == (1, 3, 32, 32)
    assert (batch[:, :, :4, :4] == 2.0).all()
    assert np.count_nonzero(batch) == 3 * 16


def test_every_channel_has_its_own_mean_and_std() -> None:
    facts = replace(PAD, in_channels=3, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    batch, _ = facts.apply(np.full((32, 32), 1.0, np.float32))
    np.testing.assert_allclose(batch[0, :, 0, 0], [0.9, 0.4, 0.175], rtol=1e-6)
    tensor = torch.ones(2, 1, 32, 32)
    np.testing.assert_array_equal(facts.normalise(tensor)[:1].numpy(), batch)


# (height, width) of images and of the input, from the published rule of SGMP-UNet.
SCALED = [
    ((256, 256), (320, 320)),
    ((480, 720), (320, 480)),
    ((512, 640), (320, 384)),
    ((696, 934), (320, 416)),
    ((320, 640), (288, 576)),
]


@pytest.mark.parametrize(("size", "scaled"), SCALED)
def test_resize_brings_the_shorter_side_to_its_size(
    size: tuple[int, int], scaled: tuple[int, int]
) -> None:
    facts = replace(PAD, fit="resize", fit_size=(320, 576))
    batch, placement = facts.apply(np.full(size, 51, np.uint8))
    assert batch.shape == (1, 1, *scaled)
    restored = facts.restore(batch[:, 0], placement)
    assert restored.shape == size
    np.testing.assert_allclose(restored, 0.2, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (47, 100), (256, 256), (300, 200)])
def test_stretch_gives_one_size(size: tuple[int, int]) -> None:
    facts = replace(PAD, fit="stretch", fit_size=(256, 256))
    batch, placement = facts.apply(np.full(size, 51, np.uint8))
    assert batch.shape == (1, 1, 256, 256)
    assert facts.restore(batch[:, 0], placement).shape == size


def test_clamped_logits_are_interpolated_as_probabilities() -> None:
    facts = replace(PAD, fit="stretch", fit_size=(64, 64), interpolate="probability")
    _, placement = facts.apply(image(160, 160))
    probability = np.full((1, 64, 64), 1e-7, np.float32)
    probability[0, 30, 30] = 1 - 1e-7
    logits = np.log(probability / (1 - probability))
    restored = 1 / (1 + np.exp(-facts.restore(logits, placement)))
    expected = replace(facts, interpolate="logits").restore(probability, placement)
    np.testing.assert_allclose(restored, expected, atol=1e-6)


def tiled() -> Preprocessing:
    return replace(
        PAD, sizes=SizeRule(multiple=32, max_area=96 * 96), fit="tile", fit_size=(96, 96)
    )


def test_tile_pads_where_one_window_holds_the_image() -> None:
    batch, placement = tiled().apply(image(70, 40))
    assert batch.shape == (1, 1, 96, 64)
    assert placement.windows == ((0, 0),)


@pytest.mark.parametrize("size", [(97, 96), (200, 60), (250, 301)])
def test_tiles_overlap_and_blend_to_the_image(size: tuple[int, int]) -> None:
    pixels = image(*size)
    batch, placement = tiled().apply(pixels)
    assert len(batch) == len(placement.windows) > 1
    assert batch.shape[1:] == (1, 96, 96)
    np.testing.assert_allclose(tiled().restore(batch[:, 0], placement), to_unit(pixels), atol=1e-6)
    for axis in (0, 1):
        starts = sorted({window[axis] for window in placement.windows})
        assert all(second - first <= 72 for first, second in pairwise(starts))  # a quarter overlaps
        assert starts[-1] + 96 >= size[axis]


def test_where_windows_overlap_the_nearer_middle_weighs_more() -> None:
    facts = tiled()
    _, placement = facts.apply(image(96, 150))
    assert placement.windows == ((0, 0), (0, 54))
    maps = np.stack([np.zeros((96, 96)), np.ones((96, 96))]).astype(np.float32)
    row = facts.restore(maps, placement)[48]
    assert (row[:54] == 0).all()
    assert (np.diff(row[54:96]) >= 0).all()
    assert row[75] == pytest.approx(0.5, abs=0.05)
    assert (row[96:] == 1).all()


def test_clips_keep_their_frames_and_stills_repeat() -> None:
    facts = replace(PAD, frames=3, target_frame=1, in_channels=3)
    clip = np.stack([image(20, 30, seed) for seed in range(3)])
    batch, placement = facts.apply(clip)
    assert batch.shape == (1, 3, 3, 32, 32)
    for number, frame in enumerate(clip):
        np.testing.assert_array_equal(batch[0, number, 2, :20, :30], to_unit(frame))
    assert placement.image == (20, 30)
    still, _ = facts.apply(clip[0])
    assert (still == still[:, :1]).all()
    with pytest.raises(DataError, match=r"or a clip \(3, height, width\)"):
        facts.apply(clip[:2])


@pytest.mark.parametrize("size", [(64, 64), (50, 80), (200, 31), (5, 7)])
def test_fill_and_restore_keep_a_ramp_in_place(size: tuple[int, int]) -> None:
    facts = replace(PAD, fill=(96, 128))
    rows, cols = np.mgrid[: size[0], : size[1]]
    ramp = ((rows / size[0] + cols / size[1]) / 2).astype(np.float32)
    batch, placement = facts.apply(ramp)
    assert batch.shape == (1, 1, 96, 128)
    restored = facts.restore(batch[:, 0], placement)
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
    restored = facts.restore(batch[:, 0], placement)
    assert np.unravel_index(restored.argmax(), restored.shape) == (21, 31)


def test_facts_survive_their_text() -> None:
    for facts in (PAD, replace(PAD, fill=(64, 96), mean=(0.1,), std=(2.5,)), tiled()):
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
        ({"std": (0.0,)}, r"std must be positive and finite, got \(0"),
        ({"mean": (float("nan"),)}, r"mean must be finite, got \(nan"),
        ({"mean": (0.1, 0.2)}, r"one value or one per channel \(1\), got 2 and 1"),
        ({"sizes": SizeRule(multiple=0)}, "multiple must be at least 1"),
        ({"fit": "tile"}, "fit 'tile' goes with a fit_size, got None"),
        ({"fit_size": (32, 32)}, "fit 'pad' goes without a fit_size"),
        ({"fit": "stretch", "fit_size": (30, 32)}, "is not multiples of 32"),
        ({"target_frame": 1}, "target_frame must lie in the clip of 1 frames, got 1"),
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
    with pytest.raises(ModelError, match=r"maps of shape \(1, 32, 32\) .* got \(1, 8, 8\)"):
        PAD.restore(np.zeros((1, 8, 8), np.float32), placement)
