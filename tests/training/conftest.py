"""A small prepared data set and a recipe that trains in seconds."""

from pathlib import Path

import numpy as np
import pytest

from irstd.config import FitParams, RecipeParams, load_params
from irstd.data.sources import RawImage
from irstd.data.store import PreparedData, write_prepared

ROOT = Path(__file__).parents[2]
NATIVE = FitParams(method="native", height=64, width=64)


@pytest.fixture
def recipe() -> RecipeParams:
    base = load_params(ROOT / "profiles" / "demo.yaml").train.recipes["ispanet"]
    changed = {
        "epochs": 3,
        "batch_size": 4,
        "schedule": base.schedule.model_copy(update={"warmup_epochs": 0}),
        "crop": base.crop.model_copy(update={"height": 32, "width": 32}),
    }
    return base.model_copy(update=changed)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """Ten dark noisy images, 8 and 16 bit, with one bright square of 3 x 3 pixels each."""
    folder = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(5)

    def images():
        for number in range(10):
            dtype = np.uint8 if number % 2 else np.uint16
            full = np.iinfo(dtype).max
            image = rng.uniform(0.1, 0.3, (40, 56))
            mask = np.zeros((40, 56), np.uint8)
            row, col = rng.integers(2, 34), rng.integers(2, 50)
            mask[row : row + 3, col : col + 3] = 1
            image[mask > 0] += 0.6
            split = "train" if number < 6 else "val" if number < 8 else "test"
            pixels = np.round(image * full).astype(dtype)
            yield RawImage(f"img_{number}", split, pixels, mask, None, None, None, "")

    write_prepared(folder, images(), "test")
    return PreparedData(folder)
