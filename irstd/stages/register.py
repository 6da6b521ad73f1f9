"""The register stage: each exported network becomes a version of the registered model."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from irstd.config import Params
from irstd.errors import DataError, ModelError, TrackingError
from irstd.files import read_json, write_json
from irstd.inference.onnx_file import read_onnx
from irstd.inference.weights import FINGERPRINT
from irstd.layout import Layout
from irstd.tracking import track_run
from irstd.tracking.journal import file_sha256
from irstd.tracking.registry import register_onnx
from irstd.tracking.store import Store

FIGURES = ("iou", "niou_target", "niou_image", "pd", "fa_target", "f1_target")
ORIGIN = {"key": FINGERPRINT, "data_checksum": "data_checksum"}
TRAINED, IMPORTED = "trained", "imported"
"""Tag of a version that stands for one file: whether its facts name the training that made it."""
SOURCE = {"source_file": "file", "source_sha256": "sha256"}
"""Tags of an imported version, and what its facts say."""
REPORTS = {"train": "run.json", "export": "metrics.json", "evaluate": "metrics.json"}
CODE = {"git_commit": "commit", "git_dirty": "uncommitted_changes"}


@dataclass(frozen=True)
class _Candidate:
    """A verified ONNX file and what its version is tagged with."""

    network: str
    path: Path
    tags: dict[str, str]


@dataclass(frozen=True)
class _Report:
    """What a stage has written about a network, and the command that writes it."""

    path: Path
    made_by: str

    def values(self, names: dict[str, str]) -> dict[str, str]:
        """Values under the names of their tags."""
        report = read_json(self.path, self.made_by)
        missing = [name for name in names.values() if name not in report]
        if missing:
            raise DataError(f"{self.path}: lacks {missing}; run `{self.made_by}` again")
        return {tag: _text(report[name]) for tag, name in names.items()}

    def check(self, onnx: Path, origin: dict[str, str], command: str) -> None:
        """Refuse a report about another training or file than the ONNX file's."""
        found = self.values({name: name for name in origin})
        if found != origin:
            raise DataError(
                f"{self.path}: expected {origin}, as {onnx} has it, got {found}: they come from "
                f"different trainings; run `{command}`"
            )


def register(root: Path, params: Params) -> dict[str, Any]:
    """Register the ONNX file of every network in `train.networks`.

    A version that the store has already (same file, network and training) is kept; one that it
    lacks is made, whatever an earlier receipt says. Everything is read before the store is touched.

    Returns:
        The receipt, also written to `reports/register/<profile>/receipt.json`.

    Raises:
        ModelError: an ONNX file is missing, damaged or does not say where it comes from.
        DataError: the report of a training, an export or an evaluation is missing, incomplete or
            about another training than the ONNX file.
        TrackingError: the store cannot be reached. No version is made in part; versions of other
            networks made before stay and are found next time.
    """
    candidates = [_candidate(root, params, network) for network in params.train.networks]
    store = _reachable_store(root, params)
    versions = {item.network: _register(root, params, store, item) for item in candidates}
    receipt = {"model": params.register_.model, "store": store.label, "versions": versions}
    write_json(Layout(root, params.profile).report("register") / "receipt.json", receipt)
    return receipt


def register_file(root: Path, params: Params, path: Path) -> dict[str, Any]:
    """Register one ONNX file, whoever made it.

    It needs no reports; its version has no figures. The tag `origin` is `trained`, with the
    fingerprint of the training and the checksum of its data, or `imported`, with the source.

    Args:
        root: the project's folder.
        params: its parameters.
        path: an ONNX file with our facts, as `irstd export --weights` writes it.

    Returns:
        Registered model, store and version; no receipt is written.

    Raises:
        ModelError: the file is missing, damaged or without our facts.
        TrackingError: the store cannot be reached.
    """
    facts = read_onnx(path).facts
    digest = file_sha256(path)
    trained = FINGERPRINT in facts.provenance
    known = {name: name for name in ORIGIN.values()} if trained else SOURCE
    tags = {
        "network": facts.network,
        "profile": params.profile,
        "threshold": str(facts.threshold),
        "key": digest,
        "origin": TRAINED if trained else IMPORTED,
        **{tag: facts.provenance[name] for tag, name in known.items() if name in facts.provenance},
    }
    store = _reachable_store(root, params)
    version = _register(root, params, store, _Candidate(facts.network, path, tags))
    return {"model": params.register_.model, "store": store.label, "version": version}


def _reachable_store(root: Path, params: Params) -> Store:
    try:
        store = Store(root, params.register_)
        store.experiment_id()
    except TrackingError as error:
        raise TrackingError(
            f"{error}. Nothing was registered; the ONNX files are kept: run `irstd register` (or "
            "`dvc repro`) when the store is back"
        ) from error
    return store


def _register(root: Path, params: Params, store: Store, item: _Candidate) -> dict[str, str]:
    model, key = params.register_.model, item.tags["key"]
    with track_run(root, params, item.network, stage="register", key=key) as run:
        registered = register_onnx(store, model, run.deliver(), item.path, item.tags)
        run.tags({"register.version": f"models:/{model}/{registered.version}"})
    return asdict(registered) | {"key": key}


def _candidate(root: Path, params: Params, network: str) -> _Candidate:
    layout = Layout(root, params.profile)
    path = layout.onnx(network)
    facts = read_onnx(path).facts
    missing = [name for name in ORIGIN.values() if name not in facts.provenance]
    if facts.network != network or missing:
        raise ModelError(
            f"{path}: expected an export of {network} with provenance {list(ORIGIN.values())}, got "
            f"one of {facts.network} without {missing or 'a fault in its provenance'}; "
            f"run `irstd train {network}` and `irstd export {network}`"
        )
    code, gate, figures = (
        _Report(layout.report(stage, network) / name, f"irstd {stage} {network}")
        for stage, name in REPORTS.items()
    )
    training = {FINGERPRINT: facts.provenance[FINGERPRINT]}
    code.check(path, training, gate.made_by)
    gate.check(path, {"onnx_sha256": file_sha256(path)}, gate.made_by)
    figures.check(path, training, figures.made_by)
    tags = {
        "network": network,
        "profile": params.profile,
        "threshold": str(facts.threshold),
        **{tag: facts.provenance[name] for tag, name in ORIGIN.items()},
        **code.values(CODE),
        **figures.values({name: name for name in FIGURES}),
    }
    return _Candidate(network, path, tags)


def _text(value: Any) -> str:
    if value is None:  # how a report writes an undefined figure
        return "undefined"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
