"""SGMP-UNet: one frame guides what a clip says about motion.

Paper: W. Zhang, T. Liu, T. Guan et al., "SGMP: Spatial-Semantic Guided Motion-Aware for Infrared
Small Targets", TechRxiv 2025, DOI 10.36227/techrxiv.174909854.43812513/v1. Authors' code:
github.com/Bethexone/SGMP. Pre-training of the temporal branch: Video Swin-T on Kinetics-400.

Input is one clip; the published network takes the clip (N, C, T, H, W) and the frame to be
segmented apart, which is always clip position 3. Attention over the whole map is computed without
storing its weights, which the published call asks for and drops. Sides are multiples of 32, where
the published code asks for 16 and then fails; so no map of the merging layers has an odd side.

No part of a clip is worth keeping for the next one of a sliding window: the spatial branch sees the
target frame alone, so each frame once; the patch embedding joins frames in pairs, of which the clip
two frames later shares two in three, but it is 0.2 % of the multiplications; everything after it
mixes all frames of the clip.
"""

from collections.abc import Iterator

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
from irstd.models.swin import SwinV2Block, VideoSwinBlock
from irstd.types import Outputs

FRAMES = 6
TARGET_FRAME = 3
FRAMES_PER_PATCH = 2
STEPS = FRAMES // FRAMES_PER_PATCH  # T in the temporal branch
SPATIAL_CHANNELS = (64, 128, 256, 512)
SPATIAL_BLOCKS = (3, 4, 6, 3)
TEMPORAL_CHANNELS = (96, 192, 384, 768)
TEMPORAL_HEADS = (3, 6, 12, 24)
TEMPORAL_BLOCKS = (2, 2, 6, 2)
GUIDE_HEADS = (3, 6, 2, 2)
SKIP_CHANNELS = (48, 96, 192, 768)
DECODER = ((384, 12, 2), (192, 6, 6), (96, 3, 2))  # channels, heads, blocks
HEAD = ((24, 6, 2), (6, 3, 2))
SIZES = SizeRule(multiple=32)


class CBAMBlock(nn.Module):
    """Residual block whose sum is weighted by channel, then by position (spatial branch)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.channel_attention = ChannelAttention(channels)
        self.spatial_attention = SpatialAttention()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H/stride, W/stride)."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        y = y * self.channel_attention(y)
        y = y * self.spatial_attention(y)
        return F.relu(y + self.shortcut(x))


class PatchEmbedding(nn.Module):
    """Pairs of 4 x 4 patches of consecutive frames to tokens (temporal branch, stage 0)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        patch = (FRAMES_PER_PATCH, 4, 4)
        self.proj = nn.Conv3d(in_channels, channels, patch, patch)
        self.norm = nn.LayerNorm(channels)

    def forward(self, clip: Tensor) -> Tensor:
        """(N, 6, in, H, W) to (N, 3, H/4, W/4, C)."""
        return self.norm(self.proj(clip.transpose(1, 2)).permute(0, 2, 3, 4, 1))


