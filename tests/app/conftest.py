"""A project with one evaluated network, written by the evaluation stage itself."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from irstd.config import Params, load_params
from irstd.data.sources import RawImage
from irstd.data.store import write_prepared
from irstd.layout import Layout

ROOT = Path(__file__).parents[2]
TARGETS = {"a": (4, 4), "b": (20, 20), "c": None}


class FakePredictor:
    """Finds a target in the upper half only, and a false one in the image without targets."""

    facts = SimpleNamespace(network="ispanet", provenance={"fingerprint": "0"})
    device_name = "none"

    @classmethod
    def from_weights(cls, path: Path) -> "FakePredictor":
        return cls()

    def predict(self, image: np.ndarray, threshold: float | None = None) -> Any:
        probability = np.zeros(image.shape, np.float32)
        probability[:16] = image[:16] > 150
        if image.max() < 150:
            probability[25:28, 3:6] = 0.9
        return SimpleNamespace(probability=probability)


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
    images = [raw_image(id, "test") for id in TARGETS]
    images += [raw_image("d", "train"), raw_image("e", "val")]
    write_prepared(Layout(root, "demo").processed, images, "generated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "Predictor", FakePredictor)
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
