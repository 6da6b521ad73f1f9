"""Fixtures of all tests: the real images where they are, a project in a temporary folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads on two loaded cores wait for each other
for name, value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ[name] = value
os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real images, beside the project."""
    folder = ROOT.parent / "shared"
    if not (folder / "data" / "sirst").is_dir():
        pytest.skip("needs the real SIRST images in ../shared/data/sirst")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with the `smoke` profile, under git and DVC, without any output."""
    from irstd.config.splits import MADE
    from irstd.profiles import use_profile

    root = tmp_path / "project"
    root.mkdir()
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "profiles", root / "profiles")
    for source in MADE:
        shutil.copytree(ROOT / "data" / "raw" / source, root / "data" / "raw" / source)
    (root / "irstd").symlink_to(ROOT / "irstd", target_is_directory=True)
    use_profile(root, "smoke", discard_edits=True)
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc" / "config")
    shutil.copytree(ROOT / ".dvc" / "plots", root / ".dvc" / "plots")
    return root
