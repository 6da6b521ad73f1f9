"""`irstd evaluate` with a file: any weights, ONNX file or finished maps, on any images."""

import logging
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from irstd.config import Params
from irstd.data.store import PreparedData, write_prepared
from irstd.errors import ConfigError
from irstd.evaluation import conventions
from irstd.evaluation.figures import CURVES
from irstd.evaluation.folders import Folders, read_folders
from irstd.evaluation.maps import PREDICTIONS, MapPredictor, read_maps
from irstd.files import replaced_folder
from irstd.inference.backends import Backend, OnnxBackend, TorchBackend
from irstd.inference.onnx_file import read_onnx
from irstd.inference.predictor import Predictor
from irstd.inference.weights import ModelFacts
from irstd.metrics.suite import MetricSuite
from irstd.stages.evaluate import (
    PER_SEQUENCE,
    Part,
    Subject,
    evaluated_rows,
    prepared_part,
    time_network,
    write_evaluation,
)
from irstd.stages.import_weights import open_weights
from irstd.stages.outputs import check_folder
from irstd.tracking.journal import file_sha256

METRICS = "metrics.json"
FILES = frozenset(
    {
        METRICS,
        PER_SEQUENCE,
        *(f"{name}.json" for name in ("intervals", "breakdown", "speed", "field")),
        *(f"{name}.parquet" for name in ("per_image", "per_target", "false_alarms", "scores")),
        *(f"{name}.{suffix}" for name in CURVES for suffix in ("csv", "png")),
        *conventions.FILES,
        "overlays",
        PREDICTIONS,
    }
)
"""What an output folder holds."""

log = logging.getLogger(__name__)


def evaluate_file(
    root: Path,
    params: Params,
    output: Path,
    *,
    weights: Path | None = None,
    onnx: Path | None = None,
    predictions: Path | None = None,
    network: str | None = None,
    folders: Folders | None = None,
    convention: str | None = None,
    size: int | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Evaluate one file on the prepared test part of the active profile, or on plain folders.

    The output folder holds what the stage `evaluate` writes, and the probability maps in
    `predictions`; there is no `speed.json` where finished maps are evaluated. Nothing else is
    written, and no run is logged.

    Args:
        root: the project's folder.
        params: its parameters; the threshold is theirs.
        output: folder for the results; new or empty.
        weights: a weight file of ours, or a published one.
        onnx: an ONNX file of ours.
        predictions: folder with probability maps, see `irstd.evaluation.maps.read_maps`.
        network: model id; needed for a published weight file.
        folders: images and masks to evaluate on; None for the prepared test part.
        convention: see `irstd.evaluation.conventions.choose_conventions`; None for the parameters'.
        size: side in pixels that all images must have, for the conventions that divide by it.
        name: what `metrics.json` and figures call it; None for the network's id, and for the name
            of the output folder where finished maps are evaluated.
        overwrite: replace `output` if it holds earlier results and nothing else.

    Returns:
        The content of `metrics.json`.

    Raises:
        ConfigError: not exactly one of weights, ONNX file and predictions, a network for something
            else than weights, an unknown convention, or a size that none of them takes.
        DataError: there are no images or they are faulty, maps are missing or faulty, or the output
            must not be written or holds the file.
        ModelError: the file cannot be read or does not fit its network.
    """
    options = {"weights": weights, "onnx": onnx, "predictions": predictions}
    given = {kind: path for kind, path in options.items() if path is not None}
    if len(given) != 1 or (network is not None and weights is None):
        raise ConfigError(
            "expected exactly one of --weights, --onnx and --predictions, and --network only with "
            f"--weights; got {len(given)} of the three"
        )
    ((kind, path),) = given.items()
    inputs = [path, *(folders.files if folders else ())]
    check_folder(root, output, overwrite, names=FILES, always=frozenset({METRICS}), inputs=inputs)
    if convention is not None:
        chosen = params.evaluate.model_copy(update={"convention": convention})
        params = params.model_copy(update={"evaluate": chosen})
    chosen_names = conventions.choose_conventions(params.evaluate.convention)
    MetricSuite(chosen_names, size=size)  # refuses a wrong choice before hours of work
    with replaced_folder(output) as folder, TemporaryDirectory(dir=folder) as scratch:
        part = prepared_part(root, params) if folders is None else _part(folders, Path(scratch))
        if kind == "predictions":
            may_have_more = folders is not None and folders.split is not None
            subject = _maps(path, name or output.resolve().name, part, params, may_have_more)
        else:
            subject = _subject(kind, path, network, part, params)
            subject = replace(subject, name=name or subject.name)
        stored = folder / PREDICTIONS
        stored.mkdir()
        metrics, _ = write_evaluation(folder, stored, subject, part, params, size)
    return metrics


def _part(folders: Folders, scratch: Path) -> Part:
    """Plain folders, prepared in a folder that is removed afterwards."""
    write_prepared(scratch, read_folders(folders), "folder")
    data = PreparedData(scratch)
    source = ", ".join(map(str, folders.given))
    return Part(data, evaluated_rows(data), source, str(folders.split or "all"))


def _subject(kind: str, path: Path, network: str | None, part: Part, params: Params) -> Subject:
    if kind == "weights":
        module, facts = open_weights(path, network)
        return _network(path, TorchBackend(module), facts, part, params)
    file = read_onnx(path)
    return _network(path, OnnxBackend(file.content, str(path)), file.facts, part, params)


def _maps(folder: Path, name: str, part: Part, params: Params, surplus: bool) -> Subject:
    maps = read_maps(folder, part.data, part.rows, surplus)
    if maps.kind == "masks":
        log.warning(
            "%s: the maps are masks of two values; figures are right, but curves over thresholds, "
            "average precision and calibration say nothing",
            folder,
        )
    if maps.highest <= params.evaluate.threshold:
        log.warning(
            "%s: no map exceeds the threshold %g (the highest value is %g of 1), so nothing is "
            "detected; the threshold is evaluate.threshold, the largest value of 8 or 16 bit is 1",
            folder,
            params.evaluate.threshold,
            maps.highest,
        )
    origin = {"predictions": str(folder), "maps": maps.kind}
    return Subject(name, MapPredictor(maps.values), origin, None)


def _network(
    path: Path, backend: Backend, facts: ModelFacts, part: Part, params: Params
) -> Subject:
    speed = time_network(backend, facts, part, params)
    origin = {"file": path.name, "file_sha256": file_sha256(path)}
    return Subject(facts.network, Predictor(backend, facts), origin, speed)
