"""The fingerprint changes with everything a training depends on, and with nothing else."""

import shutil
from pathlib import Path

import irstd
from irstd.config import FitParams
from irstd.config.synthesis import AddedTargetsParams
from irstd.training.fingerprint import training_fingerprint

ROOT = Path()
FIT = FitParams(method="native", height=64, width=64)
ADDED = AddedTargetsParams.model_validate(
    {
        "share": 0.5,
        "count": {"low": 1, "high": 2},
        "scr": {"low": 3.0, "high": 9.0},
        "targets": {"name": "pasted"},
    }
)


def test_each_input_counts(recipe):
    base = training_fingerprint("data", "ispanet", recipe, 1, FIT, ROOT)
    assert base == training_fingerprint("data", "ispanet", recipe, 1, FIT, ROOT)
    others = {
        training_fingerprint("other", "ispanet", recipe, 1, FIT, ROOT),
        training_fingerprint(
            "data", "ispanet", recipe.model_copy(update={"epochs": 99}), 1, FIT, ROOT
        ),
        training_fingerprint("data", "ispanet", recipe, 2, FIT, ROOT),
        training_fingerprint(
            "data", "ispanet", recipe, 1, FIT.model_copy(update={"method": "fill"}), ROOT
        ),
        training_fingerprint("data", "ispanet", recipe, 1, FIT, ROOT, ADDED),
        training_fingerprint(
            "data", "ispanet", recipe, 1, FIT, ROOT, ADDED.model_copy(update={"share": 1.0})
        ),
    }
    assert len(others | {base}) == 7


def test_code_counts_but_not_that_of_other_networks(recipe, tmp_path, monkeypatch):
    package = tmp_path / "irstd"
    shutil.copytree(Path(irstd.__file__).parent, package)
    monkeypatch.setattr(irstd, "__file__", str(package / "__init__.py"))
    base = training_fingerprint("data", "ispanet", recipe, 1, FIT, ROOT)
    (package / "models" / "other.py").write_text("# another network\n")
    (package / "evaluation" / "new.py").write_text("# a figure\n")
    assert training_fingerprint("data", "ispanet", recipe, 1, FIT, ROOT) == base
    with (package / "models" / "ispanet.py").open("a") as file:
        file.write("# changed\n")
    assert training_fingerprint("data", "ispanet", recipe, 1, FIT, ROOT) != base
