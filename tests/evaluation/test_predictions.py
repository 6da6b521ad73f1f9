from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from irstd.errors import DataError
from irstd.evaluation.predictions import (
    CODES_FILE,
    INDEX_FILE,
    SCHEMA,
    PredictionWriter,
    StoredPredictions,
    quantise,
)


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.3, 0.6, 0.37, 1 / 255, 0.999])
def test_no_pixel_crosses_the_threshold(threshold: float) -> None:
    rng = np.random.default_rng(0)
    near = np.float32(threshold) + rng.normal(0, 1e-3, 1000).astype(np.float32)
    probability = np.concatenate([near, rng.random(1000), [threshold]]).astype(np.float32)
    probability = np.clip(probability, 0, 1).reshape(3, -1)
    codes = quantise(probability, threshold)
    above = probability.astype(np.float64) > threshold  # not rounded to float32
    assert np.array_equal(codes > int(threshold * 255), above)
    assert np.abs(codes / 255 - probability).max() <= 1 / 255 + 1e-6


def test_ends_are_kept() -> None:
    codes = quantise(np.array([[0.0, 1.0]], np.float32), 0.5)
    assert codes.tolist() == [[0, 255]]


@pytest.mark.parametrize("threshold", [0.3, 0.2, 0.4, 0.6, 0.8, float(np.nextafter(0.2, 0))])
def test_maps_of_mixed_sizes_come_back(tmp_path: Path, threshold: float) -> None:
    rng = np.random.default_rng(1)
    maps = {f"image {n}": rng.random((4 + n, 9 - n), np.float32) for n in range(3)}
    below = np.nextafter(np.float32(threshold), np.float32(0))
    maps["at the threshold"] = np.array([[below, threshold, threshold + 1e-4]], np.float32)
    writer = PredictionWriter(tmp_path, [m.shape for m in maps.values()], threshold)
    for id, probability in maps.items():
        writer.add(id, probability)
    writer.close()
    stored = StoredPredictions(tmp_path)
    assert stored.ids == tuple(maps)
    assert stored.threshold == threshold
    for id, probability in maps.items():
        assert stored.probability(id).dtype == np.float32
        np.testing.assert_allclose(stored.probability(id), probability, atol=1 / 255)
        above = probability > np.float64(threshold)
        np.testing.assert_array_equal(stored.mask(id), above)
        np.testing.assert_array_equal(stored.probability(id) > np.float64(threshold), above)


def test_an_unfinished_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "predictions"
    folder.mkdir(parents=True)
    PredictionWriter(folder, [(4, 4)], 0.5).add("a", np.zeros((4, 4), np.float32))
    with pytest.raises(DataError, match=rf"{INDEX_FILE}.*run `irstd evaluate`$"):
        StoredPredictions(folder)


def test_maps_of_another_length_are_refused(tmp_path: Path) -> None:
    writer = PredictionWriter(tmp_path, [(4, 4)], 0.5)
    writer.add("a", np.zeros((4, 4), np.float32))
    writer.close()
    np.save(tmp_path / CODES_FILE, np.zeros(15, np.uint8))
    with pytest.raises(DataError, match=rf"{CODES_FILE}: expected 16 bytes .* got uint8 of shape"):
        StoredPredictions(tmp_path)


def test_an_unknown_image_is_named(tmp_path: Path) -> None:
    writer = PredictionWriter(tmp_path, [(4, 4)], 0.5)
    writer.add("a", np.zeros((4, 4), np.float32))
    writer.close()
    with pytest.raises(DataError, match="no prediction for image 'b' among 1"):
        StoredPredictions(tmp_path).mask("b")


GOOD = {"id": "a", "height": 4, "width": 4, "offset": 0, "threshold": 0.5}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD, GOOD | {"id": "b", "offset": 99}], "from byte 16 on, got .*'offset': 99"),
        ([GOOD | {"offset": -4}], "from byte 0 on, got .*'offset': -4"),
        ([GOOD | {"height": -4, "width": -4}], "at least one pixel .*'height': -4"),
        ([GOOD | {"width": 0}], "at least one pixel .*'width': 0"),
        ([GOOD | {"threshold": float("nan")}], r"one threshold in \[0, 1\], got \[nan\]"),
        ([GOOD | {"threshold": float("inf")}], r"one threshold in \[0, 1\], got \[inf\]"),
        ([GOOD | {"threshold": 2.0}], r"one threshold in \[0, 1\], got \[2\.0\]"),
        ([GOOD | {"threshold": -5.0}], r"one threshold in \[0, 1\], got \[-5\.0\]"),
        (
            [GOOD, GOOD | {"id": "b", "offset": 16, "threshold": 0.2}],
            r"one threshold in \[0, 1\], got \[0\.2, 0\.5\]",
        ),
        ([GOOD, GOOD | {"offset": 16}], "each id once"),
        ([], r"one threshold in \[0, 1\], got \[\]"),
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, rows: list[dict], message: str) -> None:
    np.save(tmp_path / CODES_FILE, np.zeros(16 * len(rows), np.uint8))
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / INDEX_FILE)
    with pytest.raises(DataError, match=rf"{INDEX_FILE}: expected .*{message}.*irstd evaluate"):
        StoredPredictions(tmp_path)


def test_an_index_of_more_bytes_than_any_file_is_refused(tmp_path: Path) -> None:
    side = 2**31 - 1
    rows = [
        GOOD | {"id": str(k), "height": side, "width": side, "offset": k * side**2}
        for k in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / INDEX_FILE)
    for stated in (3 * side**2, 16):
        with (tmp_path / CODES_FILE).open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (stated,)}
            np.lib.format.write_array_header_1_0(file, header)
        with pytest.raises(DataError, match=rf"{CODES_FILE}: expected .*run `irstd evaluate`"):
            StoredPredictions(tmp_path)


def test_codes_that_are_no_array_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([GOOD], schema=SCHEMA), tmp_path / INDEX_FILE)
    path = tmp_path / CODES_FILE
    np.save(path, np.zeros(16, np.uint8))
    whole = path.read_bytes()
    np.savez(tmp_path / "packed.npz", np.zeros(16, np.uint8))
    packed = (tmp_path / "packed.npz").read_bytes()
    for content in (packed, b"", whole[:9], whole[:-3]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{CODES_FILE}: expected .*run `irstd evaluate`"):
            StoredPredictions(tmp_path)
