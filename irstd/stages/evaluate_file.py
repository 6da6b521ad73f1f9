"""`irstd evaluate` with a file: any weights, ONNX file or finished maps on the test part."""

from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.data.store import PreparedData
from irstd.errors import ConfigError
from irstd.evaluation.figures import CURVES
from irstd.evaluation.maps import MapPredictor, read_maps
from irstd.files import replaced_folder
from irstd.inference.backends import Backend, OnnxBackend, TorchBackend
from irstd.inference.onnx_file import read_onnx
from irstd.inference.predictor import Predictor
from irstd.inference.weights import ModelFacts
from irstd.layout import Layout
from irstd.stages.evaluate import Subject, evaluated_rows, time_network, write_evaluation
from irstd.stages.import_weights import open_weights
from irstd.stages.outputs import check_folder
from irstd.tracking.journal import file_sha256

METRICS, PREDICTIONS = "metrics.json", "predictions"
FILES = frozenset(
    {
        METRICS,
        *(f"{name}.json" for name in ("intervals", "breakdown", "speed")),
        *(f"{name}.parquet" for name in ("per_image", "per_target", "false_alarms")),
        *(f"{name}.{suffix}" for name in CURVES for suffix in ("csv", "png")),
        "overlays",
        PREDICTIONS,
    }
)
"""What an output folder holds."""


def evaluate_file(
    root: Path,
    params: Params,
    output: Path,
    *,
    weights: Path | None = None,
    onnx: Path | None = None,
    predictions: Path | None = None,
    network: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Evaluate one file on the prepared test part of the active profile.

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
        overwrite: replace `output` if it holds earlier results and nothing else.

    Returns:
        The content of `metrics.json`.

    Raises:
        ConfigError: not exactly one of weights, ONNX file and predictions, or a network for
            something else than weights.
        DataError: nothing is prepared, the test part is empty, maps are missing or faulty, or the
            output must not be written or holds the file.
        ModelError: the file cannot be read or does not fit its network.
    """
    given = [path for path in (weights, onnx, predictions) if path is not None]
    if len(given) != 1 or (network is not None and weights is None):
        raise ConfigError(
            "expected exactly one of --weights, --onnx and --predictions, and --network only with "
            f"--weights; got {len(given)} of the three"
        )
    check_folder(root, output, overwrite, names=FILES, always=frozenset({METRICS}), inputs=given)
    data = PreparedData(Layout(root, params.profile).processed)
    rows = evaluated_rows(data)
    if predictions is not None:
        subject = _maps(predictions, data, rows)
    elif weights is not None:
        module, facts = open_weights(weights, network)
        subject = _network(weights, TorchBackend(module), facts, data, rows, params)
    else:
        (path,) = given
        file = read_onnx(path)
        backend = OnnxBackend(file.content, str(path))
        subject = _network(path, backend, file.facts, data, rows, params)
    with replaced_folder(output) as folder:
        stored = folder / PREDICTIONS
        stored.mkdir()
        metrics, _ = write_evaluation(folder, stored, subject, data, rows, params)
    return metrics


def _maps(folder: Path, data: PreparedData, rows: list[int]) -> Subject:
    predictor = MapPredictor(read_maps(folder, data, rows))
    return Subject(folder.name, predictor, {"predictions": str(folder)}, None)


def _network(
    path: Path,
    backend: Backend,
    facts: ModelFacts,
    data: PreparedData,
    rows: list[int],
    params: Params,
) -> Subject:
    speed = time_network(backend, facts, data, rows, params)
    origin = {"file": path.name, "file_sha256": file_sha256(path)}
    return Subject(facts.network, Predictor(backend, facts), origin, speed)
