"""A project with one evaluated network, written by the evaluation stage itself."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from irstd.config import Params, load_params
from irstd.data.sources import RawImage
from irstd.data.store import write_prepared
from irstd.layout import Layout
from tests.tiny_network import tiny_facts

ROOT = Path(__file__).parents[2]
TARGETS = {"a": (4, 4), "b": (20, 20), "c": None}


class FakeBackend:
    """Finds a target in the upper half only, and a false one in the image without targets."""

    device_name = "none"

    def __init__(self, network: object) -> None:
        """Nothing to keep."""

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        logits = np.where(batch > 150 / 255, 10.0, -10.0).astype(np.float32)
        logits[:, :, 16:] = -10.0
        for one, image in zip(logits, batch, strict=True):
            if image.max() < 150 / 255:
                one[:, 25:28, 3:6] = 2.0
        return logits


def raw_image(id: str, split: str) -> RawImage:
    rng = np.random.default_rng(ord(id))
    mask = np.zeros((64, 64), np.uint8)
    place = TARGETS.get(id)
    if place:
        mask[place[0] : place[0] + 3, place[1] : place[1] + 3] = 1
    image = rng.integers(40, 80, (64, 64)).astype(np.uint8) + 150 * mask
    return RawImage(id, split, image, mask, None, None, None, "")


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from irstd.stages import evaluate as stage

    root = tmp_path_factory.mktemp("evaluated")
    params: Params = load_params(ROOT / "profiles" / "demo.yaml")
    settings = params.evaluate.model_copy(
        update={
            "overlays": 0,
            "latency_runs": 1,
            "bootstrap": params.evaluate.bootstrap.model_copy(update={"samples": 100}),
        }
    )
    params = params.model_copy(update={"evaluate": settings})
    facts = replace(tiny_facts(), network="ispanet")
    images = [raw_image(id, "test") for id in TARGETS]
    images += [raw_image("d", "train"), raw_image("e", "val")]
    write_prepared(Layout(root, "demo").processed, images, "generated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "load_model", lambda path: (None, facts))
        patch.setattr(stage, "TorchBackend", FakeBackend)
        patch.setattr(stage, "track_run", MagicMock())
        stage.evaluate(root, params, "ispanet")
    return root


@pytest.fixture
def project(evaluated: Path, tmp_path: Path) -> Path:
    """A copy of the evaluated project, free to be damaged."""
    return Path(shutil.copytree(evaluated, tmp_path / "project"))


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Run the app on a project and go to a page."""

    def run(root: Path, page: str | None = None) -> AppTest:
        monkeypatch.setenv("IRSTD_ROOT", str(root))
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60).run()
        return app if page is None else app.switch_page(f"pages/{page}.py").run()

    return run
