"""ISPANet: pyramid self-attention for high-resolution infrared small target detection.

Paper: W. Wang et al., "ISPANet: A Pyramid Self-Attention Network for Single-Frame High-Resolution
Infrared Small Target Detection With a Large-Scale Dataset SHR-IRST", IEEE JSTARS 2024,
DOI 10.1109/JSTARS.2024.3381779. The authors published no code.

Where the paper is silent the choices below were made so that parameters and cost at 1280 x 1024
come out as printed in Table VII (13.62 M, 114.15 G): widths and block counts of the stem and the
stages, reduction strides 8, 4, 2, 1 in the attention, heads of 16 channels, an MLP of four times
the width, transposed kernels of 4 (top-down) and k (to stride 4), head widths c/2, c/4, c/4, 1.
Variant C adds the attention to P_i the way R_i = D_i + T_i adds it to D_i.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.errors import ModelError
from irstd.models.layers import ResidualBlock, stage
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule

LEVELS = (2, 3, 4, 5)  # strides 4, 8, 16, 32
STAGE_CHANNELS = (64, 128, 256, 512)
STAGE_BLOCKS = (2, 2, 3, 2)
REDUCTION = {2: 8, 3: 4, 4: 2, 5: 1}
HEAD_CHANNELS = 16
TARGET_PRIOR = 0.01  # pi of eq. 21
SIZES = SizeRule(multiple=32)

Variant = Literal["A", "B", "C", "D"]


class LocalFeatures(nn.Module):
    """LFE: convolutional pyramid and 1x1 reductions to D2..D5 (IV-A1, Fig. 10)."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        stem = STAGE_CHANNELS[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
            nn.Conv2d(stem, stem, 3, 1, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
            ResidualBlock(stem, stem),
            nn.MaxPool2d(3, 2, 1),
        )
        self.stages = nn.ModuleList()
        before = stem
        for level, channels, blocks in zip(LEVELS, STAGE_CHANNELS, STAGE_BLOCKS, strict=True):
            stride = 1 if level == LEVELS[0] else 2
            self.stages.append(stage(before, channels, blocks, stride))
            before = channels
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))
            for channels in STAGE_CHANNELS
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image to D2..D5."""
        x = self.stem(image)  # (N, 64, H/4, W/4)
        features = []
        for blocks, reduce in zip(self.stages, self.reduce, strict=True):
            x = blocks(x)  # C2..C5: H/4, H/8, H/16, H/32
            features.append(reduce(x))  # D2..D5: (N, c, ...)
        return features


class ReceptiveFieldAttention(nn.Module):
    """MFSA on one level: attention inside the cells of a (6-i) x (6-i) grid (IV-A2, eqs. 14-16)."""

    def __init__(self, level: int, width: int) -> None:
        super().__init__()
        self.grid = 6 - level
        self.stride = REDUCTION[level]
        self.heads = width // HEAD_CHANNELS
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        if self.stride > 1:
            self.reduce = nn.Conv2d(width, width, self.stride, self.stride)
            self.reduce_norm = nn.LayerNorm(width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """D_i to T_i, of the same shape."""
        n, c, height, width = x.shape
        unit = self.grid * self.stride
        # Keys per cell first: products of these are shapes the ONNX exporter can follow.
        key_rows, key_cols = (height + unit - 1) // unit, (width + unit - 1) // unit
        padding = (0, key_cols * unit - width, 0, key_rows * unit - height)
        x = F.pad(x, padding)
        real = F.pad(x.new_ones(1, 1, height, width), padding)
        rows, cols = key_rows * self.stride, key_cols * self.stride
        cells = self._split(x, rows, cols)  # (N g^2, h, w, c)
        cells = cells + self._attend(self.norm(cells), self._key_mask(real, key_rows, key_cols, n))
        cells = cells + self.mlp(self.mlp_norm(cells))
        joined = cells.reshape(n, self.grid, self.grid, rows, cols, c)
        joined = joined.permute(0, 5, 1, 3, 2, 4).reshape(n, c, self.grid * rows, self.grid * cols)
        return joined[:, :, :height, :width]

    def _split(self, x: Tensor, rows: int, cols: int) -> Tensor:
        n, c = x.shape[:2]
        cells = x.reshape(n, c, self.grid, rows, self.grid, cols).permute(0, 2, 4, 3, 5, 1)
        return cells.reshape(n * self.grid * self.grid, rows, cols, c)

    def _key_mask(self, real: Tensor, rows: int, cols: int, n: int) -> Tensor:
        """True where a key has at least one real pixel; a cell of padding alone keeps all its keys.

        Such a cell is cropped from the output; without keys its softmax would be 0/0.
        """
        keys = self._split(F.max_pool2d(real, self.stride), rows, cols)
        mask = keys.flatten(1) > 0  # (g^2, keys)
        mask = mask | ~mask.any(1, keepdim=True)
        return mask[:, None, None].repeat(n, 1, 1, 1)

    def _attend(self, cells: Tensor, mask: Tensor) -> Tensor:
        m, rows, cols, c = cells.shape
        context = cells
        if self.stride > 1:
            context = self.reduce(cells.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            context = self.reduce_norm(context)  # (N g^2, h/s, w/s, c)
        query, key, value = (
            layer(tokens).reshape(m, -1, self.heads, HEAD_CHANNELS).transpose(1, 2)
            for layer, tokens in (
                (self.query, cells),
                (self.key, context),
                (self.value, context),
            )
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.project(mixed.transpose(1, 2).reshape(m, rows, cols, c))


class LevelFusion(nn.Module):
    """One step of the top-down path: P_i = Conv(ReLU(BN(Up2(above) + R_i))) (eq. 18)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(width, width, 4, 2, 1)
        self.norm = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, above: Tensor, level: Tensor) -> Tensor:
        """The level above, at half the size, and R_i to P_i."""
        return self.conv(F.relu(self.norm(self.up(above) + level)))


