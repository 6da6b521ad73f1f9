import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from irstd.config import Params
from irstd.data.sources import RawImage
from irstd.data.store import write_prepared
from irstd.errors import ConfigError, DataError, ModelError
from irstd.inference.onnx_file import read_onnx
from irstd.inference.predictor import Predictor
from irstd.inference.weights import save_model
from irstd.layout import Layout
from irstd.stages.export import export, export_file
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


class Normed(Bright):
    """With a batch norm that can be folded."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__(in_channels)
        self.conv = nn.Conv2d(in_channels, 1, 3, padding=1)
        self.norm = nn.BatchNorm2d(1)
        self.norm.running_mean.fill_(0.3)
        self.norm.weight.data.fill_(2.0)

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + self.norm(self.conv(self.admit(image)))


def test_the_fused_network_is_exported(
    project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch, build=Normed)
    layout = Layout(project, params.profile)
    save_model(layout.weights("tiny"), Normed().eval(), tiny_facts())
    assert export(project, params, "tiny")["parity_ratio"] <= 1e-3
    operators = {node.op_type for node in onnx.load(layout.onnx("tiny")).graph.node}
    assert "Conv" in operators
    assert "BatchNormalization" not in operators


def everything(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(root.rglob("*"))}


def test_any_weight_file_is_exported(project: Path, params: Params, tmp_path: Path) -> None:
    weights = Layout(project, params.profile).weights("tiny")
    output = tmp_path / "onnx" / "tiny.onnx"
    before = {folder: everything(project / folder) for folder in ("artifacts", "reports", "data")}
    report = export_file(project, params, weights, output)
    assert read_onnx(output).facts == tiny_facts()
    assert len(report["cases"]) == 9
    for folder in ("artifacts", "reports", "data"):
        assert everything(project / folder) == before[folder]


def test_a_published_file_is_exported_without_prepared_images(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch)
    torch.save({"model": tiny_network().state_dict()}, tmp_path / "best.pth")
    output = tmp_path / "tiny.onnx"
    with pytest.raises(ModelError, match="add --network NAME"):
        export_file(tmp_path, params, tmp_path / "best.pth", output)
    report = export_file(tmp_path, params, tmp_path / "best.pth", output, network="tiny")
    assert {case["case"].split(",")[0] for case in report["cases"]} == {"random"}
    assert read_onnx(output).facts.provenance["origin"] == "published"


def test_a_network_of_one_size_needs_it(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny(monkeypatch, dynamic_axes=("batch",), fixed_reason="a test says so")
    weights, output = Layout(project, params.profile).weights("tiny"), tmp_path / "tiny.onnx"
    with pytest.raises(ModelError, match=r"a test says so\); say which: --height and --width"):
        export_file(project, params, weights, output)
    export_file(project, params, weights, output, size=(16, 24))
    assert read_onnx(output).facts.preprocessing.fit_size == (16, 24)
    with pytest.raises(ModelError, match="multiples of 8, got 16 x 20"):
        export_file(project, params, weights, output, size=(16, 20), overwrite=True)


def test_wrong_outputs_and_sizes_are_refused(project: Path, params: Params, tmp_path: Path) -> None:
    weights, output = Layout(project, params.profile).weights("tiny"), tmp_path / "tiny.onnx"
    with pytest.raises(ConfigError, match=r"every legal size .* leave out --height and --width"):
        export_file(project, params, weights, output, size=(16, 16))
    with pytest.raises(DataError, match="artifacts/ belongs to the stages"):
        export_file(project, params, weights, weights.with_suffix(".onnx"))
    with pytest.raises(ModelError, match=r"expected a name that ends with \.onnx"):
        export_file(project, params, weights, tmp_path / "tiny.bin")
    output.write_text("precious")
    with pytest.raises(DataError, match="exists; choose another name"):
        export_file(project, params, weights, output)
    assert output.read_text() == "precious"
