import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from irstd.models import NETWORKS, registry
from irstd.models.cost import comparison_size, count_macs, count_parameters
from irstd.models.network import Network
from irstd.models.spec import SizeRule
from irstd.stages.models import as_text, list_networks
from tests.tiny_network import SPEC, Bright, register_tiny


class Attending(Network):
    """One 1x1 convolution, a linear layer, and attention over all positions."""

    def __init__(self, in_channels: int = 4) -> None:
        super().__init__("attending", in_channels, SizeRule())
        self.conv = nn.Conv2d(in_channels, 8, 1)
        self.linear = nn.Linear(8, 8)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.linear(self.conv(self.admit(image)).flatten(2).mT)[:, None]
        mixed = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return mixed[:, 0].mT.unflatten(2, image.shape[-2:])[:, :1]


def test_products_are_counted() -> None:
    network = Attending()
    tokens = 6 * 10
    convolution, linear, attention = tokens * 4 * 8, tokens * 8 * 8, 2 * tokens * tokens * 8
    assert count_parameters(network) == 4 * 8 + 8 + 8 * 8 + 8
    assert count_macs(network, (6, 10)) == convolution + linear + attention


def test_the_size_is_the_largest_legal_one_up_to_256() -> None:
    def size(**rule: int) -> tuple[int, int]:
        return comparison_size(replace(SPEC, sizes=SizeRule(**rule)))

    assert size(multiple=32) == (256, 256)
    assert size(multiple=10, minimum=40) == (250, 250)
    assert size(minimum=512, maximum=512) == (512, 512)
    assert size(maximum=100) == (100, 100)


def test_rows_and_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "NETWORKS", NETWORKS)
    for name in list(NETWORKS):
        monkeypatch.delitem(NETWORKS, name)
    paper = "A. Author, B. Other, A 2019 Title: Long, Journal 2024, DOI 10.1/j.2025.3"
    register_tiny(monkeypatch, paper=paper, variant_of="acm", in_channels=3, frames=6)
    monkeypatch.setattr(Bright, "frames", 1, raising=False)
    (row,) = list_networks()
    assert (row.name, row.variant_of, row.parameters) == ("tiny", "acm", 11)
    assert row.macs == 256 * 256 * (1 + 9)
    assert (row.height, row.width, row.sizes) == (256, 256, "multiples of 8")
    assert row.short_paper == "A. Author et al. 2024"
    assert replace(row, paper="Net: A Title, IEEE 2026").short_paper == "Net 2026"
    head, line, _, note = as_text([row], as_json=False).split("\n")
    assert head.split()[:3] == ["network", "variant", "of"]
    assert "6 frames of 3 channels" in line
    assert "256 x 256" in line
    assert note.startswith("MACs: ")
    (entry,) = json.loads(as_text([row], as_json=True))
    assert (entry["paper"], entry["macs"], entry["frames"]) == (paper, row.macs, 6)


@pytest.mark.slow
def test_every_network_is_listed() -> None:
    rows = {row.name: row for row in list_networks()}
    assert rows.keys() == NETWORKS.keys()
    macs = {"acm": 0.343e9, "acm_full": 6.559e9, "alcnet": 3.611e9, "agpcnet": 42.983e9}
    for name, expected in macs.items():
        assert rows[name].macs == pytest.approx(expected, rel=2e-3)
    assert all(row.macs > 0 and row.parameters > 0 for row in rows.values())
    assert torch.get_default_device().type == "cpu"
