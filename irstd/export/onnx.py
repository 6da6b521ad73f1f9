"""Export to one self-contained ONNX file with free batch, height and width, our facts inside."""

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import onnx
import torch
from torch import nn

from irstd.errors import ModelError
from irstd.inference.backends import INPUT_NAME, OUTPUT_NAME
from irstd.inference.weights import FACTS_KEY, ModelFacts
from irstd.models.spec import NetworkSpec, Size, SizeRule

OPSET = 20
EXAMPLE_BATCH = 2
EXAMPLE_SIZE = (5, 7)
"""Rows and columns of the traced image, in steps of legal sizes: unequal, and neither is 0 or 1."""
STEP_PX = 8
"""A network that takes any size, or nearly, steps by this."""


def sized(sizes: SizeRule, steps: Size) -> Size:
    """A legal size, so many rows and columns of steps above the smallest one."""
    step = sizes.multiple * max(1, STEP_PX // sizes.multiple)
    first = max(step, sizes.smallest)
    rows, cols = (first + (count - 1) * step for count in steps)
    return rows, cols


def has_free_size(spec: NetworkSpec) -> bool:
    """Whether height and width of the ONNX input are free."""
    return {"height", "width"} <= set(spec.dynamic_axes)


def fixed_facts(spec: NetworkSpec, facts: ModelFacts, size: Size | None) -> ModelFacts:
    """The facts of the ONNX file: of a network of fixed size, images are stretched to that size.

    Args:
        spec: facts of the network.
        facts: of the weights.
        size: (height, width) of the file, where the network's are fixed; None: what the facts
            fill or stretch every image to.

    Raises:
        ModelError: the size is fixed and not given, or illegal.
    """
    if has_free_size(spec):
        return facts
    preprocessing = facts.preprocessing
    if size is None and preprocessing.fill is not None:
        return facts
    chosen = size or (preprocessing.fit_size if preprocessing.fit == "stretch" else None)
    if chosen is None:
        raise ModelError(
            f"{spec.name}: its ONNX form has one fixed height and width ({spec.fixed_reason}); "
            "say which: --height and --width"
        )
    preprocessing.sizes.check(spec.name, *chosen)
    return replace(facts, preprocessing=replace(preprocessing, fit="stretch", fit_size=chosen))


def example_size(spec: NetworkSpec, facts: ModelFacts) -> Size:
    """Height and width of the image the export traces, in pixels."""
    if has_free_size(spec):
        return sized(facts.preprocessing.sizes, EXAMPLE_SIZE)
    return facts.preprocessing.legal_size(facts.preprocessing.fill or (1, 1))


def export_onnx(network: nn.Module, spec: NetworkSpec, facts: ModelFacts) -> onnx.ModelProto:
    """Translate a network.

    Args:
        network: in evaluation mode, on the CPU.
        spec: its facts: which axes are free, and the multiple of legal sizes.
        facts: stored in the model's metadata; what `fixed_facts` returned.

    Returns:
        The model: input `image` (N, C, H, W), or (N, T, C, H, W) for clips, output `logits`
        (N, 1, H, W), float32. Free heights and widths are multiples of the network's size multiple.
        Equal networks give equal bytes.

    Raises:
        ModelError: torch cannot translate the network, or not with the axes its `SPEC` calls free.
    """
    batch = EXAMPLE_BATCH if "batch" in spec.dynamic_axes else 1
    clip = () if spec.frames == 1 else (spec.frames,)
    shape = (batch, *clip, facts.preprocessing.in_channels, *example_size(spec, facts))
    example = torch.zeros(shape)
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
                dynamic_shapes=(_free_axes(spec, facts.preprocessing.sizes),),
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


def _free_axes(spec: NetworkSpec, sizes: SizeRule) -> dict[int, Any]:
    multiple = sizes.multiple
    least = -(-sizes.smallest // multiple)
    rows, cols = (torch.export.Dim(name, min=max(2, least)) for name in ("rows", "cols"))
    axes = {
        "batch": (0, torch.export.Dim("batch")),
        "height": (2, multiple * rows if multiple > 1 else rows),
        "width": (3, multiple * cols if multiple > 1 else cols),
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
