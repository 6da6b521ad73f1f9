"""dvc.yaml: a stage depends on the code it runs, so that an edit runs it again."""

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from irstd.models import NETWORKS
from irstd.training import fingerprint

NETWORK = "ispanet"
ROOT = Path(__file__).parents[1]
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# What a stage imports and need not depend on, each with its reason.
EXEMPT = {
    "irstd.tracking": "logs what a stage did and changes none of its outputs",
    "irstd.config": "the values are params of the stage",
    "irstd.layout": "says where files stand, as the stage's outputs do",
    "irstd.files": "writes bytes that others made",
    "irstd.errors": "messages",
    "irstd.types": "names of fields",
    "irstd.models.registry": "a new network leaves the others as they are",
    "irstd.models.fusing": "used by export, which depends on it",
    "irstd.stages.outputs": "checks where a user may write",
    "irstd.stages.import_weights": "opens files of users",
    "irstd.models.published": "reads weights that others trained",
    "irstd.models.checkpoints": "read by published",
    "irstd.models.mxnet_params": "read by published",
    "irstd.models.pickles": "read by published",
    "irstd.models.torch_files": "read by published",
    **{
        f"irstd.models.{spec.name}": "the file of another network"
        for spec in NETWORKS.values()
        if spec.name != NETWORK and not spec.variant_of
    },
    "irstd.data.index": "its table is a dependency",
    "irstd.data.sources": "read by prepare, whose output is a dependency",
    "irstd.data.backgrounds": "scenes that prepare makes; others use its names of types",
    "irstd.data.generated": "read by prepare, whose output is a dependency",
    "irstd.stages.results": "reads reports",
}
BY_STAGE = {
    "train": {
        "irstd.metrics": "pinned by golden tests; a new figure retrains nothing",
        "irstd.inference": "only preprocess.py changes what a network sees",
    },
    "evaluate": {"irstd.training": "names the device"},
    "export": {"irstd.metrics": "labels components for predict"},
}


def imported(stage: str) -> set[str]:
    script = f"import irstd.stages.{stage}, sys; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name for name in done.stdout.split() if name.startswith("irstd.")}


def path_of(module: str) -> str:
    path = Path(*module.split("."))
    return f"{path}.py" if (ROOT / f"{path}.py").exists() else f"{path}/__init__.py"


@pytest.mark.parametrize("stage", ["prepare", "validate", "build", "train", "evaluate", "export"])
def test_a_stage_depends_on_the_modules_it_imports(stage):
    deps = [dep.replace("${item.network}", NETWORK) for dep in STAGES[stage]["deps"]]
    exempt = tuple(EXEMPT | BY_STAGE.get(stage, {}))
    missing = []
    for module in imported(stage):
        path = path_of(module)
        package = path.endswith("__init__.py") and path.count("/") <= 2
        covered = any(path == dep or path.startswith(f"{dep}/") for dep in deps)
        if not covered and not package and not module.startswith(exempt):
            missing.append(path)
    assert not missing


def test_the_fingerprint_and_dvc_agree_on_what_training_depends_on():
    deps = [dep.removeprefix("irstd/") for dep in STAGES["train"]["deps"] if "irstd/" in dep]
    hashed = {pattern.removesuffix("/*.py") for pattern in fingerprint.CODE}
    assert hashed | {"models/${item.network}.py", "stages/train.py"} == set(deps)


def test_stages_are_short_commands():
    for name, stage in STAGES.items():
        group = "data " if name == "build" else ""
        network = " ${item.network}" if "matrix" in stage else ""
        assert stage["cmd"] == f"irstd {group}{name}{network}"
