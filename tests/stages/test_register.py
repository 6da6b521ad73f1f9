import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError

from irstd.config import Params, RegisterParams, load_params
from irstd.errors import DataError, ModelError, TrackingError
from irstd.files import write_json
from irstd.inference.preprocess import Preprocessing
from irstd.inference.weights import FACTS_KEY, ModelFacts
from irstd.layout import Layout
from irstd.models import network_spec
from irstd.profiles import use_profile
from irstd.stages.register import register, register_file
from irstd.stages.track import track
from irstd.tracking.journal import file_sha256
from irstd.tracking.store import Store

ROOT = Path(__file__).parents[2]
FIGURES = {
    "iou": 0.61,
    "niou_target": 0.5,
    "niou_image": 0.4,
    "pd": 0.9,
    "fa_target": 0.125,
    "f1_target": None,
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose network is exported, evaluated and registered once."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    root = tmp_path_factory.mktemp("template")
    shutil.copytree(ROOT / "profiles", root / "profiles")
    use_profile(root, "smoke", discard_edits=True)
    params = load_params(root / "params.yaml")
    layout = Layout(root, params.profile)
    training = {"fingerprint": "f" * 64}
    write_onnx(layout.onnx("ispanet"), params, training)
    write_json(layout.report("evaluate", "ispanet") / "metrics.json", FIGURES | training)
    code = {"commit": "c" * 40, "uncommitted_changes": "false"}
    write_json(layout.report("train", "ispanet") / "run.json", code | training)
    gate = {"onnx_sha256": file_sha256(layout.onnx("ispanet"))}
    write_json(layout.report("export", "ispanet") / "metrics.json", gate)
    return root


@pytest.fixture
def project_root(template: Path) -> Path:
    """The project; each test leaves the store richer, none poorer, and puts back what it takes."""
    return template


@pytest.fixture
def params(project_root: Path) -> Params:
    params = load_params(project_root / "params.yaml")
    hurried = params.register_.model_copy(update={"request_timeout_s": 1, "request_retries": 0})
    alone = params.train.model_copy(update={"networks": ("ispanet",)})
    return params.model_copy(update={"register_": hurried, "train": alone})


def write_onnx(path: Path, params: Params, provenance: dict[str, str]) -> None:
    shape = ["n", 1, "h", "w"]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        [helper.make_node("Neg", ["image"], ["logits"])], "g", [image], [logits]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    preprocessing = Preprocessing.of(network_spec("ispanet"), 1, params.data.fit)
    origin = {"data_checksum": "d" * 64, **provenance}
    facts = ModelFacts("ispanet", {"width": 16}, preprocessing, 0.5, origin)
    model.metadata_props.add(key=FACTS_KEY, value=facts.to_json())
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def receipt(root: Path) -> dict[str, Any]:
    path = root / "reports" / "register" / "smoke" / "receipt.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_version_carries_figures_and_origin(project_root: Path, params: Params) -> None:
    written = register(project_root, params)
    entry = written["versions"]["ispanet"]
    sha = file_sha256(Layout(project_root, "smoke").onnx("ispanet"))
    version = Store(project_root, params.register_).client.get_model_version(
        "irstd", entry["version"]
    )
    assert version.tags == {
        "network": "ispanet",
        "profile": "smoke",
        "threshold": "0.5",
        "key": "f" * 64,
        "git_commit": "c" * 40,
        "git_dirty": "false",
        "data_checksum": "d" * 64,
        "onnx_sha256": sha,
        "iou": "0.61",
        "niou_target": "0.5",
        "niou_image": "0.4",
        "pd": "0.9",
        "fa_target": "0.125",
        "f1_target": "undefined",
    }
    assert receipt(project_root) == written
    assert written["store"] == "sqlite:///mlflow.db"
    assert entry["onnx_sha256"] == sha
    run = Store(project_root, params.register_).client.get_run(entry["run_id"])
    assert run.data.tags["register.version"] == f"models:/irstd/{entry['version']}"
    assert run.info.status == "FINISHED"


def test_registering_again_gives_the_same_receipt(project_root: Path, params: Params) -> None:
    path = project_root / "reports" / "register" / "smoke" / "receipt.json"
    register(project_root, params)
    first = path.read_bytes()
    register(project_root, params)
    assert path.read_bytes() == first


def test_a_receipt_whose_version_the_store_lacks_is_repaired(
    project_root: Path, params: Params
) -> None:
    entry = register(project_root, params)["versions"]["ispanet"]
    client = Store(project_root, params.register_).client
    client.delete_model_version("irstd", entry["version"])
    again = register(project_root, params)["versions"]["ispanet"]
    assert again["version"] != entry["version"]
    assert again["onnx_sha256"] == entry["onnx_sha256"]
    assert client.get_model_version("irstd", again["version"]).tags["network"] == "ispanet"
    assert receipt(project_root)["versions"]["ispanet"] == again


def test_a_store_that_is_away_is_said_and_leaves_the_receipt_as_it_was(
    project_root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = register(project_root, params)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9.*irstd register") as error:
        register(project_root, params)
    assert "secret" not in str(error.value)
    assert receipt(project_root) == before


def test_the_track_command_says_what_it_sent(
    project_root: Path, params: Params, caplog: pytest.LogCaptureFixture
) -> None:
    register(project_root, params)
    caplog.set_level(logging.INFO)
    assert track(project_root, params).events == 0
    assert "0 events of 0 runs sent to sqlite:///mlflow.db" in caplog.text


def test_what_is_missing_is_named_before_the_store_is_touched(
    project_root: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    layout = Layout(project_root, "smoke")
    metrics = layout.report("evaluate", "ispanet") / "metrics.json"
    whole = metrics.read_bytes()
    metrics.unlink()
    with pytest.raises(DataError, match="run `irstd evaluate ispanet` first"):
        register(project_root, params)
    metrics.write_text(json.dumps({"iou": 0.5, "fingerprint": "f" * 64}))
    with pytest.raises(DataError, match=r"lacks \['niou_target', .*'f1_target'\]"):
        register(project_root, params)
    metrics.write_bytes(whole)


@pytest.mark.parametrize(
    ("report", "origin", "command"),
    [
        ("evaluate/smoke/ispanet/metrics.json", "fingerprint", "evaluate"),
        ("train/smoke/ispanet/run.json", "fingerprint", "export"),
        ("export/smoke/ispanet/metrics.json", "onnx_sha256", "export"),
    ],
)
def test_a_report_about_another_training_is_refused(
    template: Path, params: Params, tmp_path: Path, report: str, origin: str, command: str
) -> None:
    for folder in ("artifacts", "reports"):
        shutil.copytree(template / folder, tmp_path / folder)
    path = tmp_path / "reports" / report
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {origin: "0" * 64}))
    with pytest.raises(DataError, match=f"{path}: .*'{'0' * 64}'.* run `irstd {command} ispanet`"):
        register(tmp_path, params)
    path.write_text(json.dumps({name: whole[name] for name in whole if name != origin}))
    with pytest.raises(DataError, match=rf"{path}: lacks \['{origin}'\]; run `irstd "):
        register(tmp_path, params)
    assert not (tmp_path / "mlflow.db").exists()


def test_one_imported_file_is_registered(
    project_root: Path, params: Params, tmp_path: Path
) -> None:
    path = tmp_path / "imported.onnx"
    write_onnx(path, params, {"origin": "published", "file": "best.pth", "sha256": "5" * 64})
    before = sorted((project_root / "reports").rglob("*"))
    receipt = register_file(project_root, params, path)
    assert sorted((project_root / "reports").rglob("*")) == before
    number = receipt["version"]["version"]
    version = Store(project_root, params.register_).client.get_model_version("irstd", number)
    assert version.tags == {
        "network": "ispanet",
        "profile": "smoke",
        "threshold": "0.5",
        "key": file_sha256(path),
        "origin": "imported",
        "source_file": "best.pth",
        "source_sha256": "5" * 64,
        "onnx_sha256": file_sha256(path),
    }
    assert register_file(project_root, params, path)["version"]["version"] == number
    with pytest.raises(ModelError, match="no such ONNX file"):
        register_file(project_root, params, tmp_path / "none.onnx")


def test_one_trained_file_keeps_its_origin(
    project_root: Path, params: Params, tmp_path: Path
) -> None:
    path = tmp_path / "trained.onnx"
    write_onnx(path, params, {"fingerprint": "a" * 64})
    number = register_file(project_root, params, path)["version"]["version"]
    version = Store(project_root, params.register_).client.get_model_version("irstd", number)
    assert version.tags == {
        "network": "ispanet",
        "profile": "smoke",
        "threshold": "0.5",
        "key": file_sha256(path),
        "origin": "trained",
        "fingerprint": "a" * 64,
        "data_checksum": "d" * 64,
        "onnx_sha256": file_sha256(path),
    }


def test_a_file_of_unknown_origin_is_refused(tmp_path: Path, params: Params) -> None:
    path = Layout(tmp_path, "smoke").onnx("ispanet")
    write_onnx(path, params, {})
    with pytest.raises(ModelError, match=r"without \['fingerprint'\]; run `irstd train ispanet`"):
        register(tmp_path, params)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a@b", "it's"])
def test_a_name_that_no_registry_takes_is_refused(name: str) -> None:
    values = {"model": name, "experiment": "irstd", "request_timeout_s": 1, "request_retries": 0}
    with pytest.raises(ValidationError, match="model"):
        RegisterParams.model_validate(values)