def stack_phases(x: Tensor) -> Tensor:
    """(N, ..., H, W, C) to (N, ..., H/2, W/2, 4 C): rows of a 2 x 2 patch first, then columns."""
    *before, height, width, channels = x.shape
    patches = x.reshape(*before, height // 2, 2, width // 2, 2, channels)
    return patches.movedim(-4, -2).flatten(-3)


class PatchMerging(nn.Module):
    """Half the side, twice the channels (temporal branch, before stages 2-4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, H, W, C) to (N, T, H/2, W/2, 2 C)."""
        return self.reduction(self.norm(stack_phases(x)))


class SpatialGuide(nn.Module):
    """MSCA: the frame's features, weighted by their agreement with the clip, join the clip's.

    Query and value are the frame, key is the clip: what is added comes from the frame alone.
    """

    def __init__(self, spatial_channels: int, channels: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(spatial_channels, channels // 2, 1)
        self.query_reduction = nn.Linear(2 * channels, channels, bias=False)
        self.query_norm = nn.LayerNorm(channels)
        self.key = nn.Conv3d(STEPS, 1, 1)  # a weighted sum of the time steps
        self.key_norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.norm = nn.LayerNorm(channels)

    def forward(self, clip: Tensor, frame: Tensor) -> Tensor:
        """Clip (N, T, H, W, C) and frame (N, spatial, 2 H, 2 W) to (N, T, H, W, C)."""
        query = stack_phases(self.query(frame).permute(0, 2, 3, 1))  # (N, H, W, 2 C)
        query = self.query_norm(self.query_reduction(query)).flatten(1, 2)
        key = self.key_norm(self.key(clip).flatten(1, 3))  # (N, H W, C)
        guide = self.attention(query, key, query, need_weights=False)[0]
        return self.norm(clip + guide.reshape(clip[:, :1].shape))


class SkipUnit(nn.Module):
    """MSMU: joins the time steps; a gated convolution beside a linear path."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        joined = STEPS * channels
        hidden = 2 * channels // 3
        self.gate_in = nn.Linear(joined, 2 * hidden)
        self.gate_conv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.gate_out = nn.Linear(hidden, out_channels)
        self.skip = nn.Conv2d(joined, out_channels, 1)

    def forward(self, clip: Tensor) -> Tensor:
        """(N, T, H, W, C) to (N, H, W, out)."""
        x = clip.permute(0, 2, 3, 1, 4).flatten(3)  # (N, H, W, T C)
        gate, value = self.gate_in(x).chunk(2, -1)
        gate = F.gelu(self.gate_conv(gate.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        return self.gate_out(gate * value) + self.skip(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Expand(nn.Module):
    """Twice the side, a quarter of the channels, by pixel shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels // 4, channels // 4, bias=False)
        self.norm = nn.LayerNorm(channels // 4)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to (N, 2 H, 2 W, C/4)."""
        n, height, width, channels = x.shape
        x = x.reshape(n, height, width, channels // 4, 2, 2).permute(0, 1, 4, 2, 5, 3)
        return self.norm(self.linear(x.reshape(n, 2 * height, 2 * width, channels // 4)))


class SGMPUNet(Network):
    """The whole network.

    Args:
        in_channels: channels of a frame.
        drop_rate: stochastic depth of the last block of encoder, decoder and head; it grows
            linearly from 0 over the blocks of each.

    Raises:
        ModelError: a rate outside [0, 1); in `forward`, a clip that has not six frames, or a
            height or width that is not a multiple of 32.
    """

    def __init__(self, in_channels: int = 3, drop_rate: float = 0.1) -> None:
        super().__init__("sgmp_unet", in_channels, SIZES, frames=FRAMES)
        if not 0 <= drop_rate < 1:
            raise ModelError(f"sgmp_unet: drop_rate must lie in [0, 1), got {drop_rate}")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, SPATIAL_CHANNELS[0], 1, bias=False),
            nn.BatchNorm2d(SPATIAL_CHANNELS[0]),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        self.embedding = PatchEmbedding(in_channels, TEMPORAL_CHANNELS[0])
        self.spatial = nn.ModuleList(_spatial_stages())
        self.temporal = nn.ModuleList(_temporal_stages(drop_rate))
        guides = zip(SPATIAL_CHANNELS, TEMPORAL_CHANNELS, GUIDE_HEADS, strict=True)
        self.guides = nn.ModuleList(SpatialGuide(*arguments) for arguments in guides)
        self.norm = nn.LayerNorm(TEMPORAL_CHANNELS[-1])
        skips = zip(TEMPORAL_CHANNELS, SKIP_CHANNELS, strict=True)
        self.skips = nn.ModuleList(SkipUnit(*arguments) for arguments in skips)
        blocks = _v2_blocks(DECODER, drop_rate)
        self.decoder = nn.ModuleList(
            [
                Expand(TEMPORAL_CHANNELS[-1]),
                nn.Sequential(*next(blocks), Expand(DECODER[0][0])),
                nn.Sequential(*next(blocks), Expand(DECODER[1][0])),
                nn.Sequential(*next(blocks), nn.LayerNorm(DECODER[2][0])),
            ]
        )
        self.head = nn.ModuleList(
            nn.Sequential(Expand(4 * channels), *blocks)
            for (channels, _, _), blocks in zip(HEAD, _v2_blocks(HEAD, drop_rate), strict=True)
        )
        scales = (DECODER[-1][0], *(channels for channels, _, _ in HEAD))
        self.maps = nn.ModuleList(nn.Conv2d(channels, 1, 1) for channels in scales)
        self.fuse_maps = nn.Conv2d(len(scales), 1, 1)
        self._initialise()

    def forward(self, image: Float[Tensor, "n t c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits of the target frame, clip position 3, at the size of the clip."""
        return self.outputs(image).logits

    def outputs(self, image: Float[Tensor, "n t c h w"]) -> Outputs:
        """Logits, with those made at full, half and quarter size, all at the size of the clip."""
        clip = self.admit(image)
        k1, k2, k3, k4 = self._encode(clip)
        x = self.decoder[0](k4)  # (N, H/16, W/16, 192)
        for stage, skip in zip(list(self.decoder)[1:], (k3, k2, k1), strict=True):
            x = stage(torch.cat([x, skip], -1))  # H/8 x 96, H/4 x 48, H/4 x 96
        features = [x]
        for stage in self.head:
            features.append(stage(features[-1]))  # H/2 x 24, H x 6
        size = clip.shape[-2:]
        quarter, half, full = (
            _enlarge(to_map(feature.permute(0, 3, 1, 2)), size)
            for to_map, feature in zip(self.maps, features, strict=True)
        )
        logits = self.fuse_maps(torch.cat([quarter, half, full], 1))
        return Outputs(logits, side=(full, half, quarter))

    def _encode(self, clip: Tensor) -> list[Tensor]:
        """Clip to k1..k4, (N, H/4, W/4, 48) to (N, H/32, W/32, 768)."""
        frame = self.stem(clip[:, TARGET_FRAME])  # (N, 64, H/2, W/2)
        x = self.embedding(clip)  # (N, 3, H/4, W/4, 96)
        levels = []
        for spatial, temporal, guide in zip(self.spatial, self.temporal, self.guides, strict=True):
            frame = spatial(frame)  # at twice the side of x
            x = guide(temporal(x), frame)
            levels.append(x)
        levels[-1] = self.norm(x)
        return [skip(level) for skip, level in zip(self.skips, levels, strict=True)]

    def _initialise(self) -> None:
        """The authors' initial values; what is not named here has PyTorch's own."""
        swin = (*self.temporal.modules(), *self.decoder.modules(), *self.head.modules())
        for module in swin:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in (*self.stem.modules(), *self.spatial.modules()):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in (*self.maps, self.fuse_maps):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)


def _spatial_stages() -> Iterator[nn.Module]:
    """Layers 1-4 of the ResNet; the first keeps the side, the others halve it."""
    before = SPATIAL_CHANNELS[0]
    for level, (channels, count) in enumerate(zip(SPATIAL_CHANNELS, SPATIAL_BLOCKS, strict=True)):
        first = CBAMBlock(before, channels, 2 if level else 1)
        yield nn.Sequential(first, *(CBAMBlock(channels, channels, 1) for _ in range(count - 1)))
        before = channels


def _temporal_stages(drop_rate: float) -> Iterator[nn.Module]:
    """Stages 1-4 of the Video Swin; all but the first merge patches before their blocks."""
    rates = _drop_rates(TEMPORAL_BLOCKS, drop_rate)
    stages = zip(TEMPORAL_CHANNELS, TEMPORAL_HEADS, rates, strict=True)
    for level, (channels, heads, stage_rates) in enumerate(stages):
        blocks = nn.Sequential(
            *(
                VideoSwinBlock(channels, heads, i % 2 == 1, rate)
                for i, rate in enumerate(stage_rates)
            )
        )
        yield nn.Sequential(PatchMerging(channels // 2), blocks) if level else blocks


def _v2_blocks(
    stages: tuple[tuple[int, int, int], ...], drop_rate: float
) -> Iterator[list[SwinV2Block]]:
    """The Swin V2 blocks of each stage (channels, heads, blocks)."""
    rates = _drop_rates([count for _, _, count in stages], drop_rate)
    for (channels, heads, _), stage_rates in zip(stages, rates, strict=True):
        yield [SwinV2Block(channels, heads, i % 2 == 1, rate) for i, rate in enumerate(stage_rates)]


def _drop_rates(counts: tuple[int, ...] | list[int], last: float) -> Iterator[list[float]]:
    """From 0 to `last` over all blocks, handed out by stage."""
    rates = torch.linspace(0, last, sum(counts), dtype=torch.float64, device="cpu").tolist()
    for count in counts:
        yield rates[:count]
        rates = rates[count:]


def _enlarge(values: Tensor, size: torch.Size) -> Tensor:
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values, size=size, mode="bilinear", align_corners=True)


BLOCK_KEYS = (
    (r"\.attn\.relative_position_bias_table$", ".attention.bias_table"),
    (r"\.attn\.cpb_mlp\.", ".attention.position_mlp."),
    (r"\.attn\.", ".attention."),
    (r"\.mlp\.3\.", ".mlp.2."),
)
"""Names inside a Swin block, the same in both checkpoints."""

PUBLISHED_KEYS = (
    (r"^encoder\.norm\.", "norm."),
    (r"^encoder\.model\.0\.spatial_layer\.", "stem."),
    (r"^encoder\.model\.0\.temporal_layer\.0\.", "embedding."),
    *(
        (rf"^encoder\.model\.{level + 1}\.{theirs}\.", f"{ours}.{level}.")
        for level in range(4)
        for theirs, ours in (
            ("spatial_layer", "spatial"),
            ("temporal_layer", "temporal"),
            ("fusionst", "guides"),
        )
    ),
    (r"^(spatial\.\d\.\d)\.bn", r"\1.norm"),
    (r"^(spatial\.\d\.\d)\.downsample\.", r"\1.shortcut."),
    (r"\.ca\.fc1\.", ".channel_attention.reduce."),
    (r"\.ca\.fc2\.", ".channel_attention.expand."),
    (r"\.sa\.conv1\.", ".spatial_attention.conv."),
    (r"^(guides\.\d)\.proj_q\.", r"\1.query."),
    (r"^(guides\.\d)\.downsample\.", r"\1.query_"),
    (r"^(guides\.\d)\.proj_k\.", r"\1.key."),
    (r"^(guides\.\d)\.k_layer_norm\.", r"\1.key_norm."),
    (r"^(guides\.\d)\.multihead_attn\.", r"\1.attention."),
    (r"^(guides\.\d)\.layer_norm\.", r"\1.norm."),
    (r"^skip_layers\.", "skips."),
    (r"\.glu\.fc1\.", ".gate_in."),
    (r"\.glu\.dwconv\.dwconv\.", ".gate_conv."),
    (r"\.glu\.fc2\.", ".gate_out."),
    (r"^decoder\.norm\.", "decoder.3.2."),
    (r"^(decoder|former)\.features\.", r"\1."),
    (r"\.projection\.0\.", ".linear."),
    (r"\.projection\.1\.", ".norm."),
    (r"^former\.fc_s\.(\d)\.1\.", r"maps.\1."),
    (r"^former\.fc\.", "fuse_maps."),
    (r"^former\.", "head."),
    *BLOCK_KEYS,
)

UNUSED_KEYS = (r".*\.relative_position_index$", r".*\.relative_coords_table$")

BACKBONE_KEYS = (
    (r"^patch_embed\.", "embedding."),
    (r"^features\.0\.", "temporal.0."),
    *((rf"^features\.{2 * level - 1}\.", f"temporal.{level}.0.") for level in (1, 2, 3)),
    *((rf"^features\.{2 * level}\.", f"temporal.{level}.1.") for level in (1, 2, 3)),
    *BLOCK_KEYS,
)
"""Names of torchvision's Video Swin-T (`swin3d_t`, Kinetics-400) to ours; `norm` keeps its name."""

BACKBONE_UNUSED_KEYS = (r"head\.", r".*\.relative_position_index$")

SPEC = NetworkSpec(
    name="sgmp_unet",
    build=SGMPUNet,
    paper=(
        "W. Zhang et al., SGMP: Spatial-Semantic Guided Motion-Aware for Infrared Small Targets, "
        "TechRxiv 2025, DOI 10.36227/techrxiv.174909854.43812513/v1"
    ),
    sizes=SIZES,
    dynamic_axes=("batch",),
    fixed_reason="windows, their padding and their masks are laid out for one size",
    in_channels=3,
    frames=FRAMES,
    target_frame=TARGET_FRAME,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    fit="resize",
    fit_size=(320, 576),
    published_keys=PUBLISHED_KEYS,
    unused_keys=UNUSED_KEYS,
    backbone=("stem.", "embedding.", "spatial.", "temporal.", "norm."),
    parity=5e-3,
    parity_reason=(
        "torch in float32 differs from float64 by up to 2.9e-3 of a deviation at random weights: "
        "LayerNorm over 6 channels and cosine attention with 2 channels per head at full size"
    ),
)
