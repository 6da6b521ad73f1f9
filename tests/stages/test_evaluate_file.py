import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from irstd.config import Params
from irstd.errors import ConfigError, DataError, ModelError
from irstd.evaluation.folders import Folders
from irstd.layout import Layout
from irstd.stages.evaluate import evaluate
from irstd.stages.evaluate_file import FILES, evaluate_file
from irstd.tracking.journal import file_sha256
from tests.scenes import smoke_params, trained_project
from tests.tiny_network import register_tiny, write_tiny_onnx

WRITTEN = FILES - {"per_sequence.csv"}
"""Of images without sequences."""

CONDITIONS = ("fingerprint", "file", "file_sha256", "maps", "network", "predictions")


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> Params:
    register_tiny(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    return smoke_params()


@pytest.fixture
def layout(tmp_path: Path, params: Params) -> Layout:
    return trained_project(tmp_path / "project", params)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "found"


def everything(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(root.rglob("*"))}


def figures(metrics: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in metrics.items() if name not in CONDITIONS}


def test_weights_give_what_the_stage_gives(layout: Layout, params: Params, output: Path) -> None:
    by_stage = evaluate(layout.root, params, "tiny")
    before = everything(layout.root)
    weights = layout.weights("tiny")
    metrics = evaluate_file(layout.root, params, output, weights=weights)
    assert everything(layout.root) == before
    assert figures(metrics) == figures(by_stage)
    assert metrics["file_sha256"] == file_sha256(weights)
    assert {path.name for path in output.iterdir()} == WRITTEN
    report = layout.report("evaluate", "tiny")
    for name in ("per_image.parquet", "pr.csv", "intervals.json", "overlays/01_miss_miss.png"):
        assert (output / name).read_bytes() == (report / name).read_bytes()
    assert json.loads((output / "metrics.json").read_text()) == metrics


def test_an_onnx_file_is_evaluated(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    path = write_tiny_onnx(tmp_path / "tiny.onnx")
    metrics = evaluate_file(layout.root, params, output, onnx=path)
    assert metrics["f1_target"] == pytest.approx(4 / 7)
    assert "ONNX Runtime" in json.loads((output / "speed.json").read_text())["device"]


def test_finished_maps_are_evaluated(layout: Layout, params: Params, output: Path) -> None:
    by_stage = evaluate(layout.root, params, "tiny")
    metrics = evaluate_file(layout.root, params, output, predictions=layout.predictions("tiny"))
    counted = [name for name in by_stage if name.startswith("n_")] + ["iou", "pd", "fa_target"]
    assert {name: metrics[name] for name in counted} == {name: by_stage[name] for name in counted}
    assert {path.name for path in output.iterdir()} == WRITTEN - {"speed.json"}
    assert metrics["network"] == "found"


def maps(folder: Path, layout: Layout) -> Path:
    """Perfect maps of the four test images: two PNG of 8 and 16 bit, two NPY."""
    from irstd.data.store import PreparedData

    data = PreparedData(layout.processed)
    masks = {data.index["id"].iloc[row]: data.mask(row) for row in data.rows("test")}
    folder.mkdir()
    cv2.imwrite(str(folder / "hit.png"), masks["hit"] * 255)
    cv2.imwrite(str(folder / "miss.png"), masks["miss"].astype(np.uint16) * 65535)
    np.save(folder / "false.npy", masks["false"].astype(np.float64))
    np.save(folder / "mixed.npy", masks["mixed"] * np.float32(0.9))
    return folder


def test_maps_of_others_are_read(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    folder = maps(tmp_path / "maps", layout)
    metrics = evaluate_file(layout.root, params, output, predictions=folder)
    assert (metrics["iou"], metrics["f1_target"], metrics["maps"]) == (1.0, 1.0, "scores")


def test_masks_of_others_are_said_to_have_no_curves(
    layout: Layout, params: Params, output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = maps(tmp_path / "maps", layout)
    mixed = np.load(folder / "mixed.npy")
    np.save(folder / "mixed.npy", mixed > 0)
    metrics = evaluate_file(layout.root, params, output, predictions=folder)
    assert (metrics["iou"], metrics["maps"]) == (1.0, "masks")
    assert "the maps are masks of two values" in caplog.text


def test_faulty_maps_are_refused(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            evaluate_file(layout.root, params, output, predictions=tmp_path / "maps")
        assert not output.exists()

    refused("no such folder")
    folder = maps(tmp_path / "maps", layout)
    (folder / "hit.png").unlink()
    refused(r"one map per test image \(4\), got 3; missing: hit")
    np.save(folder / "hit.npy", np.full((64, 64), 1.5))
    refused(r"hit\.npy: expected values in \[0, 1\]")


def plain_folders(root: Path, layout: Layout) -> Folders:
    """The test images as files: those with targets with masks, the other without."""
    from irstd.data.store import PreparedData

    data = PreparedData(layout.processed)
    folders = Folders(root / "images", root / "masks", root / "empty")
    for folder in folders.given:
        folder.mkdir(parents=True)
    for row in data.rows("test"):
        id, mask = data.index["id"].iloc[row], data.mask(row)
        home = folders.images if mask.any() else folders.empty
        cv2.imwrite(str(home / f"{id}.png"), data.image(row))
        if mask.any():
            cv2.imwrite(str(folders.masks / f"{id}_pixels0.png"), mask * 255)
    return folders


def test_plain_folders_give_what_the_prepared_images_give(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    path = write_tiny_onnx(tmp_path / "tiny.onnx")
    by_part = evaluate_file(layout.root, params, tmp_path / "part", onnx=path)
    folders = plain_folders(tmp_path / "set", layout)
    (tmp_path / "elsewhere").mkdir()  # no project, nothing prepared
    given = {"onnx": path, "folders": folders, "convention": "dnanet,lpnet"}
    metrics = evaluate_file(tmp_path / "elsewhere", params, output, **given)
    changed = {"source", "split", "data_checksum"}
    assert {key for key in metrics if metrics[key] != by_part[key]} == changed
    assert metrics["source"] == ", ".join(map(str, folders.given))
    assert {path.name for path in output.iterdir()} == WRITTEN
    assert list(json.loads((output / "conventions.json").read_text())) == ["dnanet", "lpnet"]
    assert json.loads((output / "field.json").read_text())["images_without"] == 1
    assert {path.name for path in folders.images.iterdir()} == {"hit.png", "miss.png", "mixed.png"}


def test_images_without_any_target_can_be_all_there_are(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    path = write_tiny_onnx(tmp_path / "tiny.onnx")
    folders = Folders(empty=plain_folders(tmp_path / "set", layout).empty)
    metrics = evaluate_file(layout.root, params, output, onnx=path, folders=folders)
    assert (metrics["n_images"], metrics["n_targets"], metrics["false_on_empty"]) == (1, 0, 1)
    assert json.loads((output / "metrics.json").read_text())["pd"] is None


def test_an_output_that_holds_the_images_is_refused(
    layout: Layout, params: Params, tmp_path: Path
) -> None:
    folders = plain_folders(tmp_path / "set", layout)
    given = {"weights": layout.weights("tiny"), "folders": folders, "overwrite": True}
    with pytest.raises(DataError, match=r"is or contains the input .*images; choose"):
        evaluate_file(layout.root, params, tmp_path / "set", **given)


def test_published_weights_need_their_network(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    import torch

    from tests.tiny_network import tiny_network

    path = tmp_path / "best.pth"
    torch.save({"state_dict": tiny_network().state_dict()}, path)
    with pytest.raises(ModelError, match="add --network NAME"):
        evaluate_file(layout.root, params, output, weights=path)
    metrics = evaluate_file(layout.root, params, output, weights=path, network="tiny")
    assert (metrics["network"], metrics["f1_target"]) == ("tiny", pytest.approx(4 / 7))


def test_the_results_have_a_name(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    folder = maps(tmp_path / "maps", layout)
    given = {"predictions": folder, "name": "Theirs, 2024"}
    assert evaluate_file(layout.root, params, output, **given)["network"] == "Theirs, 2024"
    given = {"weights": layout.weights("tiny"), "name": "ours", "overwrite": True}
    assert evaluate_file(layout.root, params, output, **given)["network"] == "ours"


def test_maps_below_the_threshold_are_said_to_detect_nothing(
    layout: Layout, params: Params, output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = maps(tmp_path / "maps", layout)
    evaluate_file(layout.root, params, output, predictions=folder)
    assert "no map exceeds" not in caplog.text
    for path in folder.iterdir():
        path.unlink()
    for id, shape in (("hit", (64, 64)), ("miss", (64, 64)), ("false", (64, 64))):
        np.save(folder / f"{id}.npy", np.full(shape, 0.1))
    np.save(folder / "mixed.npy", np.full((48, 81), 0.4))
    evaluate_file(layout.root, params, output, predictions=folder, overwrite=True)
    assert "no map exceeds the threshold 0.5 (the highest value is 0.4 of 1)" in caplog.text


def test_a_list_chooses_images_and_maps(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    folders = plain_folders(tmp_path / "set", layout)
    split = tmp_path / "test.txt"
    split.write_bytes(b"hit\r\nmixed\r\n")
    chosen = Folders(folders.images, folders.masks, split=split)
    folder = maps(tmp_path / "maps", layout)
    metrics = evaluate_file(layout.root, params, output, predictions=folder, folders=chosen)
    assert (metrics["n_images"], metrics["iou"], metrics["split"]) == (2, 1.0, str(split))
    whole = Folders(folders.images, folders.masks)
    with pytest.raises(DataError, match=r"no image of the test part, to be moved away: false$"):
        evaluate_file(layout.root, params, tmp_path / "b", predictions=folder, folders=whole)


def test_subfolders_are_drawn_as_sequences(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    flat = plain_folders(tmp_path / "set", layout)
    for folder in flat.given:
        (folder / "video").mkdir()
        for path in [*folder.glob("hit*"), *folder.glob("miss*")]:
            path.rename(folder / "video" / path.name)
    onnx = write_tiny_onnx(tmp_path / "tiny.onnx")
    evaluate_file(layout.root, params, output, onnx=onnx, folders=flat)
    assert json.loads((output / "intervals.json").read_text())["unit"] == "sequence"


def test_the_size_of_the_images_can_be_stated(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    folders = plain_folders(tmp_path / "set", layout)
    (folders.images / "mixed.png").unlink()
    (folders.masks / "mixed_pixels0.png").unlink()
    onnx = write_tiny_onnx(tmp_path / "tiny.onnx")
    given = {"onnx": onnx, "folders": folders, "overwrite": True}
    sized = given | {"convention": "dnanet"}
    metrics = evaluate_file(layout.root, params, output, **sized, size=64)
    assert metrics["n_images"] == 3
    with pytest.raises(DataError, match="expected images of 256 x 256 pixels, got 64 x 64"):
        evaluate_file(layout.root, params, output, **sized, size=256)
    with pytest.raises(ConfigError, match="size: got 64, but none of ispanet divides by a size"):
        evaluate_file(layout.root, params, output, **given, convention="ispanet", size=64)


def test_wrong_choices_are_refused(layout: Layout, params: Params, output: Path) -> None:
    weights = layout.weights("tiny")
    for options in (
        {},
        {"weights": weights, "onnx": weights},
        {"onnx": weights, "predictions": weights},
        {"onnx": weights, "network": "tiny"},
    ):
        with pytest.raises(ConfigError, match="expected exactly one of --weights, --onnx and"):
            evaluate_file(layout.root, params, output, **options)
    with pytest.raises(ModelError, match="no such weight file"):
        evaluate_file(layout.root, params, output, weights=output)
    with pytest.raises(ModelError, match="no such ONNX file"):
        evaluate_file(layout.root, params, output, onnx=output)
    assert not output.exists()


def test_outputs_are_protected(layout: Layout, params: Params, output: Path) -> None:
    weights = layout.weights("tiny")
    for folder in ("reports/evaluate/smoke/tiny", "artifacts", "data/x", "."):
        with pytest.raises(DataError, match="belongs to the stages of the pipeline"):
            evaluate_file(layout.root, params, layout.root / folder, weights=weights)
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="not empty; choose another, or repeat with --overwrite"):
        evaluate_file(layout.root, params, output, weights=weights)
    with pytest.raises(DataError, match=r"this one has thesis\.tex"):
        evaluate_file(layout.root, params, output, weights=weights, overwrite=True)
    (output / "thesis.tex").unlink()
    evaluate_file(layout.root, params, output, weights=weights)
    evaluate_file(layout.root, params, output, weights=weights, overwrite=True)
    assert {path.name for path in output.iterdir()} == WRITTEN


def test_maps_of_others_are_never_replaced(layout: Layout, params: Params, output: Path) -> None:
    folder = output / "predictions"
    output.mkdir()
    maps(folder, layout)
    before = everything(output)
    with pytest.raises(DataError, match=r"this one has no metrics\.json"):
        evaluate_file(layout.root, params, output, weights=layout.weights("tiny"), overwrite=True)
    (output / "metrics.json").write_text("{}")
    for target in (output, folder):
        with pytest.raises(DataError, match=r"is or contains the input .*/predictions; choose"):
            evaluate_file(layout.root, params, target, predictions=folder, overwrite=True)
    (output / "metrics.json").unlink()
    assert everything(output) == before


def test_results_that_a_killed_run_moved_aside_come_back(
    layout: Layout, params: Params, output: Path
) -> None:
    weights = layout.weights("tiny")
    evaluate_file(layout.root, params, output, weights=weights)
    before = everything(output)
    aside = output.parent / ".found.swap-killed"
    aside.mkdir()
    (aside / "lock").touch()
    output.rename(aside / "old")
    with pytest.raises(DataError, match="not empty; choose another, or repeat with --overwrite"):
        evaluate_file(layout.root, params, output, weights=weights)
    assert everything(output) == before
    assert not aside.exists()


def test_stored_maps_give_the_figures_again(layout: Layout, params: Params, tmp_path: Path) -> None:
    chosen = params.evaluate.model_copy(update={"threshold": 0.2})
    params = params.model_copy(update={"evaluate": chosen})
    weak = tmp_path / "maps"
    maps(weak, layout)
    (weak / "hit.png").unlink()
    np.save(weak / "hit.npy", np.full((64, 64), 0.2 - 1e-4))  # stored as 51 of 255
    first = evaluate_file(layout.root, params, tmp_path / "first", predictions=weak)
    stored = tmp_path / "first" / "predictions"
    again = evaluate_file(layout.root, params, tmp_path / "again", predictions=stored)
    counted = [name for name in first if name.startswith("n_")] + ["iou", "pd", "fa_target"]
    assert {name: again[name] for name in counted} == {name: first[name] for name in counted}
