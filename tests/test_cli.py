"""The command line: help, errors without a traceback, and what runs on a bare machine."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from irstd import cli
from irstd.errors import IrstdError

ROOT = Path(__file__).parents[1]
COMMANDS = [
    "prepare", "validate", "train", "evaluate", "compare", "export", "register",
    "track", "tune", "report", "predict", "profile", "data", "import-weights", "models",
]  # fmt: skip
ABSENT = [
    "dvc",
    "mlflow",
    "prefect",
    "great_expectations",
    "optuna",
    "streamlit",
    "imagehash",
    "skimage",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert result.output.strip()


def test_profile_lists_and_switches(project, monkeypatch):
    monkeypatch.chdir(project)
    listed = CliRunner().invoke(cli.app, ["profile"])
    assert "* smoke" in listed.output
    assert "  demo" in listed.output
    switched = CliRunner().invoke(cli.app, ["profile", "demo"])
    assert "params.yaml now holds profile demo" in switched.output


def test_a_profile_without_its_images_is_switched_to_with_a_warning(project, monkeypatch):
    monkeypatch.chdir(project)
    switched = CliRunner().invoke(cli.app, ["profile", "sirst-cpu"])
    assert switched.exit_code == 0
    assert "params.yaml now holds profile sirst-cpu" in switched.stdout
    assert "irstd data add sirst PATH" in switched.stderr
    (project / "data" / "raw" / "sirst").mkdir()
    CliRunner().invoke(cli.app, ["profile", "demo"])
    assert CliRunner().invoke(cli.app, ["profile", "sirst-cpu"]).stderr == ""


def irstd(root: Path, *arguments: str, blocked: bool = False) -> subprocess.CompletedProcess[str]:
    start = "import sys; from irstd.cli import main; "
    if blocked:
        start += f"sys.modules.update(dict.fromkeys({ABSENT})); "  # importing one now fails
    return subprocess.run(
        [sys.executable, "-c", start + f"sys.argv = ['irstd', *{list(arguments)}]; main()"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_an_error_is_one_message_and_no_traceback(tmp_path):
    done = irstd(tmp_path, "prepare")
    assert done.returncode == 1
    assert done.stderr.startswith("irstd: params.yaml: not found")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "evaluate: expected NETWORK, or a file"),
        (["evaluate", "--onnx", "a.onnx"], "-o for its results"),
        (["evaluate", "ispanet", "--onnx", "a.onnx"], "takes no options"),
        (["evaluate", "ispanet", "-o", "found"], "takes no options"),
        (["evaluate", "ispanet", "--overwrite"], "takes no options"),
        (["evaluate", "-o", "found"], "expected exactly one of --weights"),
        (["evaluate", "--weights", "a", "--onnx", "b", "-o", "found"], "expected exactly one of"),
        (["evaluate", "--weights", "a", "-o", "found"], "irstd prepare"),
        (["evaluate", "ispanet", "--convention", "all"], "takes no options"),
        (["evaluate", "ispanet", "--name", "theirs"], "takes no options"),
        (["evaluate", "ispanet", "--size", "256"], "takes no options"),
        (["evaluate", "--onnx", "a", "--split", "b", "-o", "found"], "--split b: expected --images"),
        (["evaluate", "--onnx", "a", "--images", "b", "-o", "found"], "--images with --masks"),
        (["evaluate", "--onnx", "a", "--convention", "b", "-o", "found"], "unknown convention 'b'"),
        (["export"], "expected NETWORK, or --weights FILE"),
        (["export", "--weights", "a"], "-o for its results"),
        (["export", "ispanet", "--height", "8"], "takes no options"),
        (["export", "--weights", "a", "-o", "b.onnx", "--height", "8"], "both --height and"),
        (["export", "--weights", "a", "-o", "b.onnx"], "a: no such weight file"),
        (["register", "--onnx", "a.onnx"], "no such ONNX file"),
        (["import-weights", "none", "a", "-o", "b.safetensors"], "unknown network 'none'"),
        (["import-weights", "acm", "a", "-o", "b.safetensors"], "a: no such weight file"),
    ],
)
def test_wrong_combinations_are_explained(project, monkeypatch, arguments, message):
    monkeypatch.chdir(project)
    result = CliRunner().invoke(cli.app, arguments)
    assert isinstance(result.exception, IrstdError)
    assert message in str(result.exception)


def test_the_part_of_a_file_reaches_the_import(monkeypatch):
    given = []
    monkeypatch.setattr(
        "irstd.stages.import_weights.import_weights", lambda *all: given.extend(all)
    )
    options = ["import-weights", "acm", "w.pth", "-o", "w.safetensors", "--part", "ema"]
    assert CliRunner().invoke(cli.app, options).exit_code == 0
    assert given[-1] == "ema"


@pytest.mark.slow
def test_a_bare_machine_trains_evaluates_exports_and_predicts(project):
    """None of DVC, MLflow, Prefect, Great Expectations, Optuna, Streamlit can be imported here."""
    for arguments in (
        ["prepare"],
        ["train", "ispanet"],
        ["evaluate", "ispanet"],
        ["export", "ispanet"],
    ):
        done = irstd(project, *arguments, blocked=True)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
    samples = project / "reports" / "prepare" / "smoke" / "samples.png"
    done = irstd(project, "predict", str(samples), "-o", "found", blocked=True)
    assert done.returncode == 0, done.stderr
    assert (project / "found" / "detections.csv").exists()
    journal = list((project / "artifacts" / "smoke" / "ispanet" / "tracking").glob("*.jsonl"))
    assert journal, "what could not be logged to MLflow is kept"


def test_importing_the_command_line_loads_nothing_heavy():
    script = """
        import sys
        import irstd.cli
        heavy = {"torch", "mlflow", "prefect", "optuna", "streamlit", "pandas"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
