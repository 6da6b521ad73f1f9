"""PQGNet: a U-shaped network guided by a coarse map of where targets may be.

Paper: P. Liu, A. Li, Y. Lu, T. Zhang, M. Yang, Q. Zhou, "PQGNet: Perceptual Query Guided Network
for Infrared Small Target Detection", IEEE TGRS 2026, DOI 10.1109/TGRS.2026.3654433.
Authors' code: https://github.com/PepperCS/PQGNet (no weights).

The same numbers come out with less work: only the bands that are used are computed, with exact
Haar taps (published 0.49999997, below 5e-6 deviations of the output); the norm of the token
attention swallows the scale of its products; in PQGM the two 32 x 32 matrices are multiplied
before they meet the plane; `forward` computes neither the grid nor the auxiliary maps.
PQSM is PFCM, the five PQGM and the loss of the grid; it has no weights of its own.
One gradient differs: that of a batch norm over constant planes (`BatchNorm`).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule
from irstd.models.wavelets import Analysis, Synthesis
from irstd.types import Outputs

CHANNELS = 32  # of every level
CELLS = (16, 8, 4, 2, 1)  # side of the cell that one token covers, levels 1 to 5
TOKEN_CHANNELS = CHANNELS * len(CELLS)
ATTENTION_LAYERS = 2
SIZES = SizeRule(multiple=256, minimum=256, maximum=256)


class BatchNorm(nn.BatchNorm2d):
    """A batch norm through which a channel that is constant over the batch sends no gradient.

    Without variance the gradient is multiplied by 1 / sqrt(eps) = 316. At the start, biases 0, a
    black batch leaves every plane constant, and 31 such norms in a row overflow float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The published values."""
        if self.training:
            fixed = x.detach()
            constant = fixed.amax((0, 2, 3), keepdim=True) == fixed.amin((0, 2, 3), keepdim=True)
            x = torch.where(constant, fixed, x)
        return super().forward(x)


class ResidualBlock(nn.Module):
    """RLB, the Res Block of the paper. Its slopes are 0.01 once and 0.2 twice."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Conv2d(in_channels, CHANNELS, 3, padding=1), BatchNorm(CHANNELS), nn.LeakyReLU()
        )
        self.body = nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 5, padding=2),
            BatchNorm(CHANNELS),
            nn.LeakyReLU(0.2),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            BatchNorm(CHANNELS),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, 32, H, W)."""
        shortcut = self.proj(x)
        return F.leaky_relu(shortcut + self.body(shortcut), 0.2)


class HybridDown(nn.Module):
    """MWHL: halves the plane by max pooling and by the low band of the wavelet, side by side."""

    def __init__(self, wavelet: str) -> None:
        super().__init__()
        self.low = Analysis(wavelet, ("ll",))
        self.mix = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)
        self.block = ResidualBlock(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 32, H, W) to (N, 32, H/2, W/2)."""
        halves = torch.cat([self.low(x).flatten(1, 2), F.max_pool2d(x, 2)], 1)
        return self.block(self.mix(halves))


class TokenAttention(nn.Module):
    """Cosine attention among all T cells, its T x T matrix normalised as one plane.

    That norm needs the mean and variance of all products before the softmax, so no fused
    attention kernel applies. Normalising C / sqrt(T) with eps is normalising C with T eps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.query, self.key, self.value = (
            nn.Sequential(
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            )
            for _ in range(3)
        )
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Adds to each token what the others tell it."""
        y = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        query = F.normalize(self.query(y).flatten(2), dim=1)  # (N, C, T), unit tokens
        key = F.normalize(self.key(y).flatten(2), dim=1)
        cosines = query.transpose(1, 2) @ key  # (N, T, T)
        tokens = cosines.shape[-1]
        weights = F.layer_norm(cosines, (tokens, tokens), eps=tokens * 1e-5).softmax(-1)
        mixed = self.value(y).flatten(2) @ weights.transpose(1, 2)  # (N, C, T)
        return x + self.project(mixed.reshape(x.shape))


