import io
import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from irstd.data.pixels import (
    count_pages,
    decode_grey,
    decode_mask,
    read_grey,
    read_header,
    read_mask,
    to_grey,
    to_unit,
)
from irstd.errors import DataError
from tests.damaged_files import huge_png

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (7, 9)).astype(np.uint8)
GREY16 = RNG.integers(0, 65536, (7, 9)).astype(np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["uint8", "uint16"])
def test_grey_files_are_read_exactly(tmp_path: Path, pixels: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    cv2.imwrite(str(path), pixels)
    read = read_grey(path)
    assert read.dtype == pixels.dtype
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["uint8", "uint16"])
@pytest.mark.parametrize("channels", [3, 4])
def test_equal_channels_keep_their_value(tmp_path: Path, pixels: np.ndarray, channels: int) -> None:
    stacked = np.repeat(pixels[..., None], channels, axis=2)
    if channels == 4:
        stacked[..., 3] = 1  # alpha must not matter
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), stacked)
    np.testing.assert_array_equal(read_grey(path), pixels)


def test_colours_become_grey_by_bt601(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    Image.fromarray(colours, "RGB").save(path)
    # 76.245, 149.685, 29.07 and 18.15, rounded to nearest
    np.testing.assert_array_equal(read_grey(path), [[76, 150, 29, 18]])


def test_palette_is_decoded_and_transparency_dropped(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    indices = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    indices.putpalette([200, 200, 200, 0, 0, 255, 7, 7, 7])
    for options in ({}, {"transparency": 1}):
        indices.save(path, **options)
        np.testing.assert_array_equal(read_grey(path), [[200, 29, 7]])


def test_damaged_files_are_refused_with_their_name(tmp_path: Path) -> None:
    content = cv2.imencode(".png", GREY8)[1].tobytes()
    path = tmp_path / "image.png"
    for bad, message in (
        (b"", "the file is empty"),
        (b"no image", "damaged or of another kind"),
        (content[: len(content) // 2], "damaged or of another kind"),
    ):
        path.write_bytes(bad)
        with pytest.raises(
            DataError, match=f"{re.escape(str(path))}: expected an image|PNG.*{message}"
        ):
            read_grey(path)
        with pytest.raises(DataError, match=message):
            decode_grey(bad)
    with pytest.raises(DataError, match=r"none\.png: .*cannot be read: No such file"):
        read_grey(tmp_path / "none.png")


@pytest.mark.parametrize("read", [read_grey, read_mask])
def test_a_file_that_opencv_refuses_is_named(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(huge_png())
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: .*refuses the file \(pixels <="):
        read(path)


def test_pages_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stack.tif"
    cv2.imwritemulti(str(path), [GREY16] * 3)
    assert count_pages(path) == 3

    def refuse(name: str) -> int:
        return int(cv2.imread(name, cv2.IMREAD_UNCHANGED).size)

    monkeypatch.setattr("cv2.imcount", refuse)
    path.write_bytes(huge_png())
    with pytest.raises(DataError, match=r"refuses the file \(pixels <="):
        count_pages(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_opencv_says_nothing_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str
) -> None:
    path = tmp_path / f"cut{suffix}"
    cv2.imwrite(str(path), GREY16.astype(np.uint8))
    path.write_bytes(path.read_bytes()[:45])
    level = cv2.utils.logging.getLogLevel()
    assert count_pages(path) == 0
    with pytest.raises(DataError, match="damaged or of another kind"):
        read_grey(path)
    assert cv2.utils.logging.getLogLevel() == level
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_decoded_pixels_become_grey_as_files_do(channels: int, dtype: type) -> None:
    pixels = RNG.integers(0, np.iinfo(dtype).max + 1, (7, 9, channels)).astype(dtype)
    grey = to_grey(pixels)
    assert grey.dtype == dtype
    np.testing.assert_array_equal(grey, decode_grey(cv2.imencode(".png", pixels)[1].tobytes()))
    np.testing.assert_array_equal(to_grey(grey), grey)


def test_to_grey_refuses_other_arrays() -> None:
    with pytest.raises(DataError, match="expected 8 or 16 bits per channel, got float32"):
        to_grey(np.zeros((2, 2, 3), np.float32))
    with pytest.raises(DataError, match=r"expected \(H, W\) or .*, got shape \(2, 2, 2\)"):
        to_grey(np.zeros((2, 2, 2), np.uint8))


def test_floating_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.tiff"
    cv2.imwrite(str(path), GREY8.astype(np.float32))
    with pytest.raises(DataError, match="expected 8 or 16 bits per channel, got float32"):
        read_grey(path)


@pytest.mark.parametrize("value", [1, 255])
def test_binary_masks_are_accepted(tmp_path: Path, value: int) -> None:
    expected = (GREY8 > 128).astype(np.uint8)
    path = tmp_path / "mask.png"
    for pixels in (expected * value, np.repeat(expected[..., None] * value, 3, axis=2)):
        cv2.imwrite(str(path), pixels)
        mask = read_mask(path)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, expected)


def test_one_bit_mask_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(GREY8 > 128).save(path)
    np.testing.assert_array_equal(read_mask(path), GREY8 > 128)


def test_mask_with_other_values_is_refused() -> None:
    for values in ([0, 64, 255], [0, 1, 255], [0, 2]):
        content = cv2.imencode(".png", np.array([values], np.uint8))[1].tobytes()
        shown = ", ".join(map(str, values))
        with pytest.raises(
            DataError, match=rf"binary mask .* got {len(values)} values \({shown}\)"
        ):
            decode_mask(content)


def test_mask_with_different_channels_is_refused() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0, 2] = 255
    with pytest.raises(DataError, match="equal channels"):
        decode_mask(cv2.imencode(".png", pixels)[1].tobytes())


def test_to_unit_scales_by_the_dtype() -> None:
    for image, top in ((GREY8, 255), (GREY16, 65535)):
        unit = to_unit(image)
        assert unit.dtype == np.float32
        np.testing.assert_allclose(unit, image / top, atol=1e-7)
    full = np.array([[0, 65535]], np.uint16)
    np.testing.assert_array_equal(to_unit(full), [[0.0, 1.0]])
    half = np.array([[0.0, 0.5]])
    np.testing.assert_array_equal(to_unit(half), half)


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_to_unit_refuses_floats_out_of_range(value: float) -> None:
    with pytest.raises(DataError, match=r"floating grey values in \[0, 1\]"):
        to_unit(np.array([[0.0, value]]))


def test_to_unit_refuses_other_arrays() -> None:
    with pytest.raises(DataError, match="got int64"):
        to_unit(np.zeros((2, 2), np.int64))
    with pytest.raises(DataError, match=r"\(2, 2, 3\)"):
        to_unit(np.zeros((2, 2, 3), np.uint8))


def test_real_files_agree_with_pillow(shared: Path) -> None:
    palettes = 0
    for path in sorted((shared / "data" / "sirst" / "images").glob("*.png")):
        with Image.open(path) as image:
            palettes += image.mode == "P"
            colours = np.asarray(image.convert("RGB"), dtype=np.int64)
        expected = (colours @ [299, 587, 114] + 500) // 1000
        np.testing.assert_array_equal(read_grey(path), expected, err_msg=path.name)
    assert palettes == 37


@pytest.mark.parametrize("pixels", [GREY8, GREY16], ids=["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
def test_the_stated_size_is_the_decoded_one(
    tmp_path: Path, pixels: np.ndarray, suffix: str
) -> None:
    path = tmp_path / f"image{suffix}"
    cv2.imwrite(str(path), pixels.astype(np.uint8) if suffix == ".bmp" else pixels)
    assert read_header(path.read_bytes()) == (7, 9)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"II+\0" + bytes(40),  # BigTIFF
        huge_png()[:20],
        b"BM" + bytes(18),
        b"II*\0" + struct.pack("<I", 2**31),
        b"II*\0" + struct.pack("<IH", 8, 0),
    ],
)
def test_headers_without_a_size_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"expected (an image|a PNG), "):
        read_header(content)


def test_a_jpeg_of_very_many_scans_is_refused_before_decoding() -> None:
    file = io.BytesIO()
    Image.fromarray(GREY8).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    assert read_header(content) == GREY8.shape
    last = content[content.rindex(b"\xff\xda") : -2]
    with pytest.raises(DataError, match="expected at most 100 scans, got 2"):
        read_header(content[:-2] + 200 * last + content[-2:])
