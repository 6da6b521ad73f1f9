"""Stage `export`: a network's best weights as a verified ONNX file."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from irstd.config import Params
from irstd.data.store import PreparedData
from irstd.errors import ConfigError, ModelError
from irstd.export.onnx import OPSET, export_onnx, fixed_facts, has_free_size
from irstd.export.parity import Comparison, check, compare, parity_cases, parity_sizes
from irstd.files import replaced, write_json
from irstd.inference.backends import OnnxBackend, TorchBackend
from irstd.inference.onnx_file import read_onnx
from irstd.inference.weights import ModelFacts, load_model
from irstd.layout import Layout
from irstd.models.network import Network
from irstd.models.registry import network_spec
from irstd.models.spec import Size
from irstd.stages.import_weights import open_weights
from irstd.stages.outputs import check_file
from irstd.tracking import track_run

REAL_IMAGES = 3
"""Prepared images that pass the parity gate at every size."""

log = logging.getLogger(__name__)


def export(root: Path, params: Params, network: str) -> dict[str, Any]:
    """Export a network, compare the file with torch, and only then give the file its name.

    Reads the weights and the prepared images; writes the ONNX file and
    `reports/export/<profile>/<network>/metrics.json`. The file's threshold is that of the
    evaluation. If the gate refuses, an earlier file stays only if it has the same facts, those of
    the same training.

    Args:
        root: the project's folder.
        params: its parameters.
        network: model id.

    Returns:
        What `metrics.json` says.

    Raises:
        ModelError: no weights, they do not export, or the file's answers differ from torch.
        DataError: the prepared images are missing.
        ConfigError: `export.sizes` names the size the export traces.
    """
    layout = Layout(root, params.profile)
    weights, target = layout.weights(network), layout.onnx(network)
    spec = network_spec(network)
    module, trained = load_model(weights)
    key = trained.training_key(network, weights)
    size = _training_size(params, network, trained)
    facts = fixed_facts(spec, replace(trained, threshold=params.evaluate.threshold), size)
    images = _real_images(PreparedData(layout.processed))
    written = layout.report("export", network) / "metrics.json"
    _remove_outdated(target, written, facts)
    report = write_verified(target, module, facts, images, params)
    write_json(written, report)
    with track_run(root, params, network, stage="export", key=key) as run:
        run.metrics({"parity_ratio": report["parity_ratio"]})
        run.artifact(written, "export")
    return report


def export_file(
    root: Path,
    params: Params,
    weights: Path,
    output: Path,
    *,
    network: str | None = None,
    size: Size | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Export a weight file through the same gate; only the ONNX file is written.

    Args:
        root: the project's folder.
        params: its parameters; the gate's sizes, margin and seed are theirs.
        weights: a weight file of ours, or a published one.
        output: the ONNX file to write.
        network: model id; needed for a published weight file.
        size: (height, width) of the ONNX input, for a network whose ONNX form has one size.
        overwrite: replace an earlier file.

    Returns:
        What the stage writes to `metrics.json`.

    Raises:
        ConfigError: a size for a network whose height and width are free.
        DataError: the output must not be written.
        ModelError: the weights cannot be read, do not export, or the file's answers differ.
    """
    check_file(root, output, overwrite)
    if output.suffix != ".onnx":
        raise ModelError(f"{output}: expected a name that ends with .onnx")
    module, facts = open_weights(weights, network)
    spec = network_spec(facts.network)
    if size is not None and has_free_size(spec):
        raise ConfigError(
            f"{spec.name}: its ONNX form takes every legal size "
            f"({facts.preprocessing.sizes}); leave out --height "
            "and --width"
        )
    processed = Layout(root, params.profile).processed
    images = _real_images(PreparedData(processed)) if processed.is_dir() else []
    return write_verified(output, module, fixed_facts(spec, facts, size), images, params)


def write_verified(
    target: Path,
    module: Network,
    facts: ModelFacts,
    images: Sequence[np.ndarray],
    params: Params,
) -> dict[str, Any]:
    """Fuse and export a network; write the file if it gives what the unfused network gives.

    Args:
        target: the ONNX file.
        module: the network, in evaluation mode.
        facts: stored in the file; what `fixed_facts` returned.
        images: prepared images (H, W) for the gate, beside random ones.
        params: the project's parameters.

    Returns:
        Bytes, hash and what the gate found.

    Raises:
        ModelError: the network does not export, or the file's answers differ from torch.
        ConfigError: `export.sizes` names the size the export traces.
    """
    spec = network_spec(facts.network)
    sizes = parity_sizes(spec, facts, params.export.sizes)
    fused = module.fuse()
    model = export_onnx(fused, spec, facts).SerializeToString(deterministic=True)
    with replaced(target) as candidate:
        candidate.write_bytes(model)
        file = read_onnx(candidate)
        sides = TorchBackend(module, "cpu"), OnnxBackend(file.content, str(candidate))
        comparisons = []
        for case in parity_cases(spec, facts, sizes, images, params.seed):
            comparison = compare(
                *sides, case, facts.threshold, params.export.mask_margin, spec.compare
            )
            check(comparison, spec.parity)
            comparisons.append(comparison)
    report = _report(comparisons, spec.parity, model)
    log.info("%s: %.2g of the outputs' deviation from torch", target.name, report["parity_ratio"])
    return report


def _training_size(params: Params, network: str, facts: ModelFacts) -> Size | None:
    """The crop of the training, for an ONNX file of one size; None if the facts name a size."""
    preprocessing = facts.preprocessing
    named = preprocessing.fill is not None or preprocessing.fit == "stretch"
    if named or has_free_size(network_spec(network)):
        return None
    crop = params.train.recipes[network].crop
    return crop.height, crop.width


def _remove_outdated(target: Path, report: Path, facts: ModelFacts) -> None:
    """Remove an ONNX file of other facts, and its report: nothing shall vouch for it any more."""
    try:
        is_current = read_onnx(target).facts == facts
    except ModelError:
        is_current = False
    if not is_current:
        report.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def _real_images(data: PreparedData) -> list[np.ndarray]:
    """The first images of the validation part, or of all where it is empty."""
    rows = data.rows("val")
    chosen = rows if len(rows) else np.arange(len(data))
    return [data.image(int(row)) for row in chosen[:REAL_IMAGES]]


def _report(comparisons: list[Comparison], limit: float, model: bytes) -> dict[str, Any]:
    return {
        "onnx_bytes": len(model),
        "onnx_sha256": hashlib.sha256(model).hexdigest(),
        "opset": OPSET,
        "parity_limit": limit,
        "parity_ratio": max(comparison.ratio for comparison in comparisons),
        "largest_difference": max(comparison.difference for comparison in comparisons),
        "undecided_pixels": sum(comparison.undecided for comparison in comparisons),
        "cases": [asdict(comparison) | {"ratio": comparison.ratio} for comparison in comparisons],
    }
