from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from irstd.errors import ModelError
from irstd.export.onnx import OPSET, example_size, export_onnx, fixed_facts
from irstd.inference.backends import OnnxBackend, TorchBackend
from irstd.inference.weights import FACTS_KEY, ModelFacts
from tests.tiny_network import SPEC, Bright, tiny_facts, tiny_network, tiny_onnx


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load_model_from_string(tiny_onnx())


def axes(value: onnx.ValueInfoProto) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


def test_batch_height_and_width_are_free(model: onnx.ModelProto) -> None:
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["logits"]
    assert axes(model.graph.input[0]) == ["batch", 1, "8*rows", "8*cols"]
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": OPSET}


def test_the_facts_are_inside(model: onnx.ModelProto) -> None:
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert list(metadata) == [FACTS_KEY]
    assert ModelFacts.from_json(metadata[FACTS_KEY], "model") == tiny_facts()


def test_no_path_of_this_machine_is_inside() -> None:
    assert str(Path(__file__).parents[2]).encode() not in tiny_onnx()
    assert b"stack_trace" not in tiny_onnx()
    assert b".py" not in tiny_onnx()


def test_equal_networks_give_equal_bytes() -> None:
    again = export_onnx(tiny_network(), SPEC, tiny_facts())
    assert again.SerializeToString() == tiny_onnx()


def test_axes_that_the_spec_fixes_stay_fixed() -> None:
    spec = replace(SPEC, dynamic_axes=("batch",))
    facts = tiny_facts(fill=(20, 24))
    assert example_size(spec, facts) == (24, 24)
    assert axes(export_onnx(tiny_network(), spec, facts).graph.input[0]) == ["batch", 1, 24, 24]


def test_a_fixed_size_is_said_or_given() -> None:
    spec = replace(SPEC, dynamic_axes=("batch",), fixed_reason="windows")
    with pytest.raises(ModelError, match=r"one fixed height and width \(windows\); say which"):
        fixed_facts(spec, tiny_facts(), None)
    with pytest.raises(ModelError, match="must be multiples of 8, got 20 x 24"):
        fixed_facts(spec, tiny_facts(), (20, 24))
    facts = fixed_facts(spec, tiny_facts(), (16, 24))
    assert (facts.preprocessing.fit, facts.preprocessing.fit_size) == ("stretch", (16, 24))
    assert example_size(spec, facts) == (16, 24)
    assert fixed_facts(SPEC, tiny_facts(), None) == tiny_facts()
    filled = tiny_facts(fill=(20, 24))
    assert fixed_facts(spec, filled, None) == filled


class Undecided(nn.Module):
    """Cannot be traced: what it does depends on the pixels."""

    def forward(self, image: Tensor) -> Tensor:
        return image if bool(image.mean() > 0) else -image


def test_a_network_that_torch_cannot_export_is_an_error() -> None:
    with pytest.raises(ModelError, match="tiny: torch cannot export it with the free axes of its"):
        export_onnx(Undecided().eval(), SPEC, tiny_facts())


@pytest.mark.slow
def test_ispanet_is_exported_with_free_axes() -> None:
    from irstd.inference.preprocess import Preprocessing
    from irstd.models.registry import build_network, network_spec

    spec = network_spec("ispanet")
    torch.manual_seed(0)
    network = build_network("ispanet", in_channels=1, width=16).eval()
    preprocessing = Preprocessing.of(spec, 1)
    facts = ModelFacts("ispanet", {"in_channels": 1, "width": 16}, preprocessing, 0.5, {})
    content = export_onnx(network, spec, facts).SerializeToString()
    reference, candidate = TorchBackend(network, "cpu"), OnnxBackend(content, "ispanet.onnx")
    for shape in ((1, 1, 32, 32), (3, 1, 64, 96), (1, 1, 128, 32)):
        image = np.random.default_rng(0).random(shape, np.float32)
        expected = reference(image)
        np.testing.assert_allclose(candidate(image), expected, atol=1e-4 * expected.std())


def test_weights_are_those_of_the_network() -> None:
    network = Bright(gain=4.0).eval()
    backend = OnnxBackend(export_onnx(network, SPEC, tiny_facts()).SerializeToString(), "tiny.onnx")
    assert backend(np.ones((1, 1, 8, 8), np.float32)).max() == pytest.approx(2.0)
