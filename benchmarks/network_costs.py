"""Time and memory of one way to run one network, each measured in a process of its own.

Linux only: peaks of memory are read from /proc.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from resource import RLIMIT_DATA, setrlimit
from statistics import median
from typing import Any, Literal

import torch
import torch._dynamo  # which optimizers import at their first step: it must not count as theirs
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.lpnet_loop import looped
from irstd.errors import ModelError
from irstd.export.onnx import export_onnx, fixed_facts
from irstd.inference.backends import OnnxBackend
from irstd.inference.preprocess import Preprocessing
from irstd.inference.weights import ModelFacts
from irstd.models import NETWORKS, NetworkSpec, build_network
from irstd.models.lpnet import CLAMP, LPNet
from irstd.models.spec import Size
from irstd.types import Outputs

MIB = 2**20
TRAINING_BATCH = 2
"""The smallest that batch norms behind a global pooling take."""
MOST_RUNS = 20
LONG_S = 5
"""A first run from this time on is the figure itself: warming up is little beside it."""
END_S = 10
"""A process that has sent its last message is stopped after this time."""
MEMORY_SHARE = 0.9
"""A process may allocate this share of the memory that is available when it starts."""


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


@dataclass(frozen=True)
class Task:
    """One measurement: forward passes of one input, or training steps of `TRAINING_BATCH`."""

    network: str
    size: Size
    mode: Mode
    training: bool = False

    def __str__(self) -> str:
        kind = "training step" if self.training else "forward"
        shape = shape_text(NETWORKS[self.network], self.size)
        return f"{self.network}, {shape}, {self.mode.name}, {kind}"


@dataclass(frozen=True)
class Cost:
    """What one run costs.

    Attributes:
        seconds: median.
        memory: peak, in bytes, above what the process had before it built the network.
        first_s: seconds of the first run, not counted unless it took `LONG_S`; it compiles.
    """

    seconds: float
    memory: int
    first_s: float

    def __str__(self) -> str:
        memory = f"{self.memory / MIB:.1f} MiB"
        return f"{1e3 * self.seconds:.1f} ms, {memory} (first run {self.first_s:.1f} s)"


@dataclass(frozen=True)
class Failure:
    """Why there is no figure.

    Attributes:
        short: for a cell of the table.
        reason: for a note below it.
    """

    short: str
    reason: str

    def __str__(self) -> str:
        return self.reason


class PublishedLoop(nn.Module):
    """LPNet, patch by patch as the authors run it."""

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


def input_shape(spec: NetworkSpec, size: Size) -> tuple[int, ...]:
    """Shape of one input: frames of a clip, channels, height, width."""
    clip = () if spec.frames == 1 else (spec.frames,)
    return (*clip, spec.in_channels, *size)


def shape_text(spec: NetworkSpec, size: Size) -> str:
    """`input_shape` in words."""
    return " x ".join(map(str, input_shape(spec, size)))


def prepare(task: Task, onnx_file: Path) -> Callable[[], object]:
    """What is timed: a call that returns when the result is there.

    Args:
        task: the measurement.
        onnx_file: what `export` wrote; read only by the engine `onnx`.
    """
    spec, mode = NETWORKS[task.network], task.mode
    shape = input_shape(spec, task.size)
    image = torch.randn(TRAINING_BATCH if task.training else 1, *shape)
    if mode.engine == "onnx":
        backend, batch = OnnxBackend(onnx_file.read_bytes(), task.network), image.numpy()
        return lambda: backend(batch)
    network: Any = build_network(task.network)
    if mode.fused:
        network = network.fuse()
    if mode.engine == "loop":
        network = PublishedLoop(network)
    if mode.channels_last:
        image = to_channels_last(network, image)
    if task.training:
        return _training_step(network.train(), image)
    network.eval()
    if mode.engine == "compile":
        network = torch.compile(network, dynamic=False)
    return lambda: _without_gradient(network, image)


def to_channels_last(network: nn.Module, image: Tensor) -> Tensor:
    """Reorder the weights of 2-D convolutions in place, and the image, or each frame, as a copy."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    frames = image.flatten(0, -4).contiguous(memory_format=torch.channels_last)
    return frames.view(image.shape)


