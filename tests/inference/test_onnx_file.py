from pathlib import Path

import onnx
import pytest
from onnx.external_data_helper import convert_model_to_external_data

from irstd.errors import ModelError
from irstd.inference.onnx_file import read_onnx
from tests.tiny_network import tiny_facts, tiny_onnx, write_tiny_onnx


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tiny_onnx(tmp_path / "tiny.onnx")


def change(path: Path) -> onnx.ModelProto:
    return onnx.load_model_from_string(path.read_bytes())


def test_a_whole_file_is_read(path: Path) -> None:
    file = read_onnx(path)
    assert file.content == tiny_onnx()
    assert file.facts == tiny_facts()


def test_a_missing_file_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.onnx: no such ONNX file; `irstd export`"):
        read_onnx(tmp_path / "no.onnx")


def test_damaged_files_are_refused(path: Path) -> None:
    for content in (b"", b"not an onnx file", tiny_onnx()[:-50]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"tiny\.onnx: not an ONNX (file, or a dam|model: it)"):
            read_onnx(path)


def test_an_invalid_graph_is_refused(path: Path) -> None:
    model = change(path)
    model.graph.node[0].op_type = "NoSuchOperator"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"not a valid ONNX model: (?s:.*)NoSuchOperator"):
        read_onnx(path)


def test_weights_outside_the_file_are_refused(path: Path) -> None:
    model = change(path)
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save_model(model, path)
    assert (path.parent / "weights.bin").exists()
    with pytest.raises(ModelError, match="keeps its weights outside the file"):
        read_onnx(path)


def test_outside_weights_in_a_subgraph_are_refused(path: Path) -> None:
    model = change(path)
    tensor = onnx.helper.make_tensor("t", onnx.TensorProto.FLOAT, [1], [1.0])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Constant", [], ["c"], value=tensor)], "g", [], []
    )
    model.graph.node.append(onnx.helper.make_node("If", ["x"], [], then_branch=inner))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="keeps its weights outside the file"):
        read_onnx(path)


def test_a_file_of_others_is_told_what_is_missing(path: Path) -> None:
    model = change(path)
    del model.metadata_props[:]
    model.metadata_props.add(key="author", value="somebody")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"key 'irstd' .* missing \(it has \['author'\]\)"):
        read_onnx(path)


def test_other_inputs_are_named(path: Path) -> None:
    model = change(path)
    model.graph.input[0].name = "x"
    for node in model.graph.node:
        node.input[:] = ["x" if name == "image" else name for name in node.input]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"one input 'image' .* got inputs \['x'\] and outputs"):
        read_onnx(path)
