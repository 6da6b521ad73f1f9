"""Time and memory of every network, in several ways to run it, against plain eager torch.

The baseline of each row is the row `eager` of the same network and size, measured in the same run;
how one figure is measured: `benchmarks/network_costs.py`.
Run: python benchmarks/networks.py
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import set_forkserver_preload
from pathlib import Path

import onnxruntime
import torch

from benchmarks.network_costs import (
    MIB,
    TRAINING_BATCH,
    Cost,
    Failure,
    Mode,
    Task,
    export,
    measure,
    shape_text,
    supervise,
)
from irstd.evaluation.summary import Table
from irstd.export.onnx import has_free_size
from irstd.inference.backends import processor_name
from irstd.models import NETWORKS, NetworkSpec
from irstd.models.cost import comparison_size
from irstd.models.spec import Size
from irstd.stages.publish import markers, update_readme

LARGE, QUICK = (1024, 1280), (64, 64)
BUDGET_S, QUICK_BUDGET_S = 2.0, 0.2
"""Time for the repeats of one measurement."""
SETUP_S, FORWARD_S, STEP_S, COMPILE_S, EXPORT_S, REPEATS_S = 60, 30, 60, 90, 120, 120
"""What takes longer is given up: a set-up, the first forward pass or training step, compilation,
export, all repeats."""
TOTAL_S = 27 * 60
"""No measurement starts later than this."""
BLOCK = "networks"

EAGER = Mode("eager")
CHANNELS_LAST = Mode("channels_last", channels_last=True)
COMPILED = Mode("fused, torch.compile", fused=True, engine="compile")
LOOP = Mode("eager, published loop", engine="loop")
MODES = (
    EAGER,
    Mode("fused", fused=True),
    CHANNELS_LAST,
    Mode("fused, channels_last", fused=True, channels_last=True),
    Mode("fused, ONNX Runtime", fused=True, engine="onnx"),
)

Results = Mapping[Task, Cost | Failure]


def sizes(spec: NetworkSpec, quick: bool) -> list[Size]:
    """Heights and widths to measure at: about 256 x 256, and 1024 x 1280 where it is legal.

    Args:
        spec: facts of the network.
        quick: one size only, the smallest legal one that holds 64 x 64.
    """
    if quick:
        return [spec.sizes.enclosing(*QUICK) or comparison_size(spec)]
    return [comparison_size(spec), *([LARGE] if spec.sizes.is_legal(*LARGE) else [])]


def plan(names: Sequence[str], quick: bool) -> list[Task]:
    """All measurements: smaller size, larger size, compilation (not of variants).

    Args:
        names: of networks.
        quick: one small size, no compilation.
    """
    smaller: list[Task] = []
    larger: list[Task] = []
    compiled: list[Task] = []
    for name in names:
        size, *further = sizes(NETWORKS[name], quick)
        loop = [LOOP] if name == "lpnet" else []
        smaller += [Task(name, size, mode) for mode in (*MODES, *loop)]
        smaller += [Task(name, size, mode, training=True) for mode in (EAGER, CHANNELS_LAST, *loop)]
        for large in further:
            larger += [Task(name, large, mode) for mode in MODES]
            larger += [Task(name, large, EAGER, training=True)]
        if not (quick or NETWORKS[name].variant_of):
            compiled += [Task(name, size, COMPILED)]
    return smaller + larger + compiled


class Run:
    """One run of the benchmark.

    Args:
        threads: of torch and ONNX Runtime.
        budget_s: time for the repeats of one measurement.
        folder: for ONNX files.
    """

    def __init__(self, threads: int, budget_s: float, folder: Path) -> None:
        self.threads, self.budget_s, self.folder = threads, budget_s, folder
        self._exported: dict[Path, Failure | None] = {}

    def measure_all(
        self, tasks: Sequence[Task], clock: Callable[[], float] = time.monotonic
    ) -> dict[Task, Cost | Failure]:
        """Measure in this order; what a network's eager form can't do at a size is left out.

        Args:
            tasks: the measurements, eager before others.
            clock: seconds.
        """
        start = clock()
        results: dict[Task, Cost | Failure] = {}
        for task in tasks:
            if isinstance(results.get(Task(task.network, task.size, EAGER)), Failure):
                continue
            if clock() - start > TOTAL_S:
                reason = f"{TOTAL_S // 60} minutes were over; --network measures it alone"
                results[task] = Failure("no time", reason)
            else:
                results[task] = self.measure_one(task)
            print(f"{clock() - start:5.0f} s  {task}: {results[task]}", file=sys.stderr)
        return results

    def measure_one(self, task: Task) -> Cost | Failure:
        """Measure in a process of its own; an ONNX form is exported before, in another."""
        spec, mode = NETWORKS[task.network], task.mode
        size = () if has_free_size(spec) else map(str, task.size)
        file = self.folder / ("_".join((task.network, *size)) + ".onnx")
        if mode.engine == "onnx":
            if file not in self._exported:
                export_of = (task.network, task.size, file)
                self._exported[file] = supervise(export, export_of, [EXPORT_S])
            failure = self._exported[file]
            if failure is not None:
                return Failure(failure.short, f"export: {failure.reason}")
        first_s = STEP_S if task.training else FORWARD_S
        if mode.engine == "compile":
            first_s = COMPILE_S
        arguments = (task, self.threads, self.budget_s, file)
        cost: Cost | Failure = supervise(measure, arguments, (SETUP_S, first_s, REPEATS_S))
        return cost


def results_table(results: Results) -> Table:
    """A row per network, size and mode; time and memory with their ratios to eager."""
    head = ("Network", "Input", "Mode", "Forward, ms", "MiB", "Training step, ms", "MiB")
    places = dict.fromkeys((task.network, task.size) for task in results)
    rows = []
    for name, size in sorted(places, key=lambda place: (list(NETWORKS).index(place[0]), place[1])):
        for mode in (*MODES, COMPILED, LOOP):
            tasks = [Task(name, size, mode, training) for training in (False, True)]
            if any(task in results for task in tasks):
                cells = [cell for task in tasks for cell in _cells(results, task)]
                rows.append((name, shape_text(NETWORKS[name], size), mode.name, *cells))
    return Table(head, tuple(rows))


def _cells(results: Results, task: Task) -> tuple[str, str]:
    cost = results.get(task)
    eager = results.get(Task(task.network, task.size, EAGER, task.training))
    if cost is None:
        return "", ""
    if isinstance(cost, Failure):
        return cost.short, ""
    baseline = (eager.seconds, eager.memory) if isinstance(eager, Cost) else (0, 0)
    return (
        _with_ratio(1e3 * cost.seconds, 1e3 * baseline[0]),
        _with_ratio(cost.memory / MIB, baseline[1] / MIB),
    )


def _with_ratio(value: float, baseline: float) -> str:
    text = f"{value:.{0 if value >= 100 else 1}f}"
    return f"{text} ({value / baseline:.2f})" if baseline > 0 else text


def report(results: Results, threads: int) -> str:
    """Conditions, table, and why figures are missing, in Markdown."""
    conditions = (
        f"`python benchmarks/networks.py` on {processor_name()}, threads: {threads}, torch "
        f"{torch.__version__}, ONNX Runtime {onnxruntime.__version__}. In brackets the ratio to "
        "eager: less is better. Forward: one input, without gradients. Training step: a batch of "
        f"{TRAINING_BATCH}, forward, backward and AdamW. Medians after a warm-up. MiB: peak memory "
        "of a process that does nothing else, above what it had before it built the network; with "
        "torch.compile the compiler's, too."
    )
    reasons = [
        f"- {task}: {cost.reason}" for task, cost in results.items() if isinstance(cost, Failure)
    ]
    parts = (conditions, results_table(results).markdown(), "\n".join(reasons))
    return "\n\n".join(part for part in parts if part)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--network", action="append", choices=list(NETWORKS), help="repeatable; default: all"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="one small size, no compilation")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"also put it between {markers(BLOCK)} of FILE"
    )
    arguments = parser.parse_args()
    if arguments.threads < 1:
        parser.error(f"--threads: expected at least 1, got {arguments.threads}")
    file = arguments.write
    if file and not (file.is_file() and all(m in file.read_text("utf-8") for m in markers(BLOCK))):
        parser.error(
            f"--write: {file}: expected a file with the lines {' and '.join(markers(BLOCK))}"
        )
    return arguments


def main() -> None:
    """Print the table; progress goes to stderr."""
    arguments = _arguments()
    names = list(dict.fromkeys(arguments.network or NETWORKS))
    set_forkserver_preload(["benchmarks.networks"])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # nothing compiled earlier counts
        run = Run(arguments.threads, QUICK_BUDGET_S if arguments.quick else BUDGET_S, Path(folder))
        text = report(run.measure_all(plan(names, arguments.quick)), arguments.threads)
    print(text)
    if arguments.write:
        update_readme(arguments.write, {BLOCK: text})


if __name__ == "__main__":
    main()
