"""The model registry: a verified ONNX file becomes a version of one registered model, and back."""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from irstd.config import Params
from irstd.errors import TrackingError
from irstd.inference.onnx_file import read_onnx
from irstd.models.spec import SizeRule
from irstd.tracking.journal import file_sha256
from irstd.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

MODEL_FILE = "model.onnx"
CONTENT_TAGS = ("onnx_sha256", "network", "key")
LISTED = 10  # versions that a message names
ALIAS = re.compile(r"(?:models:/)?(?P<name>[^@/:]+)@(?P<alias>[^@/:]+)")
VERSION = re.compile(r"models:/(?P<name>[^@/:]+)/(?P<version>[0-9]+)")
RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Registered:
    """A version of the registered model.

    Attributes:
        version: its number in the store.
        run_id: the run it belongs to.
        onnx_sha256: SHA-256 of the ONNX file.
    """

    version: str
    run_id: str
    onnx_sha256: str


def register_onnx(
    store: Store, model: str, run_id: str, path: Path, tags: dict[str, str]
) -> Registered:
    """Make an ONNX file a version of the registered model, or find the version it is already.

    The version is made last, with all its tags: what fails before leaves nothing in the registry.

    Args:
        store: the experiment store.
        model: name of the registered model.
        run_id: the run it belongs to.
        path: the verified ONNX file.
        tags: of the version; with `network` and `key`. `onnx_sha256` is added.

    Raises:
        TrackingError: the store refused or could not be reached.
    """
    tags = tags | {"onnx_sha256": file_sha256(path)}
    with store.reaching():
        version = _find(store, model, tags)
        if version is None:
            version = _create(store, model, run_id, path, tags)
        for name, value in tags.items():  # a new evaluation of the same file changes its figures
            if version.tags.get(name) != value:
                store.client.set_model_version_tag(model, version.version, name, value)
        return Registered(str(version.version), str(version.run_id), tags["onnx_sha256"])


def download_model(root: Path, params: Params, reference: str) -> Path:
    """The ONNX file of a registered version, below `artifacts/registry`; downloaded once.

    Args:
        root: the project's folder.
        params: its parameters.
        reference: `irstd@champion`, `models:/irstd@champion`, `models:/irstd/3`, or a run's id.

    Raises:
        TrackingError: no such version, its file differs from what was registered, or the store
            cannot be reached.
    """
    store = Store(root, params.register_, make=False)
    with store.reaching():
        version = _resolve(store, reference)
        target = root / "artifacts" / "registry" / version.name / str(version.version) / MODEL_FILE
        expected = version.tags.get("onnx_sha256")
        if target.is_file() and file_sha256(target) == expected:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            file = _fetch(store, version, Path(scratch))
            found = file_sha256(file)
            if expected not in (None, found):
                raise TrackingError(
                    f"{reference}: its file in the store has SHA-256 {found}, but {expected} was "
                    "registered: it was changed; register the model again (`irstd register`)"
                )
            os.replace(file, target)
    return target


def _find(store: Store, model: str, tags: dict[str, str]) -> "ModelVersion | None":
    same = " and ".join(f"tags.{name} = '{tags[name]}'" for name in CONTENT_TAGS)
    versions = store.client.search_model_versions(f"name = '{model}' and {same}")
    for version in sorted(versions, key=lambda item: int(item.version), reverse=True):
        if _intact(store, version, tags["onnx_sha256"]):
            return version
    return None


def _intact(store: Store, version: "ModelVersion", expected: str) -> bool:
    """Whether the store has the file as registered; a store that fails is no proof that not."""
    from mlflow.artifacts import list_artifacts

    files = list_artifacts(artifact_uri=_source(store, version), tracking_uri=store.uri)
    if MODEL_FILE not in [PurePosixPath(file.path).name for file in files]:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        return file_sha256(_fetch(store, version, Path(scratch))) == expected


