"""MPCNet: multi-scale perception and cross-attention fusion on three levels.

Paper: "MPCNet: Multi-scale Perception and Cross-attention Feature Fusion Network for Infrared Small
Target Detection", IEEE TGRS 2026, IEEE Xplore document 11346810. Authors' code:
github.com/Wangtao-Bao/MPCNet, which has no trained weights.

The authors return the probabilities of three heads. Ours are the logits before that sigmoid: head 1
is the prediction, heads 2 and 3 are side outputs, which `forward` doesn't compute. The attention
runs in float32 also under mixed precision: its scores aren't divided by the root of their width,
and the softmax is partly close to one-hot. All resizing is bilinear with aligned corners.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.errors import ModelError
from irstd.models.layers import SIRST_MEAN, SIRST_STD, SpatialAttention
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule
from irstd.types import Outputs

CHANNELS = (32, 64, 128)  # at 1, 1/2, 1/4 of the input
GRID_STRIDE = 8  # pixels of `size` per cell of the attention grid
COORDINATE_WIDTH = 8
SALIENCY_REDUCTION = 16
SIZES = SizeRule(multiple=4, minimum=8)  # at 4 x 4 the batch norms of level 3 see a single pixel


def resize(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear with aligned corners, to (height, width)."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


class SeriesActivation(nn.Module):
    """ReLU, depth-wise 7x7 convolution, batch norm: the re-parameterisable activation, signed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 7, 1, 3, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return self.norm(self.conv(F.relu(x)))