def _without_gradient(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(image)


def _training_step(network: Any, image: Tensor) -> Callable[[], None]:
    """Forward, loss, backward, AdamW.

    The loss is the sum of the cross-entropies with an empty mask: of LPNet's patches alone, as its
    authors train it, else of every map of logits.
    """
    optimizer = torch.optim.AdamW(network.parameters())

    def step() -> None:
        optimizer.zero_grad()
        found: Outputs = network.outputs(image)
        maps = [found.logits, *found.side, *([] if found.grid is None else [found.grid])]
        losses = [
            F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
            for logits in (maps if found.patches is None else [found.patches])
        ]
        torch.autograd.backward(losses)
        optimizer.step()

    return step


def measure(task: Task, threads: int, budget_s: float, onnx_file: Path, parent: Connection) -> None:
    """Body of a process: sends None when set up, None after the first run, then the `Cost`.

    Args:
        task: the measurement.
        threads: of torch or ONNX Runtime.
        budget_s: time for repeats, of which there are at least one and at most `MOST_RUNS`.
        onnx_file: see `prepare`.
        parent: where to send.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _limit_memory()
    before = _bytes("self/status", "RssAnon")
    try:
        run = prepare(task, onnx_file)
        parent.send(None)
        _forget_peak()
        first_s = _seconds(run)
        parent.send(None)
        times = [first_s]
        if first_s < LONG_S or task.mode.engine == "compile":
            _forget_peak()
            times = [_seconds(run)]
            while sum(times) < budget_s and len(times) < MOST_RUNS:
                times.append(_seconds(run))
        # Without the code of libraries: it is resident, too, but nothing that a network costs.
        peak = _bytes("self/status", "VmHWM") - _bytes("self/status", "RssFile")
        parent.send(Cost(median(times), peak - before, first_s))
    except (RuntimeError, MemoryError, ModelError) as error:
        parent.send(_failure(error))


def export(name: str, size: Size, file: Path, parent: Connection) -> None:
    """Body of a process: writes the ONNX form of the fused network, then sends None.

    Args:
        name: model id.
        size: height and width of the file, where the network's are fixed.
        file: where it is written.
        parent: where to send.
    """
    spec = NETWORKS[name]
    facts = ModelFacts(name, {}, Preprocessing.of(spec, spec.in_channels), 0.5, {})
    try:
        network = build_network(name).fuse()
        model = export_onnx(network, spec, fixed_facts(spec, facts, size))
        file.write_bytes(model.SerializeToString())
        parent.send(None)
    except (RuntimeError, MemoryError, ModelError) as error:
        parent.send(_failure(error))


def supervise(
    body: Callable[..., None], arguments: tuple[object, ...], limits: Sequence[float]
) -> Any:
    """Run a function in a process of its own.

    Args:
        body: takes the arguments and a connection, to which it sends one message per limit, or a
            `Failure` as its last.
        arguments: of the body.
        limits: seconds to wait for each message.

    Returns:
        The last message, or a `Failure` where one did not come in time or the process died.
    """
    context = get_context("forkserver")  # which imports the libraries once for all processes
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
        child.join(END_S)
    except EOFError:
        child.join()
        return Failure("failed", f"its process ended with code {child.exitcode}")
    finally:
        child.kill()
        child.join()
        receiver.close()
    return message


def _failure(error: Exception) -> Failure:
    text = str(error).strip()
    return Failure("failed", f"{type(error).__name__}: {text.splitlines()[0] if text else ''}")


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _forget_peak() -> None:
    """Let the kernel count this process's `VmHWM` from now on."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _limit_memory() -> None:
    """Let an allocation fail rather than the machine run out of memory."""
    limit = int(MEMORY_SHARE * _bytes("meminfo", "MemAvailable"))
    setrlimit(RLIMIT_DATA, (limit, limit))


def _bytes(file: str, key: str) -> int:
    """An entry, in kB, of a table in /proc."""
    lines = (Path("/proc") / file).read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