class MultiLevelFusion(nn.Module):
    """MFF: top-down fusion of R2..R5 to P2..P5 (IV-A3, eqs. 17-18) and their sum F (eq. 19)."""

    def __init__(self, width: int, topdown: Literal["R", "P"]) -> None:
        super().__init__()
        self.topdown = topdown
        self.top = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1),
        )
        self.fuse = nn.ModuleList(LevelFusion(width) for _ in LEVELS[:-1])
        self.narrow = nn.ModuleList(nn.Conv2d(width, width // 2, 3, 1, 1) for _ in LEVELS)
        self.enlarge = nn.ModuleList(
            nn.Identity()
            if level == LEVELS[0]
            else nn.ConvTranspose2d(width // 2, width // 2, 2 ** (level - 2), 2 ** (level - 2))
            for level in LEVELS
        )

    def pyramid(self, levels: list[Tensor]) -> list[Tensor]:
        """R2..R5 to P2..P5."""
        fused = [self.top(levels[-1])]
        above = fused[0] if self.topdown == "P" else levels[-1]
        for fuse, level in zip(reversed(self.fuse), reversed(levels[:-1]), strict=True):
            fused.append(fuse(above, level))
            above = fused[-1] if self.topdown == "P" else level
        return fused[::-1]

    def sum(self, pyramid: list[Tensor]) -> Tensor:
        """P2..P5 to F, (N, c/2, H/4, W/4)."""
        parts = zip(self.enlarge, self.narrow, pyramid, strict=True)
        return torch.stack([enlarge(narrow(level)) for enlarge, narrow, level in parts]).sum(0)


class ISPANet(Network):
    """The whole network.

    Args:
        in_channels: channels of the image.
        width: channels c of MFSA, MFF and head; a multiple of 16 (64 in the paper; Table XII).
        variant: ablation of Table XI. `B` is ISPANet; `A` has no MFSA; `C` puts MFF before MFSA;
            `D` starts the head's bias at 0.
        topdown: what eq. 18 enlarges, `R` as printed or `P` for the usual feature pyramid.

    Raises:
        ModelError: an argument outside these choices; in `forward`, a height or width that is
            not a multiple of 32.
    """

    def __init__(
        self,
        in_channels: int = 1,
        width: int = 64,
        variant: Variant = "B",
        topdown: Literal["R", "P"] = "R",
    ) -> None:
        super().__init__("ispanet", in_channels, SIZES)
        _check_arguments(width, variant, topdown)
        self.variant = variant
        self.lfe = LocalFeatures(in_channels, width)
        attention = LEVELS if variant != "A" else ()
        self.mfsa = nn.ModuleList(ReceptiveFieldAttention(level, width) for level in attention)
        self.mff = MultiLevelFusion(width, topdown)
        narrow = width // 4
        self.head = nn.Sequential(
            nn.Conv2d(width // 2, narrow, 3, 1, 1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(narrow, narrow, 3, 1, 1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(narrow, 1, 1),
        )
        self._initialise()

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        image = self.admit(image)
        levels = self.lfe(image)  # D2..D5
        if self.variant in ("B", "D"):
            levels = self._add_attention(levels)  # R_i = D_i + T_i, eq. 17
        pyramid = self.mff.pyramid(levels)  # P2..P5
        if self.variant == "C":
            pyramid = self._add_attention(pyramid)
        logits = self.head(self.mff.sum(pyramid))  # (N, 1, H/4, W/4)
        return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)

    def _add_attention(self, levels: list[Tensor]) -> list[Tensor]:
        return [x + attention(x) for attention, x in zip(self.mfsa, levels, strict=True)]

    def _initialise(self) -> None:
        """Xavier weights, zero biases (V-A), and the bias of eq. 21 on the last convolution."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.variant != "D":
            bias = self.head.get_parameter("8.bias")
            nn.init.constant_(bias, -math.log((1 - TARGET_PRIOR) / TARGET_PRIOR))


def _check_arguments(width: int, variant: str, topdown: str) -> None:
    if width < HEAD_CHANNELS or width % HEAD_CHANNELS:
        raise ModelError(
            f"ispanet: width must be a multiple of {HEAD_CHANNELS} (16, 32, 64, 128), got {width}"
        )
    if variant not in ("A", "B", "C", "D"):
        raise ModelError(f"ispanet: variant must be A, B, C or D (Table XI), got {variant!r}")
    if topdown not in ("R", "P"):
        raise ModelError(f"ispanet: topdown must be R (eq. 18) or P, got {topdown!r}")


SPEC = NetworkSpec(
    name="ispanet",
    build=ISPANet,
    paper=(
        "W. Wang et al., ISPANet: A Pyramid Self-Attention Network for Single-Frame "
        "High-Resolution Infrared Small Target Detection With a Large-Scale Dataset SHR-IRST, "
        "IEEE JSTARS 2024, DOI 10.1109/JSTARS.2024.3381779"
    ),
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
)