def _create(
    store: Store, model: str, run_id: str, path: Path, tags: dict[str, str]
) -> "ModelVersion":
    from mlflow.entities import LoggedModelOutput

    client = store.client
    logged = client.create_logged_model(
        store.experiment_id(),
        name=tags["network"],
        source_run_id=run_id,
        tags=tags,
        model_type="onnx",
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        _save_flavor(path, folder, run_id, logged.model_id, logged.artifact_location)
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    _ensure_model(store, model)
    # A source of the form models:/<id> would be looked up in the process-wide store, not here.
    return client.create_model_version(
        model,
        logged.artifact_location,
        run_id=run_id,
        tags=tags,
        model_id=logged.model_id,
        await_creation_for=0,  # a stage waits no longer than its requests may take
    )


def _save_flavor(path: Path, folder: Path, run_id: str, model_id: str, location: str) -> None:
    import mlflow.onnx
    import onnxruntime
    from mlflow.models import Model

    proto, facts = onnx.load(path), read_onnx(path).facts
    mlflow.onnx.save_model(
        proto,
        str(folder),
        mlflow_model=Model(artifact_path=location, run_id=run_id, model_id=model_id),
        signature=_signature(proto),
        input_example={proto.graph.input[0].name: _example(proto, facts.preprocessing.sizes)},
        pip_requirements=[
            f"mlflow=={mlflow.__version__}",
            f"onnx=={onnx.__version__}",
            f"onnxruntime=={onnxruntime.__version__}",
        ],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    shutil.copyfile(path, folder / MODEL_FILE)  # byte for byte the verified file


def _signature(proto: onnx.ModelProto) -> "ModelSignature":
    """By hand: an inferred signature would fix the height and width of the example."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(values: Any) -> Schema:
        float32 = np.dtype("float32")
        return Schema(
            [TensorSpec(float32, tuple(size or -1 for size in _shape(v)), v.name) for v in values]
        )

    return ModelSignature(schema(proto.graph.input), schema(proto.graph.output))


def _example(proto: onnx.ModelProto, legal: SizeRule) -> np.ndarray:
    """One black image of about 64 x 64 pixels; free axes only, a fixed axis keeps its size."""
    sizes = _shape(proto.graph.input[0])
    rows, cols = legal.enclosing(64, 64) or (legal.smallest, legal.smallest)
    free = (*(1 for _ in sizes[:-2]), rows, cols)
    return np.zeros([size or other for size, other in zip(sizes, free, strict=True)], np.float32)


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    """Sizes of a tensor's axes, 0 for a free one."""
    return [axis.dim_value for axis in value.type.tensor_type.shape.dim]


def _ensure_model(store: Store, model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _resolve(store: Store, reference: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    match = ALIAS.fullmatch(reference) or VERSION.fullmatch(reference)
    if match is None:
        return _of_run(store, reference)
    try:
        if match.re is ALIAS:
            return store.client.get_model_version_by_alias(match["name"], match["alias"])
        return store.client.get_model_version(match["name"], match["version"])
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise TrackingError(
            f"{reference}: not registered in {store.label}; {_choices(store, match['name'])}"
        ) from error


def _choices(store: Store, name: str) -> str:
    """What could be meant instead."""
    models = {model.name: model for model in store.client.search_registered_models()}
    if not models:
        return "nothing is: run `irstd register`"
    if name not in models:
        return f"registered models: {', '.join(sorted(models))}"
    versions = store.client.search_model_versions(
        f"name = '{name}'", max_results=LISTED, order_by=["version_number DESC"]
    )
    numbers = ", ".join(str(version.version) for version in versions)
    aliases = ", ".join(f"{alias} ({of})" for alias, of in sorted(models[name].aliases.items()))
    return f"{name} has versions {numbers or '(none)'} and aliases {aliases or '(none)'}; name one"


def _of_run(store: Store, reference: str) -> "ModelVersion":
    if not RUN_ID.fullmatch(reference):
        raise TrackingError(
            f"model reference {reference!r} not understood; expected irstd@ALIAS, "
            "models:/irstd@ALIAS, models:/irstd/VERSION, or the id of a run"
        )
    versions = store.client.search_model_versions(f"run_id = '{reference}'")
    if not versions:
        raise TrackingError(
            f"the run {reference} has no registered model in {store.label}; "
            "`irstd register` makes one"
        )
    return max(versions, key=lambda item: int(item.version))


def _fetch(store: Store, version: "ModelVersion", folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    source = f"{_source(store, version)}/{MODEL_FILE}"
    return Path(
        download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=store.uri)
    )


def _source(store: Store, version: "ModelVersion") -> str:
    """Address of the folder with the version's files."""
    return str(store.client.get_model_version_download_uri(version.name, version.version))
