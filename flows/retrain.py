"""Retrain: every DVC stage as one Prefect task, in DVC's order, its log streamed.

    python flows/retrain.py                             once, now
    python flows/retrain.py --serve --cron "0 3 * * *"  every night at three, UTC, until stopped;
                                                        needs a running `prefect server start`
    prefect deploy --name nightly                       the same for a worker (prefect.yaml)

Which stages there are and what they depend on stands in `dvc.yaml` alone. A stage that did not
change is skipped by DVC, and a run that comes due while another is at work is cancelled.
"""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import IO, Annotated

import typer

from irstd.cli import TELEMETRY_OFF
from irstd.profiles import use_profile

os.environ |= TELEMETRY_OFF
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")

# Prefect reads the environment when it is imported.
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.settings import PREFECT_API_URL

DVC = [sys.executable, "-m", "dvc"]
SERVED = "served"
ONE_AT_A_TIME = ConcurrencyLimitConfig(
    limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
)
TAIL_LINES = 30
PROGRESS_INTERVAL_S = 10.0


class StageFailedError(RuntimeError):
    """A DVC command ended with an error; the message ends with the last lines of its log."""


@flow(name="retrain")
def retrain(root: Path = Path(), profile: str | None = None) -> list[str]:
    """Run the pipeline of a project, whatever changed.

    Args:
        root: the project's folder.
        profile: switch `params.yaml` to this profile first; None leaves it as it is.

    Returns:
        The stages, in the order in which they ran.
    """
    if profile is not None:
        use_profile(root, profile, discard_edits=False)
    stages = stage_order(root)
    get_run_logger().info("stages: %s", " -> ".join(stages))
    for stage in stages:
        run_stage(stage, root)
    return stages


@task(task_run_name="{stage}", cache_policy=NO_CACHE)
def run_stage(stage: str, root: Path) -> None:
    """Bring one stage up to date, and only that one.

    Raises:
        StageFailedError: the stage failed.
    """
    stream([*DVC, "repro", "--single-item", stage], root, get_run_logger().info)


def stage_order(root: Path) -> list[str]:
    """The stages of `dvc.yaml`, each after those it depends on.

    Raises:
        StageFailedError: DVC cannot read the project.
    """
    lines: list[str] = []
    stream([*DVC, "dag", "--dot"], root, lines.append)
    graph: dict[str, set[str]] = {}
    for line in lines:
        names = re.findall(r'"([^"]+)"', line)
        for name in names:
            graph.setdefault(name, set())
        if "->" in line:
            graph[names[1]].add(names[0])
    return [name for name in TopologicalSorter(graph).static_order() if not name.endswith(".dvc")]


def stream(command: list[str], root: Path, log: Callable[[str], object]) -> None:
    """Run a command and pass on each line of its output as it comes.

    Of a progress bar that redraws itself one state in ten seconds is passed on. If this process is
    interrupted, the command and its children are ended too.

    Raises:
        StageFailedError: the command ended with an error.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(
        command,
        cwd=root,
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            for line in _lines(process.stdout):
                tail.append(line)
                log(line)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if process.returncode != 0:
        raise StageFailedError(
            f"{' '.join(command[2:])} in {root.resolve()} ended with {process.returncode}; "
            "the last lines of its log:\n" + "\n".join(tail)
        )


def command_environment() -> dict[str, str]:
    """The environment of a DVC command: this interpreter's programs first, nothing reports home."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | TELEMETRY_OFF | {"PATH": programs, "PYTHONUNBUFFERED": "1"}


def _lines(output: IO[bytes] | None) -> Iterator[str]:
    if output is None:
        return
    shown = time.monotonic()
    for line in io.TextIOWrapper(output, encoding="utf-8", errors="replace", newline=""):
        if line.endswith("\n") or time.monotonic() - shown > PROGRESS_INTERVAL_S:
            shown = time.monotonic()
            if text := line.strip():
                yield text


def main(
    root: Annotated[Path, typer.Option(help="The project's folder.")] = Path(),
    profile: Annotated[
        str | None, typer.Option(help="Switch params.yaml to this profile first.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Wait and run on a schedule instead of once, now.")
    ] = False,
    cron: Annotated[str, typer.Option(help="When to run with --serve, in UTC.")] = "0 3 * * *",
) -> None:
    """Run the pipeline once, or on a schedule."""
    if serve:
        if not PREFECT_API_URL.value():
            raise typer.BadParameter(
                "a schedule needs a Prefect server, because the temporary one that a single run "
                "starts schedules nothing; run `prefect server start`, then `prefect config set "
                "PREFECT_API_URL=http://127.0.0.1:4200/api`, then this again",
                param_hint="--serve",
            )
        retrain.serve(
            name=SERVED,
            cron=cron,
            global_limit=ONE_AT_A_TIME,
            limit=1,
            parameters={"root": str(root.resolve()), "profile": profile},
        )
    else:
        retrain(root, profile)


if __name__ == "__main__":
    typer.run(main)
