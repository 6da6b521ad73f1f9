"""Weight files: safetensors whose metadata says how to rebuild the network and how to use it."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from irstd.errors import ModelError
from irstd.files import replaced
from irstd.inference.facts import STRICT, facts_from_json, facts_to_json
from irstd.inference.preprocess import Preprocessing
from irstd.models.network import Network
from irstd.models.registry import build_network

FACTS_KEY, FINGERPRINT = "irstd", "fingerprint"


@dataclass(frozen=True)
class ModelFacts:
    """What a weight or ONNX file says about itself.

    Attributes:
        network: model id, a key of `irstd.models.registry.NETWORKS`.
        arguments: keywords of the network's constructor.
        preprocessing: how an image becomes the network's input.
        threshold: probability above which a pixel is a target, in (0, 1).
        provenance: where the weights come from (profile, code commit, data checksum, ...).

    Raises:
        ModelError: the threshold is not inside (0, 1).
    """

    __pydantic_config__ = STRICT

    network: str
    arguments: dict[str, int | float | bool | str]
    preprocessing: Preprocessing
    threshold: float
    provenance: dict[str, str]

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ModelError(f"threshold must lie between 0 and 1, got {self.threshold}")

    def training_key(self, network: str, path: Path) -> str:
        """Fingerprint of the training that made the weights.

        Args:
            network: the network they are expected to be of.
            path: where they stand, for messages.

        Raises:
            ModelError: they are of another network, or do not say which training made them.
        """
        if self.network != network or FINGERPRINT not in self.provenance:
            raise ModelError(
                f"{path}: expected weights of {network} with the {FINGERPRINT} of their training, "
                f"got {self.network} with {sorted(self.provenance)}; run `irstd train {network}`"
            )
        return self.provenance[FINGERPRINT]

    def to_json(self) -> str:
        """The facts as text; equal facts give equal text."""
        return facts_to_json(self)

    @classmethod
    def from_json(cls, text: str, origin: str) -> "ModelFacts":
        """The facts from `to_json`.

        Args:
            text: what `to_json` returned.
            origin: the file, for messages.

        Raises:
            ModelError: a fact is missing, unknown, of another type or out of range.
        """
        return facts_from_json(cls, text, origin)


def save_model(path: Path, network: nn.Module, facts: ModelFacts) -> None:
    """Write weights and facts to one safetensors file, whole or not at all.

    Args:
        path: the file; its folder is made.
        network: what `build_network(facts.network, **facts.arguments)` makes, trained.
        facts: what is needed to rebuild and use it.
    """
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with replaced(path) as temporary:
        save_file(tensors, temporary, metadata={FACTS_KEY: facts.to_json()})


def load_model(path: Path) -> tuple[Network, ModelFacts]:
    """Rebuild a network from its weight file, on the CPU and in evaluation mode.

    Raises:
        ModelError: the file is missing, no safetensors file, without our facts, of an unknown
            network, or its tensors do not fit the network.
    """
    tensors, facts = _read(path)
    network = build_network(facts.network, **facts.arguments)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: its tensors do not fit {facts.network} with {facts.arguments}: {error}; "
            "the network's code has changed since: train again"
        ) from error
    return network.eval(), facts


def read_facts(path: Path) -> ModelFacts:
    """What a weight file says about itself.

    Raises:
        ModelError: the file is missing, no safetensors file, or without our facts.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Tensor], ModelFacts]:
    if not path.is_file():
        raise ModelError(f"{path}: no such weight file; `irstd train` writes it")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a whole safetensors file: {error}; train again") from error
    if FACTS_KEY not in metadata:
        raise ModelError(
            f"{path}: a safetensors file without the metadata key {FACTS_KEY!r}; "
            "only files written by `irstd train` say how to rebuild their network"
        )
    return tensors, ModelFacts.from_json(metadata[FACTS_KEY], str(path))
