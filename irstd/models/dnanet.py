"""DNANet: a dense triangle of nodes (DNIM), each with channel and spatial attention (CSAM).

Paper: B. Li et al., "Dense Nested Attention Network for Infrared Small Target Detection", IEEE TIP
2023, DOI 10.1109/TIP.2022.3199107. Authors' code: github.com/YeRen123455/
Infrared-Small-Target-Detection.

Differences that change no number: the nodes are computed column by column instead of along
diagonals, because a row may then be freed as soon as its last node is there; the second convolution
of the channel attention, linear and without bias, is applied once to the sum of its two inputs. In
the widths `one` and `two`, of 4 and 8 channels in the top row, the inner width c/16 of the channel
attention is kept at 1, where integer division would give 0.
"""

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.errors import ModelError
from irstd.models.layers import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ChannelAttention,
    SpatialAttention,
)
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule
from irstd.types import Outputs

WIDTHS = {
    "one": (4, 8, 16, 32, 64),
    "two": (8, 16, 32, 64, 128),
    "three": (16, 32, 64, 128, 256),
    "four": (32, 64, 128, 256, 512),
}
BLOCKS = {  # per node of rows 0 to 4
    "resnet_10": (1, 1, 1, 1, 1),
    "resnet_18": (1, 2, 2, 2, 2),
    "resnet_34": (1, 3, 4, 6, 3),
}
ROWS = 5
SIZES = SizeRule(multiple=16)

Widths = Literal["one", "two", "three", "four"]
Blocks = Literal["resnet_10", "resnet_18", "resnet_34"]


class Block(nn.Module):
    """Residual block of a node; the CSAM acts before the sum with the shortcut."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.channel = ChannelAttention(channels)
        self.spatial = SpatialAttention()
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        y = self.channel(y) * y
        y = self.spatial(y) * y
        return F.relu(y + self.shortcut(x))


class DNANet(Network):
    """The whole network: node X(i, j) in row i (size H/2^i, W/2^i) and column j, i + j <= 4.

    Args:
        in_channels: channels of the image.
        widths: channels of the rows, from 4..64 (`one`) to 32..512 (`four`).
        blocks: blocks per node in the rows below the first; a node of the first row has one.

    Raises:
        ModelError: an argument outside these choices; in `forward`, a height or width that is
            not a multiple of 16.
    """

    def __init__(
        self, in_channels: int = 3, widths: Widths = "three", blocks: Blocks = "resnet_18"
    ) -> None:
        super().__init__("dnanet", in_channels, SIZES)
        _check_arguments(widths, blocks)
        channels, depths = WIDTHS[widths], BLOCKS[blocks]
        top = channels[0]
        self.nodes = nn.ModuleDict()
        for column in range(ROWS):
            for row in range(ROWS - column):
                inputs = _node_inputs(row, column, in_channels, channels)
                self.nodes[f"{row}_{column}"] = _node(inputs, channels[row], depths[row])
        self.narrow = nn.ModuleDict(
            {str(row): nn.Conv2d(channels[row], top, 1) for row in range(1, ROWS)}
        )
        self.fusion = Block(ROWS * top, top)
        self.side_heads = nn.ModuleList(nn.Conv2d(top, 1, 1) for _ in range(3))
        self.head = nn.Conv2d(top, 1, 1)
        self._initialise()

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        return self._predict(self._triangle(self.admit(image))[1])

    def outputs(self, image: Float[Tensor, "n c h w"]) -> Outputs:
        """The logits and those of the nodes X(0, 1), X(0, 2), X(0, 3)."""
        nodes, ends = self._triangle(self.admit(image))
        side = zip(self.side_heads, nodes, strict=True)
        return Outputs(self._predict(ends), tuple(head(node) for head, node in side))

    def _triangle(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The nodes X(0, 1..3), and the last node of each row, those below the first narrowed.

        The last nodes come from row 4 up to row 0, each at its own size.
        """
        rows = [[self.nodes["0_0"](image)]]  # (N, f0, H, W)
        for row in range(1, ROWS):
            x = F.max_pool2d(rows[-1][0], 2)
            rows.append([self.nodes[f"{row}_0"](x)])  # (N, f_row, H/2^row, W/2^row)
        ends = []
        for column in range(1, ROWS):
            del rows[-1][:-1]  # that row is complete: only its last node is still used
            for row in range(ROWS - column):
                rows[row].append(self.nodes[f"{row}_{column}"](_gather(rows, row)))
            ends.append(self.narrow[str(ROWS - column)](rows.pop()[-1]))
        top = rows.pop()
        return top[1:-1], [*ends, top[-1]]

    def _predict(self, ends: list[Tensor]) -> Tensor:
        """FPFM: fusion of the last nodes of all rows; its logits."""
        pyramid = torch.cat([_resize(end, ends[-1]) for end in ends], 1)  # (N, 5 f0, H, W)
        return self.head(self.fusion(pyramid))

    def _initialise(self) -> None:
        """Xavier normal weights, as the authors train; biases as torch draws them."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)


def _node_inputs(row: int, column: int, image: int, channels: tuple[int, ...]) -> int:
    """Channels that enter a node; `image` are those of the image."""
    if column == 0:
        return channels[row - 1] if row else image
    above = channels[row - 1] if row else 0
    return column * channels[row] + channels[row + 1] + above


def _node(in_channels: int, channels: int, depth: int) -> nn.Sequential:
    widths = [in_channels] + depth * [channels]
    return nn.Sequential(*(Block(before, after) for before, after in pairwise(widths)))


def _gather(rows: list[list[Tensor]], row: int) -> Tensor:
    """Input of a row's next node: its nodes so far, the one below left, the one above."""
    own = rows[row]
    parts = [*own, _resize(rows[row + 1][-1], own[0])]
    if row:
        parts.append(_resize(rows[row - 1][-1], own[0]))
    return torch.cat(parts, 1)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=True)


def _check_arguments(widths: str, blocks: str) -> None:
    if widths not in WIDTHS:
        raise ModelError(f"dnanet: widths must be one of {', '.join(WIDTHS)}, got {widths!r}")
    if blocks not in BLOCKS:
        raise ModelError(f"dnanet: blocks must be one of {', '.join(BLOCKS)}, got {blocks!r}")


PUBLISHED_KEYS = (
    (r"^conv0_4_final\.0\.", "fusion."),
    (r"^conv0_(\d)_1x1\.", r"narrow.\1."),
    (r"^conv(\d_\d)\.", r"nodes.\1."),
    (r"^final1\.", "side_heads.0."),
    (r"^final2\.", "side_heads.1."),
    (r"^final3\.", "side_heads.2."),
    (r"^final4\.", "head."),
    (r"\.bn(\d)\.", r".norm\1."),
    (r"\.ca\.fc1\.", ".channel.reduce."),
    (r"\.ca\.fc2\.", ".channel.expand."),
    (r"\.sa\.conv1\.", ".spatial.conv."),
)

SPEC = NetworkSpec(
    name="dnanet",
    build=DNANet,
    paper=(
        "B. Li et al., Dense Nested Attention Network for Infrared Small Target Detection, "
        "IEEE TIP 2023, DOI 10.1109/TIP.2022.3199107"
    ),
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
    in_channels=3,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    published_keys=PUBLISHED_KEYS,
)
