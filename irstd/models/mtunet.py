"""MTU-Net: a U-Net whose bottleneck also holds one transformer per encoder level.

Paper: T. Wu et al., "MTU-Net: Multilevel TransUNet for Space-Based Infrared Tiny Ship Detection",
IEEE TGRS 2023, DOI 10.1109/TGRS.2023.3235002.
Code of the authors: github.com/TianhaoWu16/Multi-level-TransUNet-for-Space-based-Infrared-Tiny-
ship-Detection.

The default is the network that the published weights belong to, with what is odd in it: tokens
sampled on a lattice, attention scaled by 32 instead of 1/8, post-norm, the first rows of the
position table whatever the shape of the token grid. Differences, none of which changes a number
at 1024 x 1024: the token grid follows the image instead of being 64 x 64; the fifth transformer, a
convolution and a second head, which the authors build but never run, are left out.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.errors import ModelError
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule

CHANNELS = (16, 32, 64, 128, 256)  # x0..x4, strides 1, 2, 4, 8, 16
TOKEN_STRIDE = 16
TOKEN_CHANNELS = 64
TABLE_SIDE = 64  # the position table was made for 64 x 64 tokens
MLP_CHANNELS = 4096
PUBLISHED_SCALE = 32.0  # TOKEN_CHANNELS ** 1 / 2, where the root was meant
SLOPE = 0.01
DROPOUT = 0.1
SIZES = SizeRule(multiple=TOKEN_STRIDE, max_area=(TABLE_SIDE * TOKEN_STRIDE) ** 2)
ANY_SIZES = SizeRule(multiple=TOKEN_STRIDE)

Form = Literal["published", "corrected"]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, 1, 1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        y = F.leaky_relu(self.norm1(self.conv1(x)), SLOPE)
        return F.leaky_relu(self.norm2(self.conv2(y)) + self.shortcut(x), SLOPE)


class Attention(nn.Module):
    """Self-attention with one head, in float32 under autocast.

    At the published scale the softmax is nearly a maximum: half precision picks other maxima.
    """

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.scale = PUBLISHED_SCALE if form == "published" else TOKEN_CHANNELS**-0.5
        self.qkv = nn.Linear(TOKEN_CHANNELS, 3 * TOKEN_CHANNELS, bias=False)
        self.project = nn.Linear(TOKEN_CHANNELS, TOKEN_CHANNELS, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, 64) to the same shape."""
        device = tokens.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._attend(tokens.to(self.qkv.weight.dtype))
        return self._attend(tokens)

    def _attend(self, tokens: Tensor) -> Tensor:
        # Query, key and value alternate from channel to channel.
        triples = self.qkv(tokens).unflatten(-1, (TOKEN_CHANNELS, 3))
        query, key, value = triples[:, None].unbind(-1)  # (N, 1, L, 64)
        mixed = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        return self.project(mixed[:, 0])


class LevelTransformer(nn.Module):
    """Tokens of one encoder level through one post-norm block (one level of the MVTM).

    Args:
        channels: channels of the level.
        patch: side of a token's patch, in pixels of the level.
        form: see `MTUNet`.
        interpolate_positions: see `MTUNet`.
    """

    def __init__(self, channels: int, patch: int, form: Form, interpolate_positions: bool) -> None:
        super().__init__()
        self.patch, self.form = patch, form
        self.interpolate_positions = interpolate_positions
        self.project = nn.Linear(channels * patch**2, TOKEN_CHANNELS)
        self.class_token = nn.Parameter(torch.zeros(1, 1, TOKEN_CHANNELS))
        self.positions = nn.Parameter(torch.zeros(TABLE_SIDE**2 + 1, TOKEN_CHANNELS))
        self.attention = Attention(form)
        self.dropout = nn.Dropout(DROPOUT)
        self.norm1 = nn.LayerNorm(TOKEN_CHANNELS)
        self.mlp = nn.Sequential(
            nn.Linear(TOKEN_CHANNELS, MLP_CHANNELS),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(MLP_CHANNELS, TOKEN_CHANNELS),
            nn.Dropout(DROPOUT),
        )
        self.norm2 = nn.LayerNorm(TOKEN_CHANNELS)

    def forward(self, level: Tensor) -> Tensor:
        """(N, c, h p, w p) to (N, 64, h, w)."""
        height, width = level.shape[-2] // self.patch, level.shape[-1] // self.patch
        tokens = self.project(self._sample(level, height, width))  # (N, h w, 64)
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], 1)
        tokens = tokens + self._positions(height, width)  # (N, 1 + h w, 64)
        tokens = self.norm1(tokens + self.dropout(self.attention(tokens)))
        tokens = self.norm2(tokens + self.mlp(tokens))
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (height, width))

    def _sample(self, level: Tensor, height: int, width: int) -> Tensor:
        """Pixels of each token: (N, h w, p p c).

        Published: token (y, x) holds the pixels (r h + y, s w + x); corrected: the pixels
        (y p + r, x p + s) of a patch; r and s from 0 to p - 1.
        """
        n, c = level.shape[:2]
        p = self.patch
        if self.form == "published":
            pixels = level.reshape(n, c, p, height, p, width).permute(0, 3, 5, 2, 4, 1)
        else:
            pixels = level.reshape(n, c, height, p, width, p).permute(0, 2, 4, 3, 5, 1)
        return pixels.reshape(n, height * width, p * p * c)

    def _positions(self, height: int, width: int) -> Tensor:
        """Rows of the position table for the class token and h w tokens."""
        if not self.interpolate_positions:
            return self.positions[: height * width + 1]
        grid = self.positions[1:].T.reshape(1, TOKEN_CHANNELS, TABLE_SIDE, TABLE_SIDE)
        grid = F.interpolate(grid, size=(height, width), mode="bilinear", align_corners=False)
        return torch.cat([self.positions[:1], grid[0].flatten(1).T])


