import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PIPELINE = """
stages:
  last: {cmd: "cat b@1.txt b@2.txt > last.txt", deps: [b@1.txt, b@2.txt], outs: [last.txt]}
  b:
    matrix: {n: [1, 2]}
    cmd: cp first.txt b@${item.n}.txt
    deps: [first.txt]
    outs: ["b@${item.n}.txt"]
  first:
    cmd: echo hello from the stage; cp raw.txt first.txt
    deps: [raw.txt]
    outs: [first.txt]
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A project of four small stages over a file that DVC tracks."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "raw.txt").write_text("raw")
    dvc = [sys.executable, "-m", "dvc"]
    commands = (["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "add", "-q", "raw.txt"])
    for command in commands:
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_stages_come_in_the_order_of_dvc_yaml(flow_module: ModuleType, pipeline: Path) -> None:
    order = flow_module.stage_order(pipeline)
    assert order[0] == "first"
    assert sorted(order[1:3]) == ["b@1", "b@2"]
    assert order[3:] == ["last"]


def test_a_project_that_dvc_cannot_read_is_named(flow_module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(flow_module.StageFailedError, match=r"dvc dag --dot in .* ended with 253"):
        flow_module.stage_order(tmp_path)


def test_lines_are_passed_on_as_they_come(flow_module: ModuleType, tmp_path: Path) -> None:
    times: list[tuple[str, float]] = []
    code = "import time; print('one'); time.sleep(1.5); print('two')"
    flow_module.stream(python(code), tmp_path, lambda line: times.append((line, time.monotonic())))
    assert [line for line, _ in times] == ["one", "two"]
    assert times[1][1] - times[0][1] > 1.0


def test_a_failed_command_shows_the_end_of_its_log(flow_module: ModuleType, tmp_path: Path) -> None:
    code = "import sys; [print(f'line {i}') for i in range(100)]; sys.exit('the reason')"
    with pytest.raises(flow_module.StageFailedError, match="ended with 1") as error:
        flow_module.stream(python(code), tmp_path, lambda line: None)
    lines = str(error.value).splitlines()
    assert lines[-1] == "the reason"
    assert "line 99" in lines
    assert "line 50" not in lines


def test_of_a_progress_bar_the_last_state_is_kept(flow_module: ModuleType, tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import sys; sys.stdout.write(''.join(f'\\r{i} %' for i in range(101)) + '\\nend\\n')"
    flow_module.stream(python(code), tmp_path, lines.append)
    assert lines == ["100 %", "end"]


def test_an_interruption_ends_the_command_and_its_children(
    flow_module: ModuleType, tmp_path: Path
) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid); time.sleep(60)"
    )
    children: list[int] = []

    def interrupt(line: str) -> None:
        children.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flow_module.stream(python(code), tmp_path, interrupt)
    deadline = time.monotonic() + 10
    while _alive(children[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(children[0])


def test_a_stage_finds_the_programs_of_this_environment(flow_module: ModuleType) -> None:
    environment = flow_module.command_environment()
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert environment["DVC_NO_ANALYTICS"] == "1"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_prefect_yaml_says_the_same_as_serve(flow_module: ModuleType) -> None:
    (deployment,) = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text())["deployments"]
    served = flow_module.retrain.to_deployment(
        name=flow_module.SERVED,
        cron="0 3 * * *",
        concurrency_limit=flow_module.ONE_AT_A_TIME,
    )
    path, _, name = deployment["entrypoint"].partition(":")
    assert (ROOT / path).is_file()
    assert name == served.flow_name == "retrain"
    assert deployment["schedules"][0]["cron"] == served.schedules[0].schedule.cron
    assert deployment["concurrency_limit"]["limit"] == served.concurrency_limit == 1
    assert deployment["concurrency_limit"]["collision_strategy"] == "CANCEL_NEW"
    assert set(deployment["parameters"]) == {"root", "profile"}


def test_a_schedule_without_a_server_is_refused(flow_module: ModuleType, tmp_path: Path) -> None:
    environment = os.environ | {"PREFECT_API_URL": "", "COLUMNS": "400"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "flows" / "retrain.py"), "--serve"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "prefect server start" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_each_stage_is_one_task_with_its_log(flow_module: ModuleType, pipeline: Path) -> None:
    state = flow_module.retrain(pipeline, return_state=True)
    assert state.is_completed()
    assert (pipeline / "last.txt").read_text() == "rawraw"
    tasks = _task_runs(state)
    assert [run.name for run in tasks] == state.result()
    assert all(run.state.is_completed() for run in tasks)
    assert "hello from the stage" in _log(state, "hello from the stage")


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_failed_stage_ends_the_flow(flow_module: ModuleType, pipeline: Path) -> None:
    text = (pipeline / "dvc.yaml").read_text().replace("cp first.txt", "false")
    (pipeline / "dvc.yaml").write_text(text)
    state = flow_module.retrain(pipeline, return_state=True)
    assert state.is_failed()
    with pytest.raises(flow_module.StageFailedError, match=r"repro --single-item b@[12]"):
        state.result()
    assert not (pipeline / "last.txt").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_a_schedule_creates_runs(flow_module: ModuleType) -> None:
    from prefect import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    deployment = flow_module.retrain.to_deployment(
        name="test",
        cron="0 3 * * *",
        concurrency_limit=flow_module.ONE_AT_A_TIME,
    )
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.apply()]))
    with get_client(sync_client=True) as client:
        deadline = time.monotonic() + 60
        runs = []
        while not runs and time.monotonic() < deadline:
            time.sleep(0.5)
            runs = client.read_flow_runs(deployment_filter=chosen)
    assert runs
    assert {(run.expected_start_time.hour, run.expected_start_time.minute) for run in runs} == {
        (3, 0)
    }


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_the_flow_runs_the_smoke_profile_from_images_to_a_registered_model(
    flow_module: ModuleType, project: Path
) -> None:
    ran = flow_module.retrain(project)
    stages = [stage for stage in ran if stage != "build"]
    networks = ("ispanet", "acm")
    assert (stages[:2], stages[-1]) == (["prepare", "validate"], "register")
    assert sorted(stages[2:-1]) == sorted(
        f"{stage}@{network}" for stage in ("train", "evaluate", "export") for network in networks
    )
    for network in networks:
        trained = stages.index(f"train@{network}")
        assert all(trained < stages.index(f"{stage}@{network}") for stage in ("evaluate", "export"))
    receipt = json.loads((project / "reports/register/smoke/receipt.json").read_text())
    assert receipt["store"] == "sqlite:///mlflow.db"
    versions = {receipt["versions"][network]["version"] for network in networks}
    assert versions == {"1", "2"}
    assert (project / "artifacts/smoke/ispanet/ispanet.onnx").is_file()
    assert flow_module.retrain(project) == ran
    again = json.loads((project / "reports/register/smoke/receipt.json").read_text())
    assert again == receipt
    _check_dvc(project)


def _check_dvc(project: Path) -> None:
    """What DVC says of a finished project, and what a changed parameter makes it run again."""

    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
        return done.stdout

    assert "Data and pipelines are up to date" in dvc("status")
    metrics = json.loads(dvc("metrics", "show", "--json"))[""]["data"]
    figures = metrics["reports/evaluate/smoke/ispanet/metrics.json"]["data"]
    assert {"f1_target", "baseline_f1_target", "iou"} <= set(figures)
    dvc("plots", "show")
    page = (project / "dvc_plots" / "index.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.https?:", page)
    params = project / "params.yaml"
    before = params.read_text()
    for old, new, expected in (
        ("overlays: 2", "overlays: 3", {"evaluate@ispanet", "evaluate@acm"}),
        ("      epochs: 1\n", "      epochs: 2\n", {"train@ispanet"}),
        ("mask_margin: 0.001", "mask_margin: 0.002", {"export@ispanet", "export@acm"}),
    ):
        assert old in before
        params.write_text(before.replace(old, new, 1))
        assert set(json.loads(dvc("status", "--json"))) == expected
    params.write_text(before)


def _alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _task_runs(state: Any) -> list[Any]:
    """The tasks of a flow run, in the order in which they started."""
    from prefect import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    flow = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=flow)
    return sorted(runs, key=lambda run: run.start_time)


def _log(state: Any, expected: str) -> str:
    """The log of a flow run at the server, once it holds a text or after half a minute."""
    from prefect import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    text, deadline = "", time.monotonic() + 30
    with get_client(sync_client=True) as client:
        while expected not in text and time.monotonic() < deadline:
            time.sleep(0.5)
            text = "\n".join(entry.message for entry in client.read_logs(wanted))
    return text
