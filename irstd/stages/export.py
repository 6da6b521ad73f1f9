"""Stage `export`: a network's best weights as a verified ONNX file."""

import hashlib
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from irstd.config import Params
from irstd.data.store import PreparedData
from irstd.errors import ModelError
from irstd.export.onnx import OPSET, export_onnx
from irstd.export.parity import Comparison, check, compare, parity_cases, parity_sizes
from irstd.files import replaced, write_json
from irstd.inference.backends import OnnxBackend, TorchBackend
from irstd.inference.onnx_file import read_onnx
from irstd.inference.weights import ModelFacts, load_model
from irstd.layout import Layout
from irstd.models.registry import network_spec
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
    facts = replace(trained, threshold=params.evaluate.threshold)
    sizes = parity_sizes(spec, facts, params.export.sizes)
    images = _real_images(PreparedData(layout.processed))
    written = layout.report("export", network) / "metrics.json"
    _remove_outdated(target, written, facts)
    model = export_onnx(module, spec, facts).SerializeToString(deterministic=True)
    with replaced(target) as candidate:
        candidate.write_bytes(model)
        file = read_onnx(candidate)
        sides = TorchBackend(module, "cpu"), OnnxBackend(file.content, str(candidate))
        comparisons = []
        for case in parity_cases(spec, facts, sizes, images, params.seed):
            comparison = compare(*sides, case, facts.threshold, params.export.mask_margin)
            check(comparison, spec.parity)
            comparisons.append(comparison)
    report = _report(comparisons, spec.parity, model)
    write_json(written, report)
    with track_run(root, params, network, stage="export", key=key) as run:
        run.metrics({"parity_ratio": report["parity_ratio"]})
        run.artifact(written, "export")
    log.info("%s: %.2g of the logits' deviation from torch", target.name, report["parity_ratio"])
    return report


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