class MTUNet(Network):
    """The whole network.

    Args:
        in_channels: channels of the image.
        form: `published`: tokens sampled on a lattice over the whole image and attention scaled
            by 32; `corrected`, for own training: contiguous patches and attention scaled by 1/8.
            The tensors are the same, the functions are not.
        interpolate_positions: resample the table of 64 x 64 positions to the token grid, which
            lifts the limit of 4096 tokens; else the grid takes the first rows of the table. Both
            agree at 1024 x 1024.

    Raises:
        ModelError: an argument outside these choices; in `forward`, a height or width that is
            not a multiple of 16, or more than 4096 tokens without interpolation.
    """

    def __init__(
        self,
        in_channels: int = 3,
        form: Form = "published",
        interpolate_positions: bool = False,
    ) -> None:
        super().__init__("mtunet", in_channels, ANY_SIZES if interpolate_positions else SIZES)
        if form not in ("published", "corrected"):
            raise ModelError(f"mtunet: form must be published or corrected, got {form!r}")
        stem, *widths = CHANNELS
        self.encoder = nn.ModuleList([nn.Sequential(ResidualBlock(in_channels, stem))])
        self.encoder.extend(
            nn.Sequential(ResidualBlock(before, width), ResidualBlock(width, width))
            for before, width in zip(CHANNELS, widths, strict=False)
        )
        self.mvtm = nn.ModuleList(  # of x3, x2, x1, x0
            LevelTransformer(CHANNELS[level], TOKEN_STRIDE >> level, form, interpolate_positions)
            for level in (3, 2, 1, 0)
        )
        deepest = CHANNELS[-1]
        self.bridge = ResidualBlock(4 * TOKEN_CHANNELS + deepest, deepest)
        self.decoder = nn.ModuleList(  # to x3, x2, x1, x0
            ResidualBlock(CHANNELS[level] + CHANNELS[level + 1], CHANNELS[level])
            for level in (3, 2, 1, 0)
        )
        self.classify = nn.Conv2d(stem, 1, 1)
        self._initialise()

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits at the size of the image."""
        x = self.encoder[0](self.admit(image))
        skips = [x]
        for stage in list(self.encoder)[1:]:
            x = stage(F.max_pool2d(x, 2))
            skips.insert(0, x)
        x, *skips = skips  # x4: (N, 256, H/16, W/16); x3..x0
        tokens = [level(skip) for level, skip in zip(self.mvtm, skips, strict=True)]
        x = self.bridge(torch.cat([*tokens, x], 1))  # (N, 256, H/16, W/16)
        for block, skip in zip(self.decoder, skips, strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=True)
            x = block(torch.cat([skip, x], 1))  # H/8 .. H
        return self.classify(x)

    def _initialise(self) -> None:
        """Xavier normal convolutions (authors' code); small random positions and class token."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
            elif isinstance(module, LevelTransformer):
                nn.init.normal_(module.class_token, std=0.02)
                nn.init.normal_(module.positions, std=0.02)


PUBLISHED_KEYS = (
    (r"^conv(\d)_0\.", r"encoder.\1."),
    (r"^conv3_1_1\.0\.", "bridge."),
    (r"^conv3_1\.0\.", "decoder.0."),
    (r"^conv2_2\.0\.", "decoder.1."),
    (r"^conv1_3\.0\.", "decoder.2."),
    (r"^conv0_4\.0\.", "decoder.3."),
    (r"\.bn(\d)\.", r".norm\1."),
    (r"^vit2\.", "mvtm.0."),
    (r"^vit3\.", "mvtm.1."),
    (r"^vit4\.", "mvtm.2."),
    (r"^vit5\.", "mvtm.3."),
    (r"\.embedding$", ".positions"),
    (r"\.cls_token$", ".class_token"),
    (r"\.projection\.", ".project."),
    (r"\.transformer\.layer_blocks\.0\.", "."),
    (r"\.multi_head_attention\.qkv_layer\.", ".attention.qkv."),
    (r"\.multi_head_attention\.out_attention\.", ".attention.project."),
    (r"\.mlp\.mlp_layers\.", ".mlp."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
    (r"^final\.", "classify."),
)

UNUSED_KEYS = (r"vit1\.", r"conv0_0_0\.", r"head\.")

SPEC = NetworkSpec(
    name="mtunet",
    build=MTUNet,
    paper=(
        "T. Wu et al., MTU-Net: Multilevel TransUNet for Space-Based Infrared Tiny Ship "
        "Detection, IEEE TGRS 2023, DOI 10.1109/TGRS.2023.3235002"
    ),
    sizes=SIZES,
    dynamic_axes=("batch", "height", "width"),
    in_channels=3,
    mean=(0.1583, 0.1583, 0.1583),
    std=(0.0885, 0.0885, 0.0885),
    fit="tile",
    fit_size=(1024, 1024),
    published_keys=PUBLISHED_KEYS,
    unused_keys=UNUSED_KEYS,
)
