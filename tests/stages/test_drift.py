"""The report of the drift stage, on a small prepared reference and batches made of it."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from irstd.cli_data import app
from irstd.config.drift import DriftParams
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import ConfigError, DataError, ModelError
from irstd.inference.weights import save_model
from irstd.layout import Layout
from irstd.stages.drift import check_drift
from tests.sirst_layout import make_params
from tests.tiny_clip_network import Weighted, tiny_clip_facts

PARAMS = make_params().model_copy(
    update={
        "profile": "small",
        "seed": 0,
        "drift": DriftParams(false_alarm_rate=0.05, least_images=20, most_images=30),
    }
)


def _pixels(number: int, shift: int = 0) -> np.ndarray:
    rng = np.random.default_rng(number)
    return (rng.integers(60, 120) + rng.integers(0, 40, (32, 40)) + shift).astype(np.uint8)


def _raw(number: int, split: str, shift: int = 0) -> RawImage:
    mask = np.zeros((32, 40), np.uint8)
    mask[10 : 12 + number % 3, 10:13] = 1
    return RawImage(f"i{number}", split, _pixels(number, shift), mask)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = [_raw(number, "train") for number in range(40)]
    images += [_raw(40 + number, "test", shift=90) for number in range(5)]
    write_prepared(Layout(tmp_path, "small").processed, iter(images), "test")
    return tmp_path


def _folder(path: Path, shift: int, count: int = 30) -> Path:
    path.mkdir()
    for number in range(count):
        cv2.imwrite(str(path / f"{number:03d}.png"), _pixels(100 + number, shift))
    return path


def test_an_unchanged_folder_of_images_and_its_report(root: Path) -> None:
    new = _folder(root / "new", shift=0)
    document = check_drift(root, PARAMS, new)
    report = Layout(root, "small").report("drift")
    assert json.loads((report / "drift.json").read_text())["verdict"] == "no_drift"
    assert document["changed"] == []
    assert document["not_tested"] == ["target_count", "target_size", "scr"]
    assert document["reference"]["images"] == 30  # sampled of 40 training images
    table = pd.read_csv(report / "measurements.csv")
    assert table["batch"].value_counts().to_dict() == {"reference": 30, "new": 30}
    assert table.loc[table["batch"] == "reference", "intensity"].max() < 0.7  # no test image
    assert (report / "figures.png").stat().st_size > 10_000
    assert "# Drift: no_drift" in (report / "summary.md").read_text()


def test_a_change_is_named_and_equal_runs_give_equal_files(root: Path) -> None:
    new = _folder(root / "new", shift=60)
    report = Layout(root, "small").report("drift")
    assert check_drift(root, PARAMS, new)["changed"] == ["intensity"]
    first = (report / "drift.json").read_bytes()
    check_drift(root, PARAMS, new)
    assert (report / "drift.json").read_bytes() == first
    assert "| **intensity** | mean grey" in (report / "summary.md").read_text()


def test_a_prepared_batch_is_compared_with_its_targets(root: Path) -> None:
    write_prepared(root / "batch", (_raw(200 + n, "test") for n in range(25)), "test")
    document = check_drift(root, PARAMS, root / "batch")
    assert document["not_tested"] == []
    assert document["verdict"] == "no_drift"
    assert document["new"]["images"] == 25


def test_masks_beside_images_are_ground_truth_and_no_images(root: Path) -> None:
    for part in ("images", "masks"):
        (root / "new" / part).mkdir(parents=True)
    for number in range(30):
        raw = _raw(300 + number, "test")
        cv2.imwrite(str(root / "new" / "images" / f"{number}.png"), raw.image)
        cv2.imwrite(str(root / "new" / "masks" / f"{number}.png"), raw.mask * 255)
    (root / "new" / "images" / "7.png").write_bytes(b"no image")
    document = check_drift(root, PARAMS, root / "new")
    assert document["new"]["images"] == 29
    assert [item["file"] for item in document["new"]["unreadable"]] == ["images/7.png"]
    assert document["not_tested"] == []
    assert document["verdict"] == "no_drift"


def test_faulty_files_are_listed_and_the_rest_is_judged(root: Path) -> None:
    new = _folder(root / "new", shift=0, count=28)
    (new / "broken.png").write_bytes(b"no image")
    cv2.imwrite(str(new / "tiny.png"), np.zeros((4, 4), np.uint8))
    document = check_drift(root, PARAMS, new)
    faults = {item["file"]: item["reason"] for item in document["new"]["unreadable"]}
    assert set(faults) == {"broken.png", "tiny.png"}
    assert faults["tiny.png"] == "expected at least 8 x 8 px, got (4, 4)"
    assert document["new"]["images"] == 28
    assert document["verdict"] == "no_drift"


def test_few_images_decide_nothing(root: Path) -> None:
    new = _folder(root / "new", shift=90, count=5)
    assert check_drift(root, PARAMS, new)["verdict"] == "undecided"


def test_nothing_readable_is_an_error(root: Path) -> None:
    new = root / "new"
    new.mkdir()
    (new / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none of 1 files could be read; a\.png: expected"):
        check_drift(root, PARAMS, new)


def _train(root: Path, checksum: str | None = None) -> Path:
    """Weights as a training on the prepared data would leave them, or on other data."""
    data = PreparedData(Layout(root, "small").processed)
    origin = {"profile": "small", "data_checksum": checksum or data.checksum}
    path = Layout(root, "small").weights(PARAMS.train.networks[0])
    save_model(path, Weighted(), replace(tiny_clip_facts(), provenance=origin))
    return path


def test_the_reference_is_the_data_of_the_first_network(root: Path) -> None:
    new = _folder(root / "new", shift=0, count=5)
    assert check_drift(root, PARAMS, new)["reference"]["network"] is None  # not trained yet
    _train(root)
    first = PARAMS.train.networks[0]
    named = check_drift(root, PARAMS, new)["reference"]["network"]
    assert (named["network"], named["profile"]) == ("tiny_clip", "small")
    assert named["model"] == f"artifacts/small/{first}/model.safetensors"
    assert check_drift(root, PARAMS, new, network=first)["reference"]["network"] == named
    summary = (Layout(root, "small").report("drift") / "summary.md").read_text()
    assert f"tiny_clip ({named['model']}) was trained" in summary
    with pytest.raises(DataError, match="no prepared data"):
        check_drift(root, PARAMS, new, reference="other")


def test_other_data_than_those_of_the_training_are_refused(root: Path) -> None:
    new = _folder(root / "new", shift=0, count=5)
    path = _train(root, checksum="0" * 64)
    with pytest.raises(DataError, match=r"was trained on \(profile small, checksum 0000"):
        check_drift(root, PARAMS, new)
    with pytest.raises(DataError, match=r"expected the data that .*model\.safetensors was trained"):
        check_drift(root, PARAMS, new, model=str(path))
    with pytest.raises(ConfigError, match="a network or a model, got both"):
        check_drift(root, PARAMS, new, model=str(path), network="acm")
    with pytest.raises(ModelError, match="no such weight file"):
        check_drift(root, PARAMS, new, network="acm")


def test_a_model_that_was_not_trained_here_has_no_reference(root: Path) -> None:
    new = _folder(root / "new", shift=0, count=5)
    save_model(root / "imported.safetensors", Weighted(), tiny_clip_facts())
    with pytest.raises(ModelError, match=r"imported.*facts lack \['data_checksum'\]"):
        check_drift(root, PARAMS, new, model=str(root / "imported.safetensors"))


@pytest.mark.parametrize(("broken", "expected"), [(3, "no_drift"), (4, "drift")])
def test_more_than_a_tenth_of_unreadable_files_is_drift(
    root: Path, broken: int, expected: str
) -> None:
    new = _folder(root / "new", shift=0, count=30 - broken)
    for number in range(broken):
        (new / f"broken{number}.png").write_bytes(b"no image")
    document = check_drift(root, PARAMS, new)
    assert document["verdict"] == expected
    assert document["changed"] == (["unreadable"] if expected == "drift" else [])


def test_the_exit_status_tells_drift_on_request(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setattr("irstd.cli_data.load_params", lambda: PARAMS)
    for name, shift, status in (("same", 0, 0), ("other", 60, 3)):
        _folder(root / name, shift)
        assert CliRunner().invoke(app, ["drift", name]).exit_code == 0
        assert CliRunner().invoke(app, ["drift", name, "--exit-code"]).exit_code == status