class FeatureConstruction(nn.Module):
    """PFCM: a token per 16 x 16 cell of the image from all five levels, then attention: P."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(CHANNELS, CHANNELS, cell, cell),
                BatchNorm(CHANNELS),
                nn.LeakyReLU(),
            )
            for cell in CELLS
        )
        self.attention = nn.Sequential(
            *(TokenAttention(TOKEN_CHANNELS) for _ in range(ATTENTION_LAYERS))
        )
        self.feature = nn.Sequential(
            nn.Conv2d(TOKEN_CHANNELS, CHANNELS, 1), BatchNorm(CHANNELS), nn.LeakyReLU()
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        """e1..e5 to P, (N, 32, H/16, W/16)."""
        tokens = [embed(x) for embed, x in zip(self.embeddings, levels, strict=True)]
        return self.feature(self.attention(torch.cat(tokens, 1)))


class QueryGuidance(nn.Module):
    """PQGM: attention among the channels of a skip, its keys from P.

    Args:
        cell: side of the skip's cell that one position of P covers.
    """

    def __init__(self, cell: int) -> None:
        super().__init__()
        self.cell = cell
        self.query, self.key, self.value = (
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False) for _ in range(3)
        )
        self.project = nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False)

    def forward(self, skip: Tensor, perceived: Tensor) -> Tensor:
        """e_i and P to s_i, of the shape of e_i."""
        query = F.normalize(self.query(F.avg_pool2d(skip, self.cell)).flatten(2), dim=2)
        key = F.normalize(self.key(perceived).flatten(2), dim=2)  # (N, 32, T), unit channels
        weights = (query @ key.transpose(1, 2) / math.sqrt(CHANNELS)).softmax(-1)  # (N, 32, 32)
        mix = self.project.weight.flatten(1) @ weights
        return skip + (mix @ self.value(skip).flatten(2)).reshape(skip.shape)


class GuidedGates(nn.Module):
    """Channel and spatial gate of HEWL: the coarse feature says where its skip's edges matter."""

    def __init__(self) -> None:
        super().__init__()
        self.channel = nn.Sequential(
            nn.Conv2d(3 * CHANNELS, CHANNELS, 1, groups=CHANNELS),
            nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 1),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(nn.Conv2d(2, 1, 3, padding=1), nn.Sigmoid())

    def forward(
        self, x: Float[Tensor, "n c h w"], high: Float[Tensor, "n c 3 h w"]
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c 3 h w"]]:
        """The coarse feature and the high bands, each with its gated copy added."""
        deviation, mean = torch.std_mean(x, (2, 3), keepdim=True)
        per_channel = torch.stack([mean, x.amax((2, 3), keepdim=True), deviation], 2)
        x = x + x * self.channel(per_channel.flatten(1, 2))
        per_place = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x, high + high * self.spatial(per_place)[:, :, None]


class EnhancedUp(nn.Module):
    """HEWL: doubles the plane by the inverse wavelet, with the high bands of the skip."""

    def __init__(self, wavelet: str) -> None:
        super().__init__()
        self.high = Analysis(wavelet, ("lh", "hl", "hh"))
        self.gates = GuidedGates()
        self.synthesis = Synthesis(wavelet)
        self.smooth = nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), BatchNorm(CHANNELS), nn.LeakyReLU()
        )
        self.block = ResidualBlock(2 * CHANNELS)

    def forward(self, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 32, H/2, W/2) and (N, 32, H, W) to the output and the feature of the auxiliary map.

        Both results have the size of the skip.
        """
        low, high = self.gates(x, self.high(skip))
        restored = self.smooth(self.synthesis(torch.cat([low[:, :, None], high], 2)))
        return self.block(torch.cat([skip, restored], 1)), restored


class PQGNet(Network):
    """The whole network.

    Args:
        in_channels: channels of the image.
        wavelet: discrete wavelet of PyWavelets (`haar` in the paper) that halves and doubles
            planes; they go on periodically beyond the border.

    Raises:
        ModelError: a wavelet that does not exist; in `forward`, an image that is not 256 x 256.
    """

    def __init__(self, in_channels: int = 1, wavelet: str = "haar") -> None:
        super().__init__("pqgnet", in_channels, SIZES)
        self.encoder = nn.ModuleList(
            [ResidualBlock(in_channels), *(HybridDown(wavelet) for _ in CELLS[1:])]
        )
        self.pfcm = FeatureConstruction()
        self.pqgm = nn.ModuleList(QueryGuidance(cell) for cell in CELLS)
        self.decoder = nn.ModuleList(EnhancedUp(wavelet) for _ in CELLS[1:])
        self.head = nn.Conv2d(CHANNELS, 1, 1)
        self.grid = nn.Conv2d(CHANNELS, 1, 1)
        self.auxiliary = nn.ModuleList(nn.Conv2d(CHANNELS, 1, 1) for _ in CELLS[1:])
        self._initialise()

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits m at the size of the image."""
        _, decoded, _ = self._features(image)
        return self.head(decoded)

    def outputs(self, image: Float[Tensor, "n c h w"]) -> Outputs:
        """Logits m, the auxiliary maps a4, a3, a2, a1 at its size, and the grid G, H/16 x W/16."""
        perceived, decoded, restored = self._features(image)
        side = tuple(
            F.interpolate(auxiliary(x), size=image.shape[-2:], mode="nearest")
            for auxiliary, x in zip(self.auxiliary, restored, strict=True)
        )
        return Outputs(self.head(decoded), side=side, grid=self.grid(perceived))

    def _features(self, image: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """P, d1, and the features of the auxiliary maps, coarse to fine."""
        x = self.admit(image)
        levels = []
        for stage in self.encoder:
            x = stage(x)
            levels.append(x)  # e1..e5: (N, 32, H, W) to (N, 32, H/16, W/16)
        perceived = self.pfcm(levels)  # P: (N, 32, H/16, W/16)
        *skips, x = [guide(e, perceived) for guide, e in zip(self.pqgm, levels, strict=True)]
        restored = []
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x, feature = stage(x, skip)
            restored.append(feature)  # (N, 32, H/8, W/8) to (N, 32, H, W), as is x
        return perceived, x, restored

    def _initialise(self) -> None:
        """Convolutions normal with variance 2 / fan-out, their biases zero (published trainer)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


LEVELS = range(1, len(CELLS) + 1)
PUBLISHED_KEYS = (
    *((rf"^enc{level}\.", f"encoder.{level - 1}.") for level in LEVELS),
    *((rf"^dec{level}\.PredOut\.0\.", f"auxiliary.{4 - level}.") for level in LEVELS[:-1]),
    *((rf"^dec{level}\.", f"decoder.{4 - level}.") for level in LEVELS[:-1]),
    (r"^(encoder\.\d)\.conv_D\.", r"\1.mix."),
    (r"^(encoder\.\d)\.ResBlock\.", r"\1.block."),
    (r"^PFCM\.PatchEmbeddings\.(\d)\.body\.", r"pfcm.embeddings.\1."),
    (r"^PFCM\.TransDecoder\.layers\.", "pfcm.attention."),
    (r"^(pfcm\.attention\.\d)\.attn_norm\.body\.", r"\1.norm."),
    (r"^PFCM\.Conv1\.", "pfcm.feature."),
    (r"^PFCM\.Conv2\.", "grid."),
    (r"^PQGMS\.", "pqgm."),
    *(
        pair
        for letter, role in (("q", "query"), ("k", "key"), ("v", "value"))
        for pair in (
            (rf"^(pfcm\.attention\.\d)\.mhead{letter}\.", rf"\1.{role}.0."),
            (rf"^(pfcm\.attention\.\d)\.{letter}\.", rf"\1.{role}.1."),
            (rf"^(pqgm\.\d)\.{letter}\.", rf"\1.{role}."),
        )
    ),
    (r"^((?:pfcm\.attention|pqgm)\.\d)\.project_out\.", r"\1.project."),
    (r"^(decoder\.\d)\.alca\.share_mlp\.", r"\1.gates.channel."),
    (r"^(decoder\.\d)\.alca\.spconv\.", r"\1.gates.spatial."),
    (r"^(decoder\.\d)\.Conv\.", r"\1.smooth."),
    (r"^(decoder\.\d)\.Out\.", r"\1.block."),
    (r"^Conv\.", "head."),
)
UNUSED_KEYS = (r".*\.dwt\.w_[lh][lh]$", r".*\.idwt\.filters$")  # taps of the wavelet

SPEC = NetworkSpec(
    name="pqgnet",
    build=PQGNet,
    paper=(
        "P. Liu et al., PQGNet: Perceptual Query Guided Network for Infrared Small Target "
        "Detection, IEEE TGRS 2026, DOI 10.1109/TGRS.2026.3654433"
    ),
    sizes=SIZES,
    dynamic_axes=("batch",),
    fixed_reason=(
        "PQGM compares a query pooled to 16 x 16 positions with the H/16 x W/16 tokens of PFCM; "
        "published and trained for 256 x 256 alone"
    ),
    fit="stretch",
    fit_size=(256, 256),
    published_keys=PUBLISHED_KEYS,
    unused_keys=UNUSED_KEYS,
)
