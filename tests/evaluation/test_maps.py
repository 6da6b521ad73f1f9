"""Maps and masks of other programs: what is read, as what, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import io

from irstd.data.store import PreparedData
from irstd.errors import DataError
from irstd.evaluation.maps import Maps, read_maps
from tests.damaged_files import huge_png
from tests.scenes import prepared

IDS = ("hit", "miss", "false", "mixed")


@pytest.fixture
def data(tmp_path: Path) -> PreparedData:
    return prepared(tmp_path / "processed")


@pytest.fixture
def masks(data: PreparedData) -> dict[str, np.ndarray]:
    return {data.index["id"].iloc[row]: data.mask(row) for row in data.rows("test")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "maps"
    path.mkdir()
    return path


def read(folder: Path, data: PreparedData) -> tuple[str, list[np.ndarray]]:
    maps: Maps = read_maps(folder, data, data.rows("test").tolist())
    return maps.kind, list(maps.values)


def write(folder: Path, masks: dict[str, np.ndarray], factor: int, dtype: type) -> None:
    for id, mask in masks.items():
        cv2.imwrite(str(folder / f"{id}.png"), mask.astype(dtype) * dtype(factor))


@pytest.mark.parametrize(
    ("factor", "dtype"), [(1, np.uint8), (255, np.uint8), (1, np.uint16), (65535, np.uint16)]
)
def test_masks_are_recognised_by_all_files_together(folder, data, masks, factor, dtype):
    write(folder, masks, factor, dtype)
    kind, values = read(folder, data)
    assert kind == "masks"
    for value, mask in zip(values, masks.values(), strict=True):
        np.testing.assert_array_equal(value, mask.astype(np.float32))


def test_a_weak_map_among_scores_is_no_mask(folder, data, masks):
    """Values 0 and 1 of 255 are scores where another map of the folder reaches 200."""
    write(folder, masks, 1, np.uint8)
    cv2.imwrite(str(folder / "hit.png"), masks["hit"] * 200)
    kind, values = read(folder, data)
    assert kind == "scores"
    assert [value.max() for value in values] == pytest.approx([200 / 255, 1 / 255, 0, 1 / 255])


def test_every_form_of_a_map_is_read_alike(folder, data, masks):
    cv2.imwrite(str(folder / "hit.PNG"), masks["hit"] * 51)
    np.save(folder / "miss.npy", (masks["miss"] * 0.2).astype(np.float16))
    io.savemat(folder / "false.mat", {"T": masks["false"].astype(np.uint16)}, do_compression=True)
    io.savemat(folder / "mixed.mat", {"T": masks["mixed"] * 0.2})
    (folder / "notes.txt").write_text("of another kind")
    (folder / ".hit.png").write_text("hidden")
    kind, values = read(folder, data)
    assert kind == "scores"
    assert all(value.dtype == np.float32 for value in values)
    for id, value in zip(IDS, values, strict=True):
        np.testing.assert_allclose(value, masks[id] * 0.2, atol=1e-4, err_msg=id)


@pytest.mark.parametrize(
    "whole", [lambda m: m > 0, lambda m: m.astype(np.int64), lambda m: m.astype(np.float64)]
)
def test_arrays_of_zero_and_one_are_masks(folder, data, masks, whole):
    for id, mask in masks.items():
        np.save(folder / f"{id}.npy", whole(mask))
    io.savemat(folder / "hit.mat", {"mask": masks["hit"] > 0})
    (folder / "hit.npy").unlink()
    kind, values = read(folder, data)
    assert kind == "masks"
    np.testing.assert_array_equal(values[0], masks["hit"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "hit.png").unlink(), r"per test image \(4\), got 3; missing: hit"),
        (lambda f: (f / "hit.png").rename(f / "train.png"), "missing: hit"),
        (lambda f: np.save(f / "val.npy", np.zeros(3)), "no image of the test part.*: val"),
        (lambda f: np.save(f / "hit.npy", np.zeros(3)), "one map per test image, there twice: hit"),
        (lambda f: (f / "hit.png").write_bytes(b"no picture"), r"hit\.png: .*damaged"),
    ],
)
def test_wrong_files_are_named(folder, data, masks, change, message):
    write(folder, masks, 255, np.uint8)
    change(folder)
    with pytest.raises(DataError, match=message):
        read(folder, data)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((32, 64)), r"has shape \(32, 64\), its image \(64, 64\); bring maps"),
        (np.full((64, 64), 1.5), r"in \[0, 1\].* from 1.5 to 1.5; logits need a sigmoid first"),
        (np.full((64, 64), -4.0), "from -4.0 to -4.0; logits"),
        (np.full((64, 64), np.nan), r"expected values in \[0, 1\].* nan"),
        (np.full((64, 64), np.inf), "from inf to inf; logits"),
        (np.full((64, 64), 254), "got int64 from 254 to 254; save 8-bit maps as uint8"),
        (np.full((64, 64), 60000.0), "60000.0 to 60000.0; save .* 16-bit maps as uint16"),
        (np.zeros((64, 64), complex), "integers or floating values, got complex"),
        (np.array([{}]), "integers or floating values, got object"),
    ],
)
def test_wrong_values_are_explained(folder, data, masks, values, message):
    write(folder, masks, 255, np.uint8)
    (folder / "hit.png").unlink()
    np.save(folder / "hit.npy", values)
    with pytest.raises(DataError, match=message):
        read(folder, data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.zeros((64, 64)), "b": np.ones(2)}, "expected one variable in it, got 2"),
        ({"a": np.zeros((64, 63))}, r"matrix of \(64, 64\), got class 6 of \(64, 63\)"),
        ({"a": np.zeros((64, 64), complex)}, r"a real numeric .*, got class 6 of \(64, 64\)"),
        ({"a": np.array([[{"x": 1}]], dtype=object)}, r"a real numeric .*, got class 1"),
        ({"a": np.full((64, 64), "x")}, r"a real numeric .*, got class 4"),
        ({}, "expected one variable in it, got 0"),
    ],
)
def test_mat_files_hold_one_plain_array(folder, data, masks, content, message):
    write(folder, masks, 255, np.uint8)
    (folder / "hit.png").unlink()
    io.savemat(folder / "hit.mat", content)
    with pytest.raises(DataError, match=message):
        read(folder, data)


def test_unreadable_mat_files_say_what_to_do(folder, data, masks):
    write(folder, masks, 255, np.uint8)
    (folder / "hit.png").unlink()
    path = folder / "hit.mat"
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"  # version 2.0: HDF5 follows
    for content, message in (
        (header + bytes(400), r"version 7\.3 \(HDF5\); save it in MATLAB by save\(\.\.\., '-v7'\)"),
        (b"not a MAT file", "it is no MAT file of version 5 to 7"),
        (bytes(3 << 20), "bytes are too many for one array"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read(folder, data)


def jet(path: Path, mask: np.ndarray) -> None:
    cv2.imwrite(str(path), cv2.applyColorMap(mask * 200, cv2.COLORMAP_JET))


def transparent(path: Path, mask: np.ndarray) -> None:
    pixels = np.repeat((mask * 255)[..., None], 4, axis=2)  # alpha 0 beside the target
    cv2.imwrite(str(path), pixels)


def two_pages(path: Path, mask: np.ndarray) -> None:
    page = Image.fromarray(mask * 255)
    page.save(path, format="TIFF", save_all=True, append_images=[page])


@pytest.mark.parametrize(
    ("name", "draw", "message"),
    [
        ("hit.png", jet, "grey values with equal channels, got colours"),
        ("hit.png", transparent, "opaque pixels, got transparency"),
        ("hit.tif", two_pages, "one image, got 2 pages"),
    ],
)
def test_pictures_that_are_no_maps_are_refused(
    folder, data, masks, name: str, draw: Callable, message: str
):
    write(folder, masks, 255, np.uint8)
    (folder / "hit.png").unlink()
    draw(folder / name, masks["hit"])
    with pytest.raises(DataError, match=rf"{name}: expected {message}"):
        read(folder, data)


def test_equal_channels_and_opaque_alpha_are_grey(folder, data, masks):
    write(folder, masks, 255, np.uint8)
    for id, mode in (("hit", "RGB"), ("miss", "RGBA")):
        Image.fromarray(masks[id] * 255).convert(mode).save(folder / f"{id}.png")
    kind, values = read(folder, data)
    assert kind == "masks"
    np.testing.assert_array_equal(values[1], masks["miss"])


def test_a_picture_of_another_size_is_not_decoded(folder, data, masks):
    """It has no pixels behind its header, so the message shows that none were decoded."""
    write(folder, masks, 255, np.uint8)
    (folder / "hit.png").write_bytes(huge_png(24_000))
    with pytest.raises(DataError, match=r"hit\.png: expected at most .* claims 24000 x 24000"):
        read(folder, data)


def test_an_array_of_another_size_is_not_mapped(folder, data, masks):
    write(folder, masks, 255, np.uint8)
    (folder / "hit.png").unlink()
    path = folder / "hit.npy"
    for shape in ((40, -50), (99999999999, 99999999999)):
        with path.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        with pytest.raises(
            DataError, match=r"hit\.npy: the map has shape .*, its image \(64, 64\)"
        ):
            read(folder, data)


def test_masks_of_any_type_and_byte_order_are_read(folder, data, masks):
    np.save(folder / "hit.npy", masks["hit"].astype(">u2") * 65535)
    np.save(folder / "miss.npy", masks["miss"].astype(np.int64) * 255)
    io.savemat(folder / "false.mat", {"T": masks["false"] * 255.0})
    io.savemat(folder / "mixed.mat", {"T": masks["mixed"] * 255.0})
    kind, values = read(folder, data)
    assert kind == "masks"
    for id, value in zip(IDS, values, strict=True):
        np.testing.assert_array_equal(value, masks[id], err_msg=id)


def test_scores_of_the_other_byte_order_are_read(folder, data, masks):
    write(folder, masks, 255, np.uint8)
    (folder / "hit.png").unlink()
    np.save(folder / "hit.npy", masks["hit"].astype(">u2") * 13107)
    assert read(folder, data)[1][0].max() == pytest.approx(0.2)


def test_masks_of_zero_and_one_among_others_are_named(folder, data, masks, caplog):
    write(folder, masks, 255, np.uint8)
    read(folder, data)
    assert not caplog.text
    cv2.imwrite(str(folder / "hit.png"), masks["hit"])
    read(folder, data)
    assert "must be written as 0 and 255: hit\n" in caplog.text


def test_maps_of_other_images_may_be_left_over(folder, data, masks):
    write(folder, masks, 255, np.uint8)
    (folder / "val.npy").write_bytes(b"never read")
    maps = read_maps(folder, data, data.rows("test").tolist(), surplus=True)
    assert (maps.kind, maps.highest) == ("masks", 1.0)


def test_results_in_place_of_their_maps_are_explained(folder, data):
    (folder / "predictions").mkdir()
    (folder / "predictions" / "index.parquet").touch()
    (folder / "pr.png").touch()
    with pytest.raises(DataError, match=r"one of results; its maps are in .*/maps/predictions"):
        read(folder, data)
