"""A project folder with an empty experiment store, and a small ONNX file."""

import logging
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from irstd.config import Params, load_params
from irstd.inference.weights import FACTS_KEY
from irstd.profiles import use_profile
from irstd.tracking.store import Store
from tests.tiny_network import tiny_facts

ROOT = Path(__file__).parents[2]


def smoke_params(root: Path) -> Params:
    """The `smoke` profile with a short wait for a server."""
    shutil.copytree(ROOT / "profiles", root / "profiles", dirs_exist_ok=True)
    use_profile(root, "smoke", discard_edits=True)
    params = load_params(root / "params.yaml")
    hurried = params.register_.model_copy(update={"request_timeout_s": 1, "request_retries": 0})
    return params.model_copy(update={"register_": hurried})


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store with its tables; making them takes seconds, copying them does not."""
    root = tmp_path_factory.mktemp("store")
    store = Store(root, smoke_params(root).register_)
    with store.reaching():
        store.client.get_experiment_by_name("none")
    return root / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder; `MLFLOW_TRACKING_URI` isn't set."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def params(root: Path) -> Params:
    return smoke_params(root)


@pytest.fixture
def store(root: Path, params: Params) -> Store:
    return Store(root, params.register_)


@pytest.fixture
def away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer; with credentials that must not show up anywhere."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    logging.getLogger("urllib3").setLevel(logging.ERROR)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """Logits = -image, with free batch, height and width."""
    shape = ["n", 1, "h", "w"]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        [helper.make_node("Neg", ["image"], ["logits"])], "g", [image], [logits]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key=FACTS_KEY, value=tiny_facts().to_json())
    path = tmp_path / "ispanet.onnx"
    onnx.save(model, path)
    return path
