import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from irstd.config import Params
from irstd.errors import ConfigError, DataError, ModelError
from irstd.layout import Layout
from irstd.stages.evaluate import evaluate
from irstd.stages.evaluate_file import FILES, evaluate_file
from irstd.tracking.journal import file_sha256
from tests.scenes import smoke_params, trained_project
from tests.tiny_network import register_tiny, write_tiny_onnx

CONDITIONS = ("fingerprint", "file", "file_sha256", "network", "predictions")


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
    assert {path.name for path in output.iterdir()} == FILES
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
    assert {path.name for path in output.iterdir()} == FILES - {"speed.json"}
    assert metrics["network"] == "predictions"


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
    assert (metrics["iou"], metrics["f1_target"]) == (1.0, 1.0)


def test_faulty_maps_are_refused(
    layout: Layout, params: Params, output: Path, tmp_path: Path
) -> None:
    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            evaluate_file(layout.root, params, output, predictions=tmp_path / "maps")
        assert not output.exists()

    refused("no such folder with probability maps")
    folder = maps(tmp_path / "maps", layout)
    np.save(folder / "hit.npy", np.zeros((64, 64)))
    refused("there twice: hit")
    (folder / "hit.npy").unlink()
    (folder / "hit.png").unlink()
    (folder / "miss.png").unlink()
    refused("missing: hit, miss")
    np.save(folder / "miss.npy", np.zeros((64, 64)))
    for values, message in (
        (np.zeros((32, 64)), r"the map of 'hit' has shape \(32, 64\), its image \(64, 64\)"),
        (np.full((64, 64), 1.5), r"hit\.npy: not a probability map: .* in \[0, 1\]"),
        (np.full((64, 64), np.nan), r"hit\.npy: not a probability map"),
        (np.array([{}]), r"hit\.npy: expected a probability map: .*allow_pickle"),
    ):
        np.save(folder / "hit.npy", values)
        refused(message)


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
    assert {path.name for path in output.iterdir()} == FILES


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