class CBR(nn.Module):
    """Convolution, batch norm, series activation."""

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel, 1, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = SeriesActivation(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        return self.activation(self.norm(self.conv(x)))


class FPD(nn.Module):
    """Down-sampling by 2: the four pixels of each 2x2 cell and a max pooling, mixed by 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(5 * channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H/2, W/2)."""
        n, c, height, width = x.shape
        cells = x.reshape(n, c, height // 2, 2, width // 2, 2)
        # The row within the cell varies faster than the column: (0, 0), (1, 0), (0, 1), (1, 1).
        phases = cells.permute(0, 5, 3, 1, 2, 4).reshape(n, 4 * c, height // 2, width // 2)
        peaks = F.max_pool2d(x, 3, 2, 1)
        return F.relu(self.norm(self.conv(torch.cat([phases, peaks], 1))))


class CoordinateAttention(nn.Module):
    """Gates per row and per column, from the means over columns and over rows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, COORDINATE_WIDTH, 1)
        self.norm = nn.BatchNorm2d(COORDINATE_WIDTH)
        self.rows = nn.Conv2d(COORDINATE_WIDTH, channels, 1)
        self.cols = nn.Conv2d(COORDINATE_WIDTH, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        height = x.shape[2]
        means = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], 2)
        mixed = F.hardswish(self.norm(self.reduce(means)))  # (N, 8, H + W, 1)
        by_row = torch.sigmoid(self.rows(mixed[:, :, :height]))  # (N, C, H, 1)
        by_col = torch.sigmoid(self.cols(mixed[:, :, height:].transpose(2, 3)))  # (N, C, 1, W)
        return x * by_col * by_row


class MPM(nn.Module):
    """Multi-scale perception: 3x3, 5x5 and 7x7 branches over quarters of the channels.

    The first and the last quarter share the 7x7 branch, weights and batch statistics included.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch3, self.branch5, self.branch7 = (
            nn.Sequential(
                nn.Conv2d(channels // 4, channels // 4, kernel, 1, kernel // 2),
                nn.BatchNorm2d(channels // 4),
                nn.ReLU(),
            )
            for kernel in (3, 5, 7)
        )
        self.mix = CBR(2 * channels, channels, 1)
        self.coordinate = CoordinateAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        q1, q2, q3, q4 = x.chunk(4, 1)
        scales = [self.branch7(q1), self.branch3(q2), self.branch5(q3), self.branch7(q4), x]
        return self.coordinate(self.mix(torch.cat(scales, 1)))


class GSFM(nn.Module):
    """Attention over two neighbouring levels on a fixed grid, whatever the size of the image.

    Args:
        low_channels: channels of the level with the larger map.
        channels: channels C of the level with the smaller map.
        grid: side S of the grid.
    """

    def __init__(self, low_channels: int, channels: int, grid: int) -> None:
        super().__init__()
        self.grid = (grid, grid)
        self.project = nn.Conv2d(low_channels, channels, 1)
        self.low_key = CBR(channels, channels, 3)
        self.low_value = CBR(channels, channels, 3)
        self.low_query = CBR(channels, channels, 3)
        self.high_key = CBR(channels, channels, 3)
        self.high_value = CBR(channels, channels, 3)
        self.high_query = CBR(channels, channels, 3)
        self.gamma1 = nn.Parameter(torch.zeros(1))
        self.gamma2 = nn.Parameter(torch.zeros(1))
        self.gamma3 = nn.Parameter(torch.zeros(1))
        self.gamma4 = nn.Parameter(torch.zeros(1))
        self.reduce = CBR(4 * channels, channels, 3)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """(N, C_low, 2H, 2W) and (N, C, H, W) to (N, C, H, W)."""
        low = self.project(resize(low, high.shape[-2:]))
        low_grid, high_grid = resize(low, self.grid), resize(high, self.grid)
        a1, a2, a3, a4 = self._attend(low_grid, high_grid)
        maps = [self.gamma1 * a1, self.gamma2 * a2, self.gamma3 * a3, self.gamma4 * a4 + low_grid]
        global_maps = resize(torch.cat(maps, 1), high.shape[-2:])  # (N, 4 C, H, W)
        return self.reduce(global_maps + torch.cat([low, high, high, low], 1))

    def _attend(self, low: Tensor, high: Tensor) -> tuple[Tensor, ...]:
        """Four attentions, (N, C, S, S) each; the published K asks and Q is asked."""
        low_key, low_value, low_query = self.low_key(low), self.low_value(low), self.low_query(low)
        high_key, high_query = self.high_key(high), self.high_query(high)
        high_value = self.high_value(high)
        both = low_value + high_value
        mixed = attention(
            _tokens(low_key, high_key, low_key, high_key),
            _tokens(low_query, high_query, high_query, low_query),
            _tokens(both, both, low_value, high_value),
        )
        return mixed.transpose(2, 3).reshape(*mixed.shape[:2], -1, *self.grid).unbind(1)


def _tokens(*maps: Tensor) -> Tensor:
    """Maps (N, C, S, S) to (N, maps, S^2, C)."""
    return torch.stack([x.flatten(2).transpose(1, 2) for x in maps], 1)


def attention(asking: Tensor, asked: Tensor, value: Tensor) -> Tensor:
    """softmax(asking asked^T) value, without a scale and in float32 or more.

    Args:
        asking: (N, A, T, C), A attentions side by side.
        asked: (N, A, T, C).
        value: (N, A, T, C).

    Returns:
        (N, A, T, C), of the dtype of `value`.
    """
    dtype = torch.promote_types(value.dtype, torch.float32)
    device = value.device.type
    full_precision: AbstractContextManager[object] = nullcontext()
    if torch.amp.is_autocast_available(device):  # not so on the meta device
        full_precision = torch.autocast(device, enabled=False)
    with full_precision:
        mixed = F.scaled_dot_product_attention(
            asking.to(dtype), asked.to(dtype), value.to(dtype), scale=1.0
        )
    return mixed.to(value.dtype)


class SCFM(nn.Module):
    """Cross-attention fusion of a skip (low) with a deeper feature (high) of the same size.

    Args:
        in_channels: channels of either input.
        channels: channels of the output.
        kernel: of the first convolution of the saliency blocks.
    """

    def __init__(self, in_channels: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.low_spatial, self.high_spatial = SpatialAttention(3), SpatialAttention(3)
        middle = in_channels // SALIENCY_REDUCTION
        self.low_saliency, self.high_saliency = (
            nn.Sequential(CBR(in_channels, middle, kernel), nn.Conv2d(middle, 1, 1))
            for _ in range(2)
        )
        self.mix = CBR(2 * in_channels, channels, 1)
        self.coordinate = CoordinateAttention(channels)
        self.low_project = CBR(in_channels, channels, 1)
        self.high_project = CBR(in_channels, channels, 1)
        self.fuse = CBR(2 * channels, channels, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """(N, in, H, W) twice to (N, out, H, W)."""
        low_focus, high_focus = low * self.low_spatial(low), high * self.high_spatial(high)
        low_saliency = torch.sigmoid(self.low_saliency(low_focus))  # (N, 1, H, W)
        high_saliency = torch.sigmoid(self.high_saliency(high_focus))
        crossed = torch.cat([low * high_saliency, high * low_saliency], 1)
        gate = torch.sigmoid(self.coordinate(self.mix(crossed)))  # (N, out, H, W)
        low_part = gate * self.low_project(low + low_focus)
        high_part = gate * self.high_project(high + high_focus)
        return self.fuse(torch.cat([low_part, high_part], 1))


class MPCNet(Network):
    """The whole network.

    Args:
        in_channels: channels of the image.
        size: side in pixels of the images it is meant for; sets the attention grid, size / 8, which
            changes the result but no weight.

    Raises:
        ModelError: `size` isn't a positive multiple of 8; in `forward`, a height or width that is
            not a multiple of 4, or under 8.
    """

    def __init__(self, in_channels: int = 1, size: int = 256) -> None:
        super().__init__("mpcnet", in_channels, SIZES)
        if size < GRID_STRIDE or size % GRID_STRIDE:
            raise ModelError(
                f"mpcnet: size must be a positive multiple of {GRID_STRIDE}, the side of the "
                f"images it is meant for (256 as published), got {size}"
            )
        grid = size // GRID_STRIDE
        c1, c2, c3 = CHANNELS
        self.backbone1 = CBR(in_channels, c1, 3)
        self.mpm1 = MPM(c1)
        self.backbone2 = nn.Sequential(CBR(c1, c2, 3), FPD(c2))
        self.gsfm1 = GSFM(c1, c2, grid)
        self.mpm2 = MPM(c2)
        self.backbone3 = nn.Sequential(CBR(c2, c3, 3), FPD(c3))
        self.gsfm2 = GSFM(c2, c3, grid)
        self.mpm3 = MPM(c3)
        self.scfm3 = SCFM(c3, c2, 1)
        self.scfm2 = SCFM(c2, c1, 1)
        self.scfm1 = SCFM(c1, c1, 3)
        self.head1 = CBR(c1, 1, 1)
        self.head2 = CBR(c1, 1, 1)
        self.head3 = CBR(c2, 1, 1)
        self._initialise()

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits of head 1 at the size of the image."""
        return self.head1(self._decode(image)[0])

    def outputs(self, image: Float[Tensor, "n c h w"]) -> Outputs:
        """Logits of head 1, and of heads 2 and 3 at the size of the image."""
        d1, d2, d3 = self._decode(image)
        size = d1.shape[-2:]
        side = (resize(self.head2(d2), size), resize(self.head3(d3), size))
        return Outputs(self.head1(d1), side=side)

    def _decode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = self.admit(image)
        e1 = self.backbone1(image)  # (N, 32, H, W)
        m1 = self.mpm1(e1)
        e2 = self.backbone2(m1)  # (N, 64, H/2, W/2)
        m2 = self.mpm2(self.gsfm1(e1, e2))
        e3 = self.backbone3(m2)  # (N, 128, H/4, W/4)
        g2 = self.gsfm2(e2, e3)
        d3 = self.scfm3(g2, self.mpm3(g2))  # (N, 64, H/4, W/4)
        d2 = self.scfm2(m2, resize(d3, m2.shape[-2:]))  # (N, 32, H/2, W/2)
        d1 = self.scfm1(m1, resize(d2, m1.shape[-2:]))  # (N, 32, H, W)
        return d1, d2, d3

    def _initialise(self) -> None:
        """As the authors do: Kaiming normal; depth-wise weights N(0, 1), norm gains N(1, 0.02)."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.02)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        for module in self.modules():
            if isinstance(module, SeriesActivation):
                nn.init.normal_(module.conv.weight)


PUBLISHED_KEYS = (
    (r"^Backbone_([23])\.downsample\.conv_fusion\.", r"backbone\1.1.conv."),
    (r"^Backbone_([23])\.downsample\.batch_norm\.", r"backbone\1.1.norm."),
    (r"^Backbone_([23])\.", r"backbone\1.0."),
    (r"^Backbone_1\.", "backbone1."),
    (r"^MPM_(\d)\.Conv_(\d)\.", r"mpm\1.branch\2."),
    (r"^MPM_(\d)\.Conv\.", r"mpm\1.mix."),
    (r"^MPM_(\d)\.ca\.", r"mpm\1.coordinate."),
    (r"^GSFM_(\d)\.conv1\.", r"gsfm\1.project."),
    (r"^GSFM_(\d)\.REDUCE\.", r"gsfm\1.reduce."),
    (r"^GSFM_(\d)\.LOW_", r"gsfm\1.low_"),
    (r"^GSFM_(\d)\.HIGH_", r"gsfm\1.high_"),
    (r"^GSFM_(\d)\.", r"gsfm\1."),
    (r"_K\.", "_key."),
    (r"_V\.", "_value."),
    (r"_Q\.", "_query."),
    (r"^SCFM_(\d)\.", r"scfm\1."),
    (r"_saliency_block\.", "_saliency."),
    (r"_spatial_att\.conv1\.", "_spatial.conv."),
    (r"_proj\.", "_project."),
    (r"\.mix_project\.", ".mix."),
    (r"\.fusion_conv\.", ".fuse."),
    (r"\.coord_att\.", ".coordinate."),
    (r"\.coordinate\.conv1\.", ".coordinate.reduce."),
    (r"\.coordinate\.bn1\.", ".coordinate.norm."),
    (r"\.coordinate\.conv_h\.", ".coordinate.rows."),
    (r"\.coordinate\.conv_w\.", ".coordinate.cols."),
    (r"^final_(\d)\.0\.", r"head\1."),
    (r"\.act\.weight$", ".activation.conv.weight"),
    (r"\.act\.bn\.", ".activation.norm."),
    (r"\.bn\.", ".norm."),
)

SPEC = NetworkSpec(
    name="mpcnet",
    build=MPCNet,
    paper=(
        "MPCNet: Multi-scale Perception and Cross-attention Feature Fusion Network for Infrared "
        "Small Target Detection, IEEE TGRS 2026, IEEE Xplore document 11346810"
    ),
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
    mean=SIRST_MEAN,
    std=SIRST_STD,
    published_keys=PUBLISHED_KEYS,
)
