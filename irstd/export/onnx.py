"""Export to one self-contained ONNX file with free batch, height and width, our facts inside."""

import warnings
from collections.abc import Iterable
from typing import Any

import onnx
import torch
from torch import nn

from irstd.errors import ModelError
from irstd.inference.backends import INPUT_NAME, OUTPUT_NAME
from irstd.inference.weights import FACTS_KEY, ModelFacts
from irstd.models.spec import NetworkSpec

OPSET = 20
EXAMPLE_BATCH = 2
EXAMPLE_SIZE = (5, 7)
"""Rows and columns of the traced image, in size multiples: unequal, and neither is 0 or 1."""


def example_size(spec: NetworkSpec, facts: ModelFacts) -> tuple[int, int]:
    """Height and width of the image the export traces, in pixels.

    Raises:
        ModelError: the network's height or width is fixed, but the facts fill to no size.
    """
    if {"height", "width"} <= set(spec.dynamic_axes):
        return EXAMPLE_SIZE[0] * spec.size_multiple, EXAMPLE_SIZE[1] * spec.size_multiple
    if facts.preprocessing.fill is None:
        raise ModelError(
            f"{spec.name}: its ONNX form has a fixed height or width, so every image must be "
            "brought to one size; set data.fit.method to fill"
        )
    return facts.preprocessing.legal_size(facts.preprocessing.fill)


def export_onnx(network: nn.Module, spec: NetworkSpec, facts: ModelFacts) -> onnx.ModelProto:
    """Translate a network.

    Args:
        network: in evaluation mode, on the CPU.
        spec: its facts: which axes are free, and the multiple of legal sizes.
        facts: stored in the model's metadata.

    Returns:
        The model: input `image` (N, C, H, W), output `logits` (N, 1, H, W), float32. Free heights
        and widths are multiples of the network's size multiple. Equal networks give equal bytes.

    Raises:
        ModelError: torch cannot translate the network, or not with the axes its `SPEC` calls free.
    """
    batch = EXAMPLE_BATCH if "batch" in spec.dynamic_axes else 1
    example = torch.zeros(batch, facts.preprocessing.in_channels, *example_size(spec, facts))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the exporter's, about torch's own code
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamic_shapes=(_free_axes(spec),),
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ModelError(
            f"{spec.name}: torch cannot export it with the free axes of its SPEC, "
            f"{', '.join(spec.dynamic_axes) or 'none'}: {error}"
        ) from error
    if program is None:
        raise ModelError(f"{spec.name}: torch returned no ONNX program")
    model = program.model_proto
    _forget_origin(model)
    del model.metadata_props[:]
    model.metadata_props.add(key=FACTS_KEY, value=facts.to_json())
    onnx.checker.check_model(model)
    return model


def _free_axes(spec: NetworkSpec) -> dict[int, Any]:
    multiple = spec.size_multiple
    axes = {
        "batch": (0, torch.export.Dim("batch")),
        "height": (2, multiple * torch.export.Dim("rows")),
        "width": (3, multiple * torch.export.Dim("cols")),
    }
    return dict(axes[name] for name in spec.dynamic_axes)


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop what the exporter noted about source files: paths of this machine, megabytes of them."""
    graph = model.graph
    parts: Iterable[Any] = (
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
        *model.functions,
        *(node for function in model.functions for node in function.node),
    )
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
