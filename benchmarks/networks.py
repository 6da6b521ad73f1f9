"""Time and memory of every network, in several ways to run it, against plain eager torch.

Each figure comes from a process of its own, so that networks share no memory; each row's baseline
is `eager` of the same network and size in the same run. Linux only: peaks of memory are read from
/proc. Run: python benchmarks/networks.py
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from resource import RLIMIT_DATA, setrlimit
from statistics import median
from typing import Literal

import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.lpnet_loop import looped
from irstd.errors import ModelError
from irstd.evaluation.summary import Table
from irstd.export.onnx import export_onnx, fixed_facts, has_free_size
from irstd.inference.backends import OnnxBackend, processor_name
from irstd.inference.preprocess import Preprocessing
from irstd.inference.weights import ModelFacts
from irstd.models import NETWORKS, NetworkSpec, build_network
from irstd.models.cost import comparison_size
from irstd.models.lpnet import CLAMP, LPNet
from irstd.models.spec import Size
from irstd.stages.publish import markers, update_readme
from irstd.types import Outputs

LARGE = (1024, 1280)
QUICK = (64, 64)
TRAINING_BATCH = 2
"""The smallest that batch norms behind a global pooling take."""
BUDGET_S, QUICK_BUDGET_S, MOST_RUNS = 2.0, 0.2, 20
"""A measurement is repeated, at least once, until this time or number of runs is reached."""
SETUP_S, FIRST_RUN_S, FIRST_STEP_S, COMPILE_S, EXPORT_S, REPEATS_S = 60, 30, 60, 120, 120, 120
"""Limits of the parts of a measurement; beyond them it is given up."""
TOTAL_S = 27 * 60
"""No measurement starts later than this."""
MEMORY_SHARE = 0.9
"""A measurement may allocate this share of the memory that is available when it starts."""
BLOCK = "networks"
MIB = 2**20


@dataclass(frozen=True)
class Mode:
    """A way to run a network.

    Attributes:
        name: in the table.
        fused: batch norms folded, see `Network.fuse`.
        channels_last: weights and input in that memory format.
        engine: what runs it.
    """

    name: str
    fused: bool = False
    channels_last: bool = False
    engine: Literal["torch", "onnx", "compile", "loop"] = "torch"


EAGER = Mode("eager")
CHANNELS_LAST = Mode("channels_last", channels_last=True)
COMPILED = Mode("fused, torch.compile", fused=True, engine="compile")
LOOP = Mode("published loop, eager", engine="loop")
MODES = (
    EAGER,
    Mode("fused", fused=True),
    CHANNELS_LAST,
    Mode("fused, channels_last", fused=True, channels_last=True),
    Mode("fused, ONNX Runtime", fused=True, engine="onnx"),
)


@dataclass(frozen=True)
class Task:
    """One measurement: forward passes of one image, or training steps of `TRAINING_BATCH`."""

    network: str
    size: Size
    mode: Mode
    training: bool = False

    def __str__(self) -> str:
        kind = "training step" if self.training else "forward"
        return f"{self.network}, {shape_text(NETWORKS[self.network], self.size)}, {self.mode.name}, {kind}"


@dataclass(frozen=True)
class Cost:
    """What one run costs.

    Attributes:
        seconds: median.
        memory: peak, in bytes, above what the process had before it built the network.
        first_s: seconds of the first run, which compiles and is not counted.
    """

    seconds: float
    memory: int
    first_s: float


@dataclass(frozen=True)
class Failure:
    """Why there is no figure: `short` for the cell, `reason` for the note below the table."""

    short: str
    reason: str


Results = Mapping[Task, Cost | Failure]


def sizes(spec: NetworkSpec, quick: bool) -> list[Size]:
    """Heights and widths to measure at: about 256 x 256, and 1024 x 1280 where it is legal."""
    if quick:
        return [spec.sizes.enclosing(*QUICK) or comparison_size(spec)]
    large = [LARGE] if spec.sizes.is_legal(*LARGE) else []
    return [comparison_size(spec), *large]


def plan(names: Sequence[str], quick: bool) -> list[Task]:
    """All measurements: first those at the smaller size, compilation last."""
    smaller: list[Task] = []
    larger: list[Task] = []
    compiled: list[Task] = []
    for name in names:
        first, *further = sizes(NETWORKS[name], quick)
        loop = [LOOP] if name == "lpnet" else []
        smaller += [Task(name, first, mode) for mode in (*MODES, *loop)]
        smaller += [Task(name, first, mode, training=True) for mode in (EAGER, CHANNELS_LAST, *loop)]
        for size in further:
            larger += [Task(name, size, mode) for mode in MODES]
            larger += [Task(name, size, EAGER, training=True)]
        compiled.append(Task(name, first, COMPILED))
    return smaller + larger + compiled


def shape_text(spec: NetworkSpec, size: Size) -> str:
    """One input in words: frames of a clip, channels, height, width."""
    return " x ".join(map(str, _shape(spec, size)))


def report(results: Results, conditions: str) -> str:
    """The results in Markdown: conditions, table, notes on what could not be measured."""
    parts = [conditions, results_table(results).markdown()]
    notes = [f"- {task}: {one.reason}" for task, one in results.items() if isinstance(one, Failure)]
    return "\n\n".join([*parts, "\n".join(notes)] if notes else parts)


def results_table(results: Results) -> Table:
    """A row per network, size and mode."""
    head = ("Network", "Input", "Mode", "Forward, ms", "MiB", "Training step, ms", "MiB")
    networks = list(dict.fromkeys((task.network, task.size) for task in results))
    networks.sort(key=lambda pair: list(NETWORKS).index(pair[0]))  # stable: sizes stay in order
    rows = []
    for name, size in networks:
        for mode in (*MODES, COMPILED, LOOP):
            tasks = [Task(name, size, mode, training) for training in (False, True)]
            if any(task in results for task in tasks):
                cells = [cell for task in tasks for cell in _cells(results, task)]
                rows.append((name, shape_text(NETWORKS[name], size), mode.name, *cells))
    return Table(head, tuple(rows))


def _cells(results: Results, task: Task) -> tuple[str, str]:
    """Time and memory, with ratios to eager."""
    cost = results.get(task)
    if cost is None:
        return "", ""
    if isinstance(cost, Failure):
        return cost.short, ""
    eager = results.get(Task(task.network, task.size, EAGER, task.training))
    base = eager if isinstance(eager, Cost) else None
    return (
        _with_ratio(1e3 * cost.seconds, 1e3 * base.seconds if base else 0),
        _with_ratio(cost.memory / MIB, base.memory / MIB if base else 0),
    )


def _with_ratio(value: float, baseline: float) -> str:
    digits = 0 if value >= 100 else 1
    return f"{value:.{digits}f}" + (f" ({value / baseline:.2f})" if baseline > 0 else "")


def _shape(spec: NetworkSpec, size: Size) -> tuple[int, ...]:
    clip = () if spec.frames == 1 else (spec.frames,)
    return (*clip, spec.in_channels, *size)


class PublishedLoop(nn.Module):
    """LPNet that takes patch by patch."""

    def __init__(self, network: LPNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """The map in [0, 1]."""
        return looped(self.network, image)[0]

    def outputs(self, image: Tensor) -> Outputs:
        """As `LPNet.outputs`; the map has no gradient."""
        scaled, patches, attention = looped(self.network, image)
        return Outputs(
            torch.logit(scaled, CLAMP), patches=torch.logit(patches, CLAMP), attention=attention
        )


def prepare(task: Task, onnx_file: Path) -> Callable[[], object]:
    """What is timed; it returns when the result is there."""
    spec, mode = NETWORKS[task.network], task.mode
    image = torch.randn(TRAINING_BATCH if task.training else 1, *_shape(spec, task.size))
    if mode.engine == "onnx":
        backend, batch = OnnxBackend(onnx_file.read_bytes(), task.network), image.numpy()
        return lambda: backend(batch)
    network: nn.Module = build_network(task.network)
    if mode.fused:
        network = network.fuse()
    if mode.engine == "loop":
        network = PublishedLoop(network)
    if mode.channels_last:
        image = _to_channels_last(network, image)
    if task.training:
        return _training_step(network.train(), image)
    network.eval()
    if mode.engine == "compile":
        network = torch.compile(network, dynamic=False)
    return lambda: _without_gradient(network, image)


def _without_gradient(network: nn.Module, image: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(image)


def _training_step(network: nn.Module, image: Tensor) -> Callable[[], None]:
    """Forward, sum of the mean cross-entropies of all maps of logits, backward, AdamW."""
    optimizer = torch.optim.AdamW(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        found = network.outputs(image)
        maps = [found.logits, *found.side, found.grid, found.patches]
        losses = [
            F.binary_cross_entropy_with_logits(one, torch.zeros_like(one))
            for one in maps
            if one is not None
        ]
        torch.stack(losses).sum().backward()
        optimizer.step()

    return step


def _to_channels_last(network: nn.Module, image: Tensor) -> Tensor:
    """Reorder the weights of 2-D convolutions in place; the image, or each frame, as a copy."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    frames = image.flatten(0, -4).contiguous(memory_format=torch.channels_last)
    return frames.unflatten(0, image.shape[:-3])


