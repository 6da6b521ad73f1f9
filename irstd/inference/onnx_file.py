"""Reading ONNX files, ours or a user's: whole, self-contained and with our facts inside."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # has no types
from onnx.external_data_helper import uses_external_data

from irstd.errors import ModelError
from irstd.inference.backends import INPUT_NAME, OUTPUT_NAME
from irstd.inference.weights import FACTS_KEY, ModelFacts


@dataclass(frozen=True)
class OnnxFile:
    """A checked ONNX file.

    Attributes:
        content: the serialised model.
        facts: what the file says about itself.
    """

    content: bytes
    facts: ModelFacts


def read_onnx(path: Path) -> OnnxFile:
    """Read and check an ONNX file.

    Raises:
        ModelError: missing, damaged, invalid by the ONNX checker, with weights outside the file,
            with other inputs or outputs than ours, or without our facts; the message says which.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such ONNX file; `irstd export` writes one per network")
    content = path.read_bytes()
    model = _parse(content, path)
    if any(uses_external_data(tensor) for tensor in _tensors(model)):
        raise ModelError(
            f"{path}: keeps its weights outside the file; export it with external_data=False"
        )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path}: not a valid ONNX model: {error}") from error
    return OnnxFile(content, _facts(model, path))


def _parse(content: bytes, path: Path) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(f"{path}: not an ONNX file, or a damaged one: {error}") from error
    if not model.graph.node:
        raise ModelError(f"{path}: not an ONNX model: it has no nodes; export it again")
    return model


def _facts(model: onnx.ModelProto, path: Path) -> ModelFacts:
    names = (
        [value.name for value in model.graph.input],
        [value.name for value in model.graph.output],
    )
    if names != ([INPUT_NAME], [OUTPUT_NAME]):
        raise ModelError(
            f"{path}: expected one input {INPUT_NAME!r} and one output {OUTPUT_NAME!r}, "
            f"got inputs {names[0]} and outputs {names[1]}; export it with `irstd export`"
        )
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if FACTS_KEY not in metadata:
        raise ModelError(
            f"{path}: the metadata key {FACTS_KEY!r} with pre-processing facts and threshold is "
            f"missing (it has {sorted(metadata) or 'none'}); export it with `irstd export`"
        )
    return ModelFacts.from_json(metadata[FACTS_KEY], str(path))


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model: initial values and attributes, in subgraphs and functions too."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for graph in (attribute.g, *attribute.graphs):
            yield from _graph_tensors(graph)
