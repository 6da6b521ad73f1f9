"""The parameters of the demo profile as a tree that a test may damage."""

from pathlib import Path

import pytest

from irstd.config import read_yaml


@pytest.fixture
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture
def tree(root: Path) -> dict:
    return read_yaml(root / "profiles" / "demo.yaml")
