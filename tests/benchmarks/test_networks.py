import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import networks
from benchmarks.network_costs import (
    Cost,
    Failure,
    Mode,
    PublishedLoop,
    Task,
    export,
    input_shape,
    prepare,
    supervise,
    to_channels_last,
)
from benchmarks.networks import (
    CHANNELS_LAST,
    COMPILED,
    EAGER,
    LARGE,
    LOOP,
    MODES,
    TOTAL_S,
    Run,
    plan,
    report,
    results_table,
    sizes,
)
from irstd.models import NETWORKS
from irstd.models.lpnet import LPNet
from tests.benchmarks.bodies import dies, sleeps, tells
from tests.golden import fill
from tests.models.filled import filled

ROOT = Path(__file__).parents[2]
SIDE = (256, 256)
FUSED = MODES[1]


def cost(seconds: float, mebibytes: float = 1) -> Cost:
    return Cost(seconds, int(mebibytes * 2**20), 0.0)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_are_legal(name: str, quick: bool) -> None:
    rule = NETWORKS[name].sizes
    assert all(rule.is_legal(*size) for size in sizes(NETWORKS[name], quick))


@pytest.mark.parametrize(
    ("name", "usual", "quick"),
    [
        ("ispanet", [SIDE, LARGE], (64, 64)),
        ("lpnet", [(250, 250)], (70, 70)),  # 1024 is no multiple of 10
        ("pqgnet", [SIDE], SIDE),
        ("mtunet", [SIDE], (64, 64)),  # too many tokens
        ("agpcnet", [SIDE, LARGE], (80, 80)),
    ],
)
def test_sizes(name: str, usual: list[tuple[int, int]], quick: tuple[int, int]) -> None:
    assert sizes(NETWORKS[name], quick=False) == usual
    assert sizes(NETWORKS[name], quick=True) == [quick]


def test_input_shapes() -> None:
    assert input_shape(NETWORKS["acm"], (16, 32)) == (1, 16, 32)
    assert input_shape(NETWORKS["sgmp_unet"], (32, 64)) == (6, 3, 32, 64)


def test_plan_has_the_baseline_first_and_compilation_last() -> None:
    tasks = plan(list(NETWORKS), quick=False)
    assert len(set(tasks)) == len(tasks)
    seen = set()
    for task in tasks:
        place = (task.network, task.size, task.training)
        assert (task.mode == EAGER) == (place not in seen)
        seen.add(place)
    compiled = [task for task in tasks if task.mode == COMPILED]
    assert tasks[-len(compiled) :] == compiled
    assert {task.network for task in compiled} == {
        name for name, spec in NETWORKS.items() if not spec.variant_of
    }
    small = [task.size != LARGE for task in tasks[: -len(compiled)]]
    assert small == sorted(small, reverse=True)


def test_what_is_trained_and_what_is_looped() -> None:
    tasks = plan(["acm", "lpnet"], quick=False)
    assert {task.mode for task in tasks if task.training} == {EAGER, CHANNELS_LAST, LOOP}
    assert {task.network for task in tasks if task.mode == LOOP} == {"lpnet"}
    quick = plan(["acm"], quick=True)
    assert {task.size for task in quick} == {(64, 64)}
    assert COMPILED not in {task.mode for task in quick}


def test_table_has_ratios_to_eager_of_the_same_size_and_pass() -> None:
    results = {
        Task("acm", SIDE, EAGER): cost(0.5, 100),
        Task("acm", SIDE, EAGER, training=True): cost(2.0, 300),
        Task("acm", SIDE, FUSED): cost(0.25, 50),
        Task("acm", SIDE, CHANNELS_LAST, training=True): cost(3.0, 600),
        Task("acm", LARGE, EAGER): cost(4.0, 1000),
        Task("acm", LARGE, FUSED): cost(2.0, 1000),
    }
    small, large = "1 x 256 x 256", "1 x 1024 x 1280"
    assert results_table(results).rows == (
        ("acm", small, "eager", "500 (1.00)", "100 (1.00)", "2000 (1.00)", "300 (1.00)"),
        ("acm", small, "fused", "250 (0.50)", "50.0 (0.50)", "", ""),
        ("acm", small, "channels_last", "", "", "3000 (1.50)", "600 (2.00)"),
        ("acm", large, "eager", "4000 (1.00)", "1000 (1.00)", "", ""),
        ("acm", large, "fused", "2000 (0.50)", "1000 (1.00)", "", ""),
    )


def test_table_without_a_baseline_has_no_ratios() -> None:
    late = Failure("> 60 s", "given up after 60 s")
    results: dict[Task, Cost | Failure] = {
        Task("rdian", SIDE, EAGER, training=True): late,
        Task("rdian", SIDE, CHANNELS_LAST, training=True): cost(1.0, 2),
    }
    first, second = results_table(results).rows
    assert first[2:] == ("eager", "", "", "> 60 s", "")
    assert second[2:] == ("channels_last", "", "", "1000", "2.0")


