"""`irstd models`: the networks there are, and what each costs."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

INITIAL = re.compile(r"[A-Z]\.")
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
COUNTED = (
    "MACs: multiply-accumulates of one image or clip of the size given: convolutions, linear "
    "layers and the matrix products of attention."
)


@dataclass(frozen=True)
class NetworkRow:
    """One network, in its published configuration.

    Attributes:
        name: model id.
        variant_of: the network that it is a variant of; empty for a network of its own.
        parameters: trainable numbers.
        macs: multiply-accumulates, see `COUNTED`.
        height: of the image or frame that `macs` are counted for, in pixels.
        width: of that image, in pixels.
        channels: of an image; a single channel is always accepted.
        frames: of a clip; 1 for a network of single images.
        sizes: legal heights and widths, in words.
        fit: how inference brings an image to a legal size.
        paper: full citation.
    """

    name: str
    variant_of: str
    parameters: int
    macs: int
    height: int
    width: int
    channels: int
    frames: int
    sizes: str
    fit: str
    paper: str

    @property
    def short_paper(self) -> str:
        """First author, or the title's first words where no author is named, and year."""
        first = re.split(r",| et al\b|:", self.paper, maxsplit=1)[0]
        who = f"{first} et al." if INITIAL.match(first) else first
        years = YEAR.findall(self.paper.partition("DOI")[0])
        return " ".join([who, *years[-1:]])


def list_networks() -> list[NetworkRow]:
    """A row per network of the registry, in its order."""
    from irstd.models import NETWORKS, build_network
    from irstd.models.cost import comparison_size, count_macs, count_parameters

    rows = []
    for name, spec in NETWORKS.items():
        network = build_network(name)
        height, width = comparison_size(spec)
        rows.append(
            NetworkRow(
                name=name,
                variant_of=spec.variant_of,
                parameters=count_parameters(network),
                macs=count_macs(network, (height, width)),
                height=height,
                width=width,
                channels=spec.in_channels,
                frames=spec.frames,
                sizes=str(spec.sizes),
                fit=spec.fit,
                paper=spec.paper,
            )
        )
    return rows


def as_text(rows: Sequence[NetworkRow], *, as_json: bool) -> str:
    """The rows as a table, or as a JSON list with full citations."""
    return json.dumps([asdict(row) for row in rows], indent=2) if as_json else _table(rows)


def _table(rows: Sequence[NetworkRow]) -> str:
    head = ("network", "variant of", "parameters", "MACs", "at", "input", "sizes", "paper")
    cells = [
        head,
        *(
            (
                row.name,
                row.variant_of or "-",
                f"{row.parameters / 1e6:.3f} M",
                f"{row.macs / 1e9:.3f} G",
                f"{row.height} x {row.width}",
                _input(row),
                row.sizes,
                row.short_paper,
            )
            for row in rows
        ),
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
    return "\n".join([*lines, "", COUNTED])


def _input(row: NetworkRow) -> str:
    channels = f"{row.channels} channel{'s' if row.channels > 1 else ''}"
    return channels if row.frames == 1 else f"{row.frames} frames of {channels}"
