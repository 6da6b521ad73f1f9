"""A network of clips through the stages: evaluated, exported at one size, used on a folder."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.special import expit

from irstd.config import Params
from irstd.data.generated import generate
from irstd.data.store import PreparedData, write_prepared
from irstd.evaluation.evaluate import evaluate_images
from irstd.evaluation.predictions import StoredPredictions
from irstd.inference.onnx_file import read_onnx
from irstd.inference.predictor import Predictor
from irstd.inference.weights import save_model
from irstd.layout import Layout
from irstd.stages.evaluate import evaluate, evaluated_rows
from irstd.stages.export import export
from irstd.stages.predict import run_predict
from tests.scenes import smoke_params
from tests.tiny_clip_network import (
    FRAMES,
    NAME,
    Weighted,
    expected_logits,
    register_tiny_clip,
    tiny_clip_facts,
)

LENGTH = 4
"""Frames of a sequence: more than a clip has, so that neighbours and ends differ."""


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> Params:
    """The smoke profile with generated sequences and the one network."""
    register_tiny_clip(monkeypatch)
    # No store: the journal keeps what the stage logs.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
    smoke = smoke_params()
    made = smoke.data.generated.model_copy(update={"images": 12, "frames": LENGTH})
    train = smoke.train.model_copy(
        update={"networks": (NAME,), "recipes": {NAME: smoke.train.recipes["tiny"]}}
    )
    data = smoke.data.model_copy(update={"generated": made})
    return smoke.model_copy(update={"data": data, "train": train})


@pytest.fixture
def layout(tmp_path: Path, params: Params) -> Layout:
    """What `prepare` and `train` leave behind."""
    layout = Layout(tmp_path, params.profile)
    write_prepared(layout.processed, generate(params.data.generated, params.seed), "generated")
    save_model(layout.weights(NAME), Weighted().eval(), tiny_clip_facts())
    return layout


def probabilities(data: PreparedData) -> dict[str, np.ndarray]:
    """Probability of each image of the test part, from its neighbours around the sequence."""
    index = data.index.iloc[evaluated_rows(data)]
    found = {}
    for _, sequence in index.groupby("sequence"):
        ordered = sequence.sort_values("frame")
        images = [data.image(row) / 65535 for row in ordered.index]
        for place, name in enumerate(ordered["id"]):
            clip = [images[(place + step) % LENGTH] for step in (-1, 0, 1)]
            found[name] = expit(expected_logits(np.stack(clip)))
    return found


def test_every_frame_is_evaluated_with_its_neighbours(layout: Layout, params: Params) -> None:
    metrics = evaluate(layout.root, params, NAME)
    data = PreparedData(layout.processed)
    expected = probabilities(data)
    assert metrics["n_images"] == len(expected) == LENGTH
    assert metrics["n_predicted"] > 0
    stored = StoredPredictions(layout.predictions(NAME))
    assert set(stored.ids) == set(expected)
    for name, probability in expected.items():
        np.testing.assert_array_equal(stored.mask(name), probability > 0.5)
    maps: dict[str, np.ndarray] = {}
    predictor = Predictor.from_weights(layout.weights(NAME), "cpu")
    evaluate_images(predictor, data, evaluated_rows(data), 0.5, 2.0, maps.__setitem__)
    for name, probability in expected.items():
        np.testing.assert_allclose(maps[name], probability, atol=1e-5)


def test_the_order_of_the_frames_shows() -> None:
    clip = np.random.default_rng(0).random((FRAMES, 8, 8))
    assert np.abs(expected_logits(clip) - expected_logits(clip[::-1])).max() > 1


def test_it_is_exported_at_the_size_of_its_training_and_used_on_a_folder(
    layout: Layout, params: Params, tmp_path: Path
) -> None:
    report = export(layout.root, params, NAME)
    assert report["parity_ratio"] <= report["parity_limit"]
    assert {case["case"].split(" of ")[1] for case in report["cases"]} == {"64 x 64"}
    facts = read_onnx(layout.onnx(NAME)).facts.preprocessing
    assert (facts.fit, facts.fit_size, facts.frames) == ("stretch", (64, 64), FRAMES)

    data = PreparedData(layout.processed)
    expected = probabilities(data)
    (tmp_path / "in").mkdir()
    for row in evaluated_rows(data):
        name = data.index["id"].iloc[row]
        assert cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), data.image(row))
    summary = run_predict(
        [tmp_path / "in"],
        tmp_path / "out",
        model=str(layout.onnx(NAME)),
        root=tmp_path,
        threshold=None,
        overwrite=False,
    )
    assert (summary.images, summary.failures) == (LENGTH, ())
    listed = json.loads((tmp_path / "out" / "detections.json").read_text())["images"]
    assert [entry["image"] for entry in listed] == [f"{name}.png" for name in sorted(expected)]
    for name, probability in expected.items():
        mask = cv2.imread(str(tmp_path / "out" / "masks" / f"{name}.png.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask > 0, probability > 0.5)
