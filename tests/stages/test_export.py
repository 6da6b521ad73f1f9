import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from torch import Tensor, nn

from irstd.config import Params
from irstd.data.sources import RawImage
from irstd.data.store import write_prepared
from irstd.errors import DataError, ModelError
from irstd.inference.onnx_file import read_onnx
from irstd.inference.predictor import Predictor
from irstd.inference.weights import save_model
from irstd.layout import Layout
from irstd.stages.export import export
from tests.sirst_layout import make_params
from tests.tiny_network import MULTIPLE, Bright, register_tiny, tiny_facts, tiny_network


class Frozen(Bright):
    """Pools to 4 x 4; the exporter turns that into windows of the traced size."""

    def forward(self, image: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(image, (4, 4))
        wide = nn.functional.interpolate(pooled, size=image.shape[-2:], mode="bilinear")
        return super().forward(image) + wide


@pytest.fixture
def params() -> Params:
    return make_params()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> Path:
    """A project with four prepared images and trained weights of the tiny network."""
    register_tiny(monkeypatch)
    monkeypatch.setattr("irstd.stages.export.track_run", MagicMock())
    layout = Layout(tmp_path, params.profile)
    rng = np.random.default_rng(0)
    mask = np.zeros((30, 41), np.uint8)
    mask[3:5, 6:8] = 1
    images = [
        RawImage(f"i{number}", split, rng.integers(0, 256, (30, 41), np.uint8), mask)
        for number, split in enumerate(("train", "val", "val", "test"))
    ]
    write_prepared(layout.processed, images, "generated")
    save_model(layout.weights("tiny"), tiny_network(), tiny_facts())
    return tmp_path


def report_of(project: Path, params: Params) -> Path:
    return Layout(project, params.profile).report("export", "tiny") / "metrics.json"


def test_a_faithful_network_is_written_with_its_report(project: Path, params: Params) -> None:
    layout = Layout(project, params.profile)
    report = export(project, params, "tiny")
    assert json.loads(report_of(project, params).read_text()) == report
    assert report["parity_ratio"] <= report["parity_limit"] == 1e-3
    assert report["onnx_bytes"] == layout.onnx("tiny").stat().st_size
    cases = [case["case"] for case in report["cases"]]
    assert cases == [
        f"{kind} of {rows * MULTIPLE} x {cols * MULTIPLE}"
        for rows, cols in params.export.sizes
        for kind in ("random, 3", "images, 1", "images, 1")
    ]
    assert read_onnx(layout.onnx("tiny")).facts == tiny_facts()
    image = np.random.default_rng(2).integers(0, 65536, (19, 33), dtype=np.uint16)
    by_onnx = Predictor.from_onnx(layout.onnx("tiny")).predict(image)
    by_torch = Predictor.from_weights(layout.weights("tiny"), "cpu").predict(image)
    np.testing.assert_allclose(by_onnx.probability, by_torch.probability, atol=1e-5)


def test_a_second_export_gives_the_same_bytes(project: Path, params: Params) -> None:
    def outputs() -> list[bytes]:
        export(project, params, "tiny")
        files = (Layout(project, params.profile).onnx("tiny"), report_of(project, params))
        return [file.read_bytes() for file in files]

    assert outputs() == outputs()


def test_a_network_frozen_at_the_traced_size_is_not_written(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch, build=Frozen)
    layout = Layout(project, params.profile)
    save_model(layout.weights("tiny"), Frozen().eval(), tiny_facts())
    message = r"parity, random, 3 of 16 x 16: .* differ by [\d.]+, .* the limit is 0\.001"
    with pytest.raises(ModelError, match=message):
        export(project, params, "tiny")
    assert [path.name for path in layout.artifacts("tiny").iterdir()] == ["model.safetensors"]
    assert not report_of(project, params).exists()


def with_threshold(params: Params, threshold: float) -> Params:
    evaluated = params.evaluate.model_copy(update={"threshold": threshold})
    return params.model_copy(update={"evaluate": evaluated})


def test_the_file_has_the_threshold_of_the_evaluation(project: Path, params: Params) -> None:
    path = Layout(project, params.profile).onnx("tiny")
    for threshold in (0.3, 0.7):
        export(project, with_threshold(params, threshold), "tiny")
        assert read_onnx(path).facts == replace(tiny_facts(), threshold=threshold)
    assert tiny_facts().threshold == 0.5


def refuse(project: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export through a gate that nothing passes."""
    monkeypatch.setattr("irstd.stages.export.check", MagicMock(side_effect=ModelError("refused")))
    with pytest.raises(ModelError, match="refused"):
        export(project, params, "tiny")


def test_a_refused_export_removes_the_file_of_another_training(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(project, params.profile)
    export(project, params, "tiny")
    again = replace(tiny_facts(), provenance={"fingerprint": "e" * 64})
    save_model(layout.weights("tiny"), tiny_network(), again)
    refuse(project, params, monkeypatch)
    assert [path.name for path in layout.artifacts("tiny").iterdir()] == ["model.safetensors"]
    assert not report_of(project, params).exists()


@pytest.mark.parametrize("content", [b"damaged", None])
def test_a_refused_export_leaves_no_unreadable_file(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    report = report_of(project, params)
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    path = Layout(project, params.profile).onnx("tiny")
    if content is not None:
        path.write_bytes(content)
    refuse(project, params, monkeypatch)
    assert not path.exists()
    assert not report.exists()


def test_a_refused_export_keeps_the_file_of_the_same_training(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(project, params, "tiny")
    path = Layout(project, params.profile).onnx("tiny")
    before = path.read_bytes()
    refuse(project, params, monkeypatch)
    assert path.read_bytes() == before
    assert report_of(project, params).exists()


def test_missing_inputs_are_named(project: Path, params: Params) -> None:
    layout = Layout(project, params.profile)
    (layout.processed / "index.parquet").unlink()
    with pytest.raises(DataError, match="irstd prepare"):
        export(project, params, "tiny")
    layout.weights("tiny").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors: no such weight file"):
        export(project, params, "tiny")


def test_weights_of_another_network_are_refused(project: Path, params: Params) -> None:
    layout = Layout(project, params.profile)
    layout.artifacts("ispanet").mkdir(parents=True)
    layout.weights("tiny").rename(layout.weights("ispanet"))
    with pytest.raises(ModelError, match=r"expected weights of ispanet with .*, got tiny"):
        export(project, params, "ispanet")
