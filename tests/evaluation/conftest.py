"""The four scenes and what the tiny network does on them."""

from pathlib import Path

import numpy as np
import pytest

from irstd.data.store import PreparedData
from irstd.evaluation.evaluate import Evaluation, evaluate_images
from irstd.inference.backends import TorchBackend
from irstd.inference.predictor import Predictor
from tests.scenes import prepared
from tests.tiny_network import tiny_facts, tiny_network


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepared(Path(tmp_path_factory.mktemp("scenes")))


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    return Predictor(TorchBackend(tiny_network(), "cpu"), tiny_facts())


@pytest.fixture(scope="session")
def kept() -> dict[str, np.ndarray]:
    """Probability maps that the evaluation passed on, by id."""
    return {}


@pytest.fixture(scope="session")
def found(data: PreparedData, predictor: Predictor, kept: dict[str, np.ndarray]) -> Evaluation:
    rows = data.rows("test").tolist()
    return evaluate_images(predictor, data, rows, 0.5, 2.0, kept.__setitem__)