def test_table_keeps_the_order_of_the_registry() -> None:
    results = {Task(name, SIDE, EAGER): cost(1.0) for name in ("rdian", "acm", "ispanet")}
    assert [row[0] for row in results_table(results).rows] == ["ispanet", "acm", "rdian"]


def test_report_says_conditions_and_what_is_missing() -> None:
    failure = Failure("failed", "export: ModelError: no")
    text = report({Task("acm", SIDE, EAGER): cost(1.0), Task("acm", SIDE, FUSED): failure}, 3)
    assert f"threads: 3, torch {torch.__version__}, ONNX Runtime" in text
    assert "| acm | 1 x 256 x 256 | eager | 1000 (1.00) |" in text
    assert text.endswith("- acm, 1 x 256 x 256, fused, forward: export: ModelError: no")
    assert report({Task("acm", SIDE, EAGER): cost(1.0)}, 3).endswith("|")


class Told(Run):
    """Results without measuring; each takes a minute of the clock."""

    def __init__(self, answers: Callable[[Task], Cost | Failure]) -> None:
        super().__init__(1, 0.0, Path())
        self.answers, self.now = answers, 0.0

    def measure_one(self, task: Task) -> Cost | Failure:
        self.now += 60
        return self.answers(task)


def test_what_eager_cannot_do_is_not_tried_otherwise() -> None:
    late = Failure("> 30 s", "given up after 30 s")
    tasks = plan(["ispanet"], quick=False)
    run = Told(lambda task: late if task.size == LARGE else cost(1.0))
    results = run.measure_all(tasks)
    assert [task for task in results if task.size == LARGE] == [Task("ispanet", LARGE, EAGER)]
    assert all(task in results for task in tasks if task.size == SIDE)


def test_nothing_starts_after_the_time_is_over() -> None:
    run = Told(lambda _: cost(1.0))
    results = run.measure_all(plan(list(NETWORKS), quick=False), clock=lambda: run.now)
    assert run.now == TOTAL_S + 60
    last = list(results.values())[-1]
    assert isinstance(last, Failure)
    assert last.short == "no time"


def test_supervise_gives_the_last_message() -> None:
    assert supervise(tells, (None, 7), [60, 60]) == 7


def test_supervise_gives_up_and_sees_deaths() -> None:
    assert supervise(sleeps, (), [60, 0.5]) == Failure("> 0.5 s", "given up after 0.5 s")
    assert supervise(dies, (), [60, 60]) == Failure("failed", "its process ended with code 3")


@pytest.mark.slow
def test_what_a_network_refuses_is_told(tmp_path: Path) -> None:
    failure = supervise(export, ("pqgnet", (64, 64), tmp_path / "pqgnet.onnx"), [120])
    assert failure.short == "failed"
    assert failure.reason.startswith("ModelError: pqgnet: height and width must be 256 x 256, got")


def test_channels_last_reorders_weights_and_frames() -> None:
    network = torch.nn.Conv2d(2, 3, 3)
    clips = torch.randn(2, 4, 2, 5, 6)
    moved = to_channels_last(network, clips)
    assert torch.equal(moved, clips)
    assert moved.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    assert network.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_published_loop_gives_the_same_map() -> None:
    network = filled("lpnet")
    assert isinstance(network, LPNet)
    image = torch.from_numpy(fill.make_input((1, 1, 30, 40)))
    with torch.inference_mode():
        looped = PublishedLoop(network)(image)
        ours = network(image).sigmoid()
    assert torch.allclose(looped, ours, atol=1e-4)


@pytest.mark.parametrize("mode", [EAGER, LOOP], ids=lambda mode: mode.name)
def test_training_steps_run(mode: Mode) -> None:
    prepare(Task("lpnet", (30, 30), mode, training=True), Path())()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "--threads: expected at least 1, got 0"),
        (["--network", "unet"], "invalid choice: 'unet'"),
        (["--write", "missing.md"], "missing.md: expected a file with the lines <!-- networks:be"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_measured(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["networks.py", *arguments])
    with pytest.raises(SystemExit):
        networks.main()
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_measures_every_mode(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- networks:begin -->\nold\n<!-- networks:end -->\nafter\n")
    command = [sys.executable, str(ROOT / "benchmarks" / "networks.py"), "--quick"]
    command += ["--network", "acm", "--threads", "1", "--write", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    for mode in MODES:
        assert f"| acm | 1 x 64 x 64 | {mode.name} | " in done.stdout
    assert "failed" not in done.stdout
    assert page.read_text() == (
        f"before\n<!-- networks:begin -->\n{done.stdout.strip()}\n<!-- networks:end -->\nafter\n"
    )
