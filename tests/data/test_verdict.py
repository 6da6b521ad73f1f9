import os
import subprocess
import sys
from pathlib import Path

import pytest

from irstd.data.verdict import Outcome
from tests.validation_table import ROOT

SCRIPT = """
import os, socket

def refuse(*arguments):
    raise AssertionError(f"tried to reach {arguments}")

socket.socket.connect = socket.getaddrinfo = refuse
from tests.validation_table import LIMITS, clean_table
from irstd.data.verdict import judge
outcomes, result = judge(clean_table(), LIMITS)
print(all(outcome.success for outcome in outcomes), result["success"])
print(os.environ["GX_ANALYTICS_ENABLED"])
"""


def _outcome(**changes) -> Outcome:
    facts = {
        "key": "not_constant",
        "meaning": "no image is constant",
        "severity": "stop",
        "success": False,
        "observed": None,
        "n_unexpected": 2,
        "unexpected_rows": ({"id": "a", "std": 0.0}, {"id": "b"}),
    }
    return Outcome(**(facts | changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "violated by 2: a (std 0.0), b"),
        ({"n_unexpected": 9}, "violated by 9: a (std 0.0), b, and 7 more"),
        ({"n_unexpected": 0, "unexpected_rows": (), "observed": 0.2}, "observed 0.2"),
    ],
)
def test_outcome_in_words(changes: dict, text: str) -> None:
    assert str(_outcome(**changes)) == f"not_constant: no image is constant: {text}"


def test_judging_writes_nothing_and_reaches_nobody(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "GX_ANALYTICS_ENABLED"}
    environment |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.split("\n")[:2] == ["True True", "false"], run.stderr
    assert list(here.iterdir()) == []
    assert list(home.iterdir()) == []
    assert "Calculating Metrics" not in run.stderr