def measure(
    task: Task, threads: int, budget_s: float, onnx_file: Path, parent: Connection
) -> None:
    """Body of a process: a message when it is ready, one after the first run, then the cost."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _limit_memory()
    before = _kilobytes("self/status", "RssAnon")
    try:
        run = prepare(task, onnx_file)
        parent.send(None)
        first_s = _seconds(run)
        parent.send(None)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
        times: list[float] = []
        while not times or (sum(times) < budget_s and len(times) < MOST_RUNS):
            times.append(_seconds(run))
        # Code of libraries is resident, too, but nothing that a network costs.
        peak = _kilobytes("self/status", "VmHWM") - _kilobytes("self/status", "RssFile")
        parent.send(Cost(median(times), 1024 * (peak - before), first_s))
    except (RuntimeError, MemoryError, ModelError) as error:
        parent.send(_failure(error))


def export(name: str, size: Size, file: Path, parent: Connection) -> None:
    """Body of a process: write the ONNX form of the fused network."""
    spec = NETWORKS[name]
    facts = ModelFacts(name, {}, Preprocessing.of(spec, spec.in_channels), 0.5, {})
    try:
        model = export_onnx(build_network(name).fuse(), spec, fixed_facts(spec, facts, size))
        file.write_bytes(model.SerializeToString())
        parent.send(None)
    except (RuntimeError, MemoryError, ModelError) as error:
        parent.send(_failure(error))


def _failure(error: Exception) -> Failure:
    return Failure("failed", f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _limit_memory() -> None:
    """Let an allocation fail rather than the machine run out of memory."""
    limit = int(MEMORY_SHARE * 1024 * _kilobytes("meminfo", "MemAvailable"))
    setrlimit(RLIMIT_DATA, (limit, limit))


def _kilobytes(file: str, key: str) -> int:
    """A line of a table in /proc."""
    lines = (Path("/proc") / file).read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def supervise(
    body: Callable[..., None], arguments: tuple[object, ...], limits: Sequence[float]
) -> object:
    """Run a function in a process of its own.

    Args:
        body: takes the arguments and a connection, to which it sends one message per limit, or a
            `Failure` as its last.
        arguments: of the body.
        limits: seconds to wait for each message.

    Returns:
        The last message, or a `Failure`.
    """
    context = get_context("forkserver")  # the libraries are imported once
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=body, args=(*arguments, sender), daemon=True)
    child.start()
    sender.close()
    message: object = None
    try:
        for limit in limits:
            if not receiver.poll(limit):
                return Failure(f"> {limit:g} s", f"given up after {limit:g} s")
            message = receiver.recv()
            if isinstance(message, Failure):
                break
    except EOFError:
        child.join()
        return Failure("failed", f"its process ended with code {child.exitcode}")
    finally:
        child.kill()
        child.join()
        receiver.close()
    return message


class Run:
    """One run of the benchmark.

    Args:
        threads: of torch and ONNX Runtime.
        budget_s: time for the repeats of a measurement.
        folder: for ONNX files.
        clock: seconds.
    """

    def __init__(
        self,
        threads: int,
        budget_s: float,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.threads, self.budget_s, self.folder, self.clock = threads, budget_s, folder, clock
        self.exported: dict[Path, object] = {}

    def measure_all(self, tasks: Sequence[Task]) -> dict[Task, Cost | Failure]:
        """Measure; where eager fails, the other modes of that network and size are left out."""
        start = self.clock()
        results: dict[Task, Cost | Failure] = {}
        for task in tasks:
            if isinstance(results.get(Task(task.network, task.size, EAGER)), Failure):
                continue
            if self.clock() - start > TOTAL_S:
                reason = f"no time left after {TOTAL_S // 60} minutes; --network measures it alone"
                results[task] = Failure("no time", reason)
            else:
                results[task] = self.measure_one(task)
            print(f"{self.clock() - start:6.0f} s  {task}: {results[task]}", file=sys.stderr)
        return results

    def measure_one(self, task: Task) -> Cost | Failure:
        """Measure in a process of its own."""
        file = self._onnx_file(task)
        if task.mode.engine == "onnx":
            if file not in self.exported:
                self.exported[file] = supervise(export, (task.network, task.size, file), [EXPORT_S])
            failure = self.exported[file]
            if isinstance(failure, Failure):
                return Failure(failure.short, f"export: {failure.reason}")
        first = FIRST_STEP_S if task.training else FIRST_RUN_S
        limits = [SETUP_S, COMPILE_S if task.mode.engine == "compile" else first, REPEATS_S]
        arguments = (task, self.threads, self.budget_s, file)
        cost = supervise(measure, arguments, limits)
        assert isinstance(cost, Cost | Failure)
        return cost

    def _onnx_file(self, task: Task) -> Path:
        free = has_free_size(NETWORKS[task.network])
        size = "" if free else "_{}x{}".format(*task.size)
        return self.folder / f"{task.network}{size}.onnx"
