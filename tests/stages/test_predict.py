import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from irstd.errors import DataError, ModelError
from irstd.stages.predict import COLUMNS, Failure, PredictSummary, run_predict
from tests.damaged_files import huge_png
from tests.tiny_network import write_tiny_onnx


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_onnx(tmp_path_factory.mktemp("model") / "tiny.onnx"))


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def point(shape: tuple[int, int], dtype: type = np.uint8) -> np.ndarray:
    """A dark image with one bright target of 2 x 2 pixels, its corner in the middle."""
    image = np.zeros(shape, dtype)
    row, col = shape[0] // 2, shape[1] // 2
    image[row : row + 2, col : col + 2] = np.iinfo(dtype).max
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of many kinds under `in`, each with the same kind of target."""
    root = tmp_path / "in"
    write(root / "a.png", point((21, 30)))
    write(root / "a.tif", point((5, 7), np.uint16))
    write(root / "deep" / "a.png", point((64, 40), np.uint16))
    write(root / "deep" / "b.bmp", point((33, 9)))
    write(root / "c.jpg", point((64, 64)))
    grey = point((24, 24))
    write(root / "rgba.png", np.dstack([grey, grey, grey, np.full_like(grey, 7)]))
    return root


def predict(
    inputs: list[Path], output: Path, model: str, threshold: float | None = None, **changes: bool
) -> PredictSummary:
    options = {"overwrite": False} | changes
    return run_predict(inputs, output, model=model, root=Path(), threshold=threshold, **options)


def files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def document(output: Path) -> dict[str, list[dict[str, object]]]:
    content: dict[str, list[dict[str, object]]] = json.loads(
        (output / "detections.json").read_text(encoding="utf-8")
    )
    return content


def test_every_image_gets_mask_overlay_and_detections(folder: Path, model: str) -> None:
    output = folder.parent / "new" / "out"
    summary = predict([folder], output, model)
    names = ["a.png", "a.tif", "c.jpg", "deep/a.png", "deep/b.bmp", "rgba.png"]
    pictures = [f"{kind}/{name}.png" for kind in ("masks", "overlays") for name in names]
    assert files(output) == sorted([*pictures, "detections.csv", "detections.json"])
    assert (summary.images, summary.detections, summary.failures) == (6, 6, ())
    assert [entry["image"] for entry in document(output)["images"]] == names
    for name in names:
        image = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(output / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == image.shape[:2]
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 255}
        overlay = cv2.imread(str(output / "overlays" / f"{name}.png"))
        assert overlay.shape[0] / overlay.shape[1] == image.shape[0] / image.shape[1]


def test_json_and_csv_say_the_same(folder: Path, model: str) -> None:
    output = folder.parent / "out"
    predict([folder / "a.png"], output, model)
    content = document(output)
    assert content["model"] == {
        "network": "tiny", "profile": "test", "fingerprint": "f" * 64,
    }  # fmt: skip
    assert content["threshold"] == 0.5
    (entry,) = content["images"]
    assert (entry["image"], entry["frame"], entry["height"], entry["width"]) == (
        "a.png", None, 21, 30,
    )  # fmt: skip
    (found,) = entry["detections"]  # type: ignore[misc]
    score = found.pop("score")
    assert score == pytest.approx(1 / (1 + np.exp(-10)))
    assert found == {
        "row": 10.5, "col": 15.5, "top": 10, "left": 15, "bottom": 12, "right": 17, "area_px": 4,
    }  # fmt: skip
    with (output / "detections.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == COLUMNS
    assert (row.pop("image"), row.pop("frame"), float(row.pop("score"))) == ("a.png", "", score)
    assert {name: float(value) for name, value in row.items()} == found


def test_equal_calls_give_equal_files(folder: Path, model: str) -> None:
    for name in ("one", "two"):
        predict([folder], folder.parent / name, model)
    first, second = folder.parent / "one", folder.parent / "two"
    assert files(first) == files(second)
    for name in files(first):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_threshold_can_be_given(folder: Path, model: str) -> None:
    write(folder / "a.png", np.full((8, 8), 140, np.uint8))  # probability 0.73
    output = folder.parent / "out"
    assert predict([folder / "a.png"], output, model, 0.75).detections == 0
    assert document(output)["threshold"] == 0.75
    with pytest.raises(ModelError, match="threshold must lie between 0 and 1"):
        predict([folder / "a.png"], folder.parent / "other", model, 1.0)
    assert not (folder.parent / "other").exists()


def test_faulty_files_are_reported_and_the_others_done(folder: Path, model: str) -> None:
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:20])
    (folder / "empty.bmp").touch()
    output = folder.parent / "out"
    summary = predict([folder, folder / "gone.png"], output, model)
    assert summary.images == 6
    assert [failure.file for failure in summary.failures] == ["broken.png", "empty.bmp", "gone.png"]
    reasons = [failure.reason for failure in summary.failures]
    assert "damaged" in reasons[0]
    assert "the file is empty" in reasons[1]
    assert "No such file" in reasons[2]
    assert not any(str(folder) in reason for reason in reasons)
    listed = [Failure(**entry) for entry in document(output)["failures"]]  # type: ignore[arg-type]
    assert tuple(listed) == summary.failures
    assert "masks/broken.png.png" not in files(output)


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "FFV1"), ("clip.mp4", "mp4v")])
def test_a_video_gives_a_folder_of_frames(
    tmp_path: Path, model: str, name: str, codec: str
) -> None:
    path = tmp_path / name
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10.0, (64, 48))
    for number in range(3):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[20:26, 10 + number : 16 + number] = 255
        writer.write(frame)
    writer.release()
    summary = predict([path], tmp_path / "out", model)
    assert (summary.images, summary.detections, summary.failures) == (3, 3, ())
    frames = [f"masks/{name}/{number:06d}.png" for number in range(3)]
    assert [file for file in files(tmp_path / "out") if file.startswith("masks")] == frames
    entries = document(tmp_path / "out")["images"]
    assert [(entry["image"], entry["frame"]) for entry in entries] == [(name, n) for n in range(3)]
    with (tmp_path / "out" / "detections.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["0", "1", "2"]
    cols = [float(row["col"]) for row in rows]
    assert cols == pytest.approx([12.5, 13.5, 14.5], abs=0.5)


def test_a_file_that_opencv_refuses_is_reported(folder: Path, model: str) -> None:
    (folder / "huge.png").write_bytes(huge_png())
    summary = predict([folder], folder.parent / "out", model)
    assert summary.images == 6
    (failure,) = summary.failures
    assert failure.file == "huge.png"
    assert failure.reason.startswith("expected an image that OpenCV can decode, but it refuses")


def test_nothing_is_replaced_when_every_file_is_faulty(folder: Path, model: str) -> None:
    output = folder.parent / "out"
    predict([folder], output, model)
    before = files(output)
    (folder / "broken.png").write_bytes(b"no image")
    faulty = [folder / "broken.png", folder / "gone.png"]
    message = r"out: not written, because no image could be predicted.*\n  broken\.png: .*damaged"
    with pytest.raises(DataError, match=message) as caught:
        predict(faulty, output, model, overwrite=True)
    assert "\n  gone.png: " in str(caught.value)
    assert files(output) == before
    with pytest.raises(DataError, match=message.replace("out", "other", 1)):
        predict(faulty, folder.parent / "other", model)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["in", "out"]


def test_results_that_a_killed_run_moved_aside_come_back(folder: Path, model: str) -> None:
    output = folder.parent / "out"
    predict([folder], output, model)
    aside = folder.parent / ".out.swap-killed"
    aside.mkdir()
    (aside / "lock").touch()
    output.rename(aside / "old")
    with pytest.raises(DataError, match="not empty; choose another, or repeat with --overwrite"):
        predict([folder / "a.png"], output, model)
    assert len(document(output)["images"]) == 6
    assert sorted(path.name for path in folder.parent.iterdir()) == ["in", "out"]


def test_results_are_not_overwritten_unless_asked(folder: Path, model: str) -> None:
    output = folder.parent / "out"
    predict([folder], output, model)
    before = (output / "detections.json").read_bytes()
    with pytest.raises(DataError, match=r"not empty; choose another, or repeat with --overwrite"):
        predict([folder / "a.png"], output, model)
    assert (output / "detections.json").read_bytes() == before
    predict([folder / "a.png"], output, model, overwrite=True)
    assert [file for file in files(output) if file.startswith("masks")] == ["masks/a.png.png"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["in", "out"]


def test_folders_of_others_are_never_replaced(folder: Path, model: str) -> None:
    data = folder.parent / "data"
    write(data / "masks" / "truth.png", point((8, 8)))
    with pytest.raises(DataError, match=r"is replaced, but this one has no detections\.csv, no "):
        predict([folder], data, model, overwrite=True)
    predict([folder], folder.parent / "out", model)
    (folder.parent / "out" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"this one has notes\.txt"):
        predict([folder], folder.parent / "out", model, overwrite=True)
    with pytest.raises(DataError, match="expected a folder for the results, got a file"):
        predict([folder], folder / "a.png", model)
    with pytest.raises(DataError, match=r"a\.png/out: cannot be made: Not a directory"):
        predict([folder], folder / "a.png" / "out", model)
    assert (data / "masks" / "truth.png").exists()


def test_folders_of_stages_are_never_written(folder: Path, model: str) -> None:
    root = folder.parent
    for name in ("artifacts", "data/found", "reports"):
        with pytest.raises(DataError, match="belongs to the stages of the pipeline"):
            run_predict(
                [folder], root / name, model=model, root=root, threshold=None, overwrite=False
            )


def test_an_empty_folder_is_filled_and_is_no_input(folder: Path, model: str) -> None:
    output = folder / "out"
    output.mkdir()
    assert predict([folder], output, model).images == 6
    assert predict([folder], output, model, overwrite=True).images == 6


def test_nothing_is_left_when_the_run_breaks_off(
    folder: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        predict([folder], folder.parent / "out", model)
    assert [path.name for path in folder.parent.iterdir()] == ["in"]


def test_an_unusable_model_stops_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: not an ONNX file"):
        predict([folder], tmp_path / "out", str(tmp_path / "broken.onnx"))
    assert not (tmp_path / "out").exists()
