import shutil
from pathlib import Path

import numpy as np
import pytest

from irstd.config import Params
from irstd.errors import TrackingError
from irstd.export.onnx import export_onnx, fixed_facts
from irstd.tracking import track_run
from irstd.tracking.journal import file_sha256
from irstd.tracking.registry import Registered, download_model, register_onnx
from irstd.tracking.store import Store
from tests.tiny_clip_network import SPEC, Weighted, register_tiny_clip, tiny_clip_facts

TAGS = {"network": "ispanet", "key": "a1", "iou": "0.5"}


@pytest.fixture
def run_id(root: Path, params: Params) -> str:
    with track_run(root, params, "ispanet", stage="register", key="a1") as run:
        return run.deliver()


@pytest.fixture
def registered(store: Store, run_id: str, onnx_file: Path) -> Registered:
    return register_onnx(store, "irstd", run_id, onnx_file, TAGS)


def test_a_version_belongs_to_its_run_and_says_what_it_is(
    store: Store, run_id: str, onnx_file: Path, registered: Registered
) -> None:
    version = store.client.get_model_version("irstd", registered.version)
    assert registered == Registered("1", run_id, file_sha256(onnx_file))
    assert version.tags == TAGS | {"onnx_sha256": file_sha256(onnx_file)}
    assert version.run_id == run_id
    assert len(store.client.get_run(run_id).outputs.model_outputs) == 1


def test_mlflow_loads_it_for_any_batch_and_size_without_pickle(
    root: Path, store: Store, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(store.uri)
        model = mlflow.pyfunc.load_model(f"models:/irstd/{registered.version}")
    finally:
        mlflow.set_tracking_uri(before)
    for shape in ((1, 1, 64, 64), (3, 1, 32, 96)):
        image = np.random.default_rng(0).random(shape, np.float32)
        answer = model.predict({"image": image})
        np.testing.assert_array_equal(answer["logits"], -image)
    assert model.metadata.signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 1, -1, -1)
    assert model.metadata.saved_input_example_info is not None
    assert not [*root.rglob("*.pkl"), *root.rglob("*.pickle")]


def test_a_network_of_clips_is_registered_with_its_frames(
    store: Store, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.models import Model

    register_tiny_clip(monkeypatch)
    facts = fixed_facts(SPEC, tiny_clip_facts(), (16, 24))
    path = tmp_path / "clips.onnx"
    path.write_bytes(export_onnx(Weighted().eval(), SPEC, facts).SerializeToString())
    assert register_onnx(store, "irstd", run_id, path, TAGS).version == "1"
    (stored,) = tmp_path.rglob("MLmodel")
    inputs = Model.load(str(stored)).signature.inputs
    assert inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 3, 1, 16, 24)


def test_registering_twice_finds_the_version_and_renews_its_figures(
    store: Store, run_id: str, onnx_file: Path, registered: Registered
) -> None:
    again = register_onnx(store, "irstd", run_id, onnx_file, TAGS | {"iou": "0.6"})
    assert again == registered
    assert store.client.get_model_version("irstd", "1").tags["iou"] == "0.6"
    other = register_onnx(store, "irstd", run_id, onnx_file, TAGS | {"key": "a2"})
    assert other.version == "2"


def test_a_version_whose_files_were_deleted_is_made_again(
    root: Path, store: Store, run_id: str, onnx_file: Path, registered: Registered
) -> None:
    shutil.rmtree(root / "mlartifacts" / "models")
    assert register_onnx(store, "irstd", run_id, onnx_file, TAGS).version == "2"


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("call", ["list_artifacts", "download_artifacts"])
def test_a_store_that_fails_does_not_make_a_second_version(
    store: Store, run_id: str, onnx_file: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    def fail(**arguments: object) -> None:
        raise MlflowException("the server is overloaded")

    monkeypatch.setattr(mlflow.artifacts, call, fail)
    with pytest.raises(TrackingError, match="the server is overloaded"):
        register_onnx(store, "irstd", run_id, onnx_file, TAGS)
    assert len(store.client.search_model_versions("name = 'irstd'")) == 1


@pytest.mark.usefixtures("registered")
def test_nothing_is_registered_when_the_upload_fails(
    store: Store, run_id: str, onnx_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ConnectionError("the server went away")

    monkeypatch.setattr(store.client, "log_model_artifacts", fail)
    with pytest.raises(TrackingError, match="the server went away"):
        register_onnx(store, "irstd", run_id, onnx_file, TAGS | {"key": "a2"})
    assert len(store.client.search_model_versions("name = 'irstd'")) == 1


def test_every_reference_gives_the_registered_file(
    root: Path, params: Params, store: Store, registered: Registered, onnx_file: Path
) -> None:
    store.client.set_registered_model_alias("irstd", "champion", registered.version)
    references = ("irstd@champion", "models:/irstd@champion", "models:/irstd/1", registered.run_id)
    for reference in references:
        path = download_model(root, params, reference)
        assert path == root / "artifacts" / "registry" / "irstd" / "1" / "model.onnx"
        assert path.read_bytes() == onnx_file.read_bytes()


@pytest.mark.usefixtures("registered")
def test_a_damaged_local_copy_is_downloaded_again(
    root: Path, params: Params, onnx_file: Path
) -> None:
    path = download_model(root, params, "models:/irstd/1")
    path.write_bytes(b"damaged")
    assert download_model(root, params, "models:/irstd/1").read_bytes() == onnx_file.read_bytes()


@pytest.mark.usefixtures("registered")
def test_a_file_changed_in_the_store_is_refused(root: Path, params: Params) -> None:
    (stored,) = root.glob("mlartifacts/models/*/artifacts/model.onnx")
    stored.write_bytes(b"changed")
    with pytest.raises(TrackingError, match=r"models:/irstd/1: its file in the store has SHA-256"):
        download_model(root, params, "models:/irstd/1")


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("irstd@nobody", r"irstd@nobody: .* irstd has versions 1 and aliases champion \(1\)"),
        ("models:/irstd/7", r"models:/irstd/7: not registered .* irstd has versions 1 and"),
        ("models:/other/1", "models:/other/1: .* registered models: irstd"),
        ("it's@champion", "it's@champion: .* registered models: irstd"),
        ("0" * 32, "has no registered model in sqlite:///mlflow.db"),
        ("irstd", "model reference 'irstd' not understood; expected irstd@ALIAS"),
        ("models:/irstd/../1", "not understood"),
    ],
)
def test_an_unknown_reference_is_named(
    root: Path, params: Params, store: Store, registered: Registered, reference: str, reason: str
) -> None:
    store.client.set_registered_model_alias("irstd", "champion", registered.version)
    with pytest.raises(TrackingError, match=reason):
        download_model(root, params, reference)


def test_an_empty_registry_says_what_to_run(root: Path, params: Params) -> None:
    with pytest.raises(TrackingError, match="nothing is: run `irstd register`"):
        download_model(root, params, "irstd@champion")
    (root / "mlflow.db").unlink()
    with pytest.raises(TrackingError, match="nothing is registered here; run `irstd register`"):
        download_model(root, params, "irstd@champion")
    assert not (root / "mlflow.db").exists()
