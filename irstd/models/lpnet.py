"""LPNet: a local patch network under global attention.

Paper: F. Chen et al., "Local Patch Network with Global Attention for Infrared Small Target
Detection", IEEE TAES 2022, DOI 10.1109/TAES.2022.3159308.
Code of the authors: github.com/sysuimg/Local-Patch-Network-with-Global-Attention (`LPNetGA_v2`).

Every overlapping patch of the attended features passes the same small network; the probability
patches are added up again and the sum is brought to [0, 1] by minimum and maximum of the image.
`forward` returns the logit of that map, clamped to [1e-7, 1 - 1e-7]: its sigmoid is the published
map. Some pixel is thus always 1; `mean_probability` is comparable between images. Differences to
the authors' code:

- all patches pass in one batch, not one by one with a copy to the host each;
- patches wholly in the padding are left out: they add nothing to the map (in training one of them
  stands for all in the running statistics of the batch norms);
- a constant map gives probability 0 instead of 0/0;
- the map has gradients. The published loss sees the patches inside the image only; those across
  the border are therefore checkpointed: they cost nothing in the backward pass of such a loss.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from irstd.errors import ModelError
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec, SizeRule
from irstd.types import Outputs

FEATURE_CHANNELS = (64, 128, 64, 8)
ATTENTION_CHANNELS = (32, 64, 128, 64, 32, 1)
BRANCH_CHANNELS = 4
BRANCH_KERNELS = (1, 3, 5)
PATCH_CHANNELS = 32
PATCH_BLOCKS = (32, 32, 1)
MOMENTUM = 0.1
CLAMP = 1e-7

Statistics = Literal["running", "own"]


class GroupedBatchNorm(nn.BatchNorm2d):
    """Batch norm that can also take its statistics per group of channels of a wider tensor.

    Called as a module it is the usual batch norm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=MOMENTUM)
        self.seen: tuple[Tensor, ...] = ()  # mean and unbiased variance, (groups, C) each

    def grouped(self, x: Tensor, groups: int) -> Tensor:
        """Normalise (N * groups, C, H, W), each group with its statistics over the N images.

        Sample n * groups + g belongs to group g. Equals one call of the usual batch norm per
        group, in training mode, but leaves the running statistics to `record`.
        """
        channels = groups * self.num_features
        mean, variance = self.weight.new_zeros(2, channels)
        y = F.batch_norm(
            x.reshape(-1, channels, *x.shape[-2:]),
            mean,
            variance,
            self.weight.repeat(groups),
            self.bias.repeat(groups),
            training=True,
            momentum=1.0,
            eps=self.eps,
        )
        self.seen = (mean.view(groups, -1), variance.view(groups, -1))
        return y.reshape(x.shape)

    @torch.no_grad()
    def record(self, shares: Tensor, updates: int) -> None:
        """Move the running statistics by those of the groups seen last.

        One update is r <- (1 - m) r + m s; after T of them r_T = (1 - m)^T r_0 + sum over t of
        m (1 - m)^(T - 1 - t) s_t.

        Args:
            shares: (groups,), the factors of s_t for these groups.
            updates: T where this is the first call for these T updates, else 0.
        """
        keep = (1 - MOMENTUM) ** updates
        for name, seen in zip(("running_mean", "running_var"), self.seen, strict=True):
            self.get_buffer(name).mul_(keep).add_(shares.to(seen.dtype) @ seen)
        self.get_buffer("num_batches_tracked").add_(updates)


def normalise(norm: nn.Module, x: Tensor, groups: int) -> Tensor:
    """Batch norm: the usual one where `groups` is 0; a norm folded away has no statistics."""
    if groups and isinstance(norm, GroupedBatchNorm):
        return norm.grouped(x, groups)
    return norm(x)


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = GroupedBatchNorm(conv.out_channels)

    def forward(self, x: Tensor, groups: int = 0) -> Tensor:
        """`groups`: see `normalise`."""
        return F.relu(normalise(self.norm, self.conv(x), groups))


class ResidualBlock(nn.Module):
    """Convolutions 1x1, 3x3, 1x1; the shortcut is a 3x3 convolution where channels change."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1)
        self.norm1 = GroupedBatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = GroupedBatchNorm(channels)
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm3 = GroupedBatchNorm(channels)
        self.shortcut: nn.Module = nn.Identity()
        self.shortcut_norm: nn.Module = nn.Identity()
        if in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 3, padding=1)
            self.shortcut_norm = GroupedBatchNorm(channels)

    def forward(self, x: Tensor, groups: int = 0) -> Tensor:
        """(N, in, H, W) to (N, out, H, W); `groups`: see `normalise`."""
        y = F.relu(normalise(self.norm1, self.conv1(x), groups))
        y = F.relu(normalise(self.norm2, self.conv2(y), groups))
        y = normalise(self.norm3, self.conv3(y), groups)
        return F.relu(y + normalise(self.shortcut_norm, self.shortcut(x), groups))


class ResidualStack(nn.Module):
    """Residual blocks one after the other: the global feature extraction, and parts below."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        before = (in_channels, *widths)
        self.blocks = nn.ModuleList(map(ResidualBlock, before, widths))

    def forward(self, x: Tensor, groups: int = 0) -> Tensor:
        """(N, in, H, W) to (N, widths[-1], H, W)."""
        for block in self.blocks:
            x = block(x, groups)
        return x


class GlobalAttention(nn.Module):
    """One weight per pixel from the global features; the weights of an image add up to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ResidualStack(FEATURE_CHANNELS[-1], ATTENTION_CHANNELS)
        self.project = nn.Conv2d(1, 1, 1)

    def forward(self, features: Tensor, groups: int = 0) -> Tensor:
        """(N, 8, H, W) to (N, 1, H, W)."""
        scores = self.project(self.stack(features, groups))
        return scores.flatten(1).softmax(1).reshape(scores.shape)


class LocalPatchNetwork(nn.Module):
    """The network that all patches share: from 8 features to one logit per pixel."""

    def __init__(self) -> None:
        super().__init__()
        before = FEATURE_CHANNELS[-1]
        self.branches = nn.ModuleList(
            ConvNorm(nn.Conv2d(before, BRANCH_CHANNELS, kernel, padding=kernel // 2))
            for kernel in BRANCH_KERNELS
        )
        joined = len(BRANCH_KERNELS) * BRANCH_CHANNELS
        self.enlarge = ConvNorm(nn.ConvTranspose2d(joined, PATCH_CHANNELS, 3, 2, 1, 1))
        self.stack = ResidualStack(PATCH_CHANNELS, PATCH_BLOCKS)
        self.classify = nn.Conv2d(1, 1, 1)

    def forward(self, patches: Tensor, groups: int = 0) -> Tensor:
        """(B, 8, k, k) to (B, 1, k, k), at least float32; `groups`: see `normalise`."""
        x = torch.cat([branch(patches, groups) for branch in self.branches], 1)  # (B, 12, k, k)
        x = self.stack(self.enlarge(x, groups), groups)  # (B, 1, 2k, 2k)
        logits = self.classify(F.max_pool2d(x, 2))
        # Sums of probabilities, and 1 - 1e-7, are beyond half precision.
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    @property
    def norms(self) -> list[GroupedBatchNorm]:
        """Its batch norms; none where they are folded away."""
        return [module for module in self.modules() if isinstance(module, GroupedBatchNorm)]

    def record(self, shares: Tensor, updates: int = 0) -> None:
        """See `GroupedBatchNorm.record`; norms that do not train keep their statistics."""
        for norm in self.norms:
            if norm.training:
                norm.record(shares, updates)


class LPNet(Network):
    """The whole network.

    In training mode batch norms take the statistics of the batch; those of the patch network one
    patch position at a time, over the images of the batch, and their running statistics move once
    per position, in the order of the authors' loop. Norms in evaluation mode inside a network that
    trains (frozen ones) use their running statistics and leave them as they are.

    Args:
        in_channels: channels of the image.
        patch: side k of a patch, in pixels.
        stride: distance s of neighbouring patches, in pixels; k is a multiple of it.
        chunk: patches per pass through the patch network in evaluation mode; bounds the memory.
            Few suit the cache of a CPU, many a GPU. An ONNX file takes all in one pass.
        norm_statistics: what batch norms use in evaluation mode. `running`: running statistics;
            `own`: statistics of their own input, of each image and of each patch, as in the
            authors' test script (their batch norms can't be folded, nor exported to ONNX).

    Raises:
        ModelError: an argument outside these choices; in `forward`, a height or width that is
            below k or not a multiple of s.
    """

    def __init__(
        self,
        in_channels: int = 1,
        patch: int = 30,
        stride: int = 10,
        chunk: int = 8,
        norm_statistics: Statistics = "running",
    ) -> None:
        _check_arguments(patch, stride, chunk, norm_statistics)
        super().__init__("lpnet", in_channels, SizeRule(multiple=stride, minimum=patch))
        self.patch, self.stride, self.chunk = patch, stride, chunk
        self.margin = patch // stride - 1  # rows of patches across each border of the image
        self.norm_statistics = norm_statistics
        self.gfe = ResidualStack(in_channels, FEATURE_CHANNELS)
        self.attn = GlobalAttention()
        self.lfe = LocalPatchNetwork()

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits of the map between minimum and maximum, at the size of the image."""
        return _to_logits(self.mean_probability(image))

    def mean_probability(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        """Mean of the probabilities that the (k/s)^2 patches on a pixel give it."""
        attended, _ = self._attend(self.admit(image))
        touching, _ = self._patch_logits(attended)
        return self._add_up(touching.sigmoid())

    def outputs(self, image: Float[Tensor, "n c h w"]) -> Outputs:
        """Logits, logits of the patches inside the image, attention."""
        attended, attention = self._attend(self.admit(image))
        touching, inside = self._patch_logits(attended)
        logits = _to_logits(self._add_up(touching.sigmoid()))
        return Outputs(logits, patches=inside, attention=attention)

    def _attend(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Attended features (N, 8, H, W) and attention (N, 1, H, W)."""
        if self._own and torch.compiler.is_exporting():
            raise ModelError(
                "lpnet: only running statistics export to ONNX; "
                "build the network with norm_statistics='running'"
            )
        groups = image.shape[0] if self._own else 0
        features = self.gfe(image, groups)
        attention = self.attn(features, groups)
        return features * attention, attention

    @property
    def _own(self) -> bool:
        return self.norm_statistics == "own" and not self.training

    def _patch_logits(self, attended: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the R x C patches that touch the image, and of the P of them inside it.

        Returns:
            (N, R, C, k, k) and (N, P, k, k).
        """
        n, channels, *sides = attended.shape
        k, s = self.patch, self.stride
        grid = tuple(side // s + self.margin for side in sides)
        patches = F.unfold(attended, k, padding=k - s, stride=s)  # (N, 8 k k, R C)
        patches = patches.transpose(1, 2).reshape(n, -1, channels, k, k)
        if self.training:
            touching, inside = self._by_position(patches, grid)
            return touching.reshape(n, *grid, k, k), inside
        touching = self._in_chunks(patches.flatten(0, 1)).reshape(n, *grid, k, k)
        middle = slice(self.margin, -self.margin)
        return touching, touching[:, middle, middle].flatten(1, 2)

    def _in_chunks(self, patches: Tensor) -> Tensor:
        """(B, 8, k, k) to (B, 1, k, k)."""
        if torch.compiler.is_exporting():  # the number of chunks would be that of the example
            return self.lfe(patches)
        return torch.cat(
            [self.lfe(part, len(part) * self._own) for part in torch.split(patches, self.chunk)]
        )

    def _by_position(self, patches: Tensor, grid: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Training mode: logits (N, R C, k, k) and (N, P, k, k); updates running statistics."""
        n = len(patches)
        by_batch = any(norm.training for norm in self.lfe.norms)
        inside, border = _positions(grid, self.margin, patches.device)
        shares = _update_shares((grid[0] + 2, grid[1] + 2), patches.device)
        touching = shares[1:-1, 1:-1].flatten()
        middle = self.lfe(patches[:, inside].flatten(0, 1), len(inside) * by_batch)
        self.lfe.record(touching[inside], updates=shares.numel())
        across = checkpoint(
            self.lfe,
            patches[:, border].flatten(0, 1),
            len(border) * by_batch,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        self.lfe.record(touching[border])
        with torch.no_grad():
            self.lfe(torch.zeros_like(patches[:, 0]), int(by_batch))
        self.lfe.record((shares.sum() - touching.sum())[None])
        middle, across = (part.reshape(n, -1, *part.shape[2:]) for part in (middle, across))
        order = torch.cat([inside, border]).argsort()
        return torch.cat([middle, across], 1)[:, order], middle

    def _add_up(self, patches: Tensor) -> Tensor:
        """Probabilities (N, R, C, k, k) to their mean per pixel (N, 1, H, W)."""
        k, s = self.patch, self.stride
        rows, cols = ((count - self.margin) * s for count in patches.shape[1:3])
        columns = patches.flatten(3).flatten(1, 2).transpose(1, 2)  # (N, k k, R C)
        total = F.fold(columns, (rows, cols), k, padding=k - s, stride=s)
        return total / (k // s) ** 2


def _positions(grid: tuple[int, ...], margin: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Numbers of the patches inside the image, and of those across its border."""
    numbers = torch.arange(grid[0] * grid[1], device=device).reshape(grid)
    middle = numbers[margin:-margin]
    border = (numbers[:margin], middle[:, :margin], middle[:, -margin:], numbers[-margin:])
    return middle[:, margin:-margin].flatten(), torch.cat([part.flatten() for part in border])


def _update_shares(grid: tuple[int, int], device: torch.device) -> Tensor:
    """Share in the running statistics of each patch of the loop, which goes row by row."""
    count = grid[0] * grid[1]
    later = torch.arange(count - 1, -1, -1, dtype=torch.float64, device=device)
    return (MOMENTUM * (1 - MOMENTUM) ** later).reshape(grid)


def _to_logits(total: Tensor) -> Tensor:
    """Bring each map to [0, 1] by its minimum and maximum, and take the clamped logit."""
    lowest = total.amin((1, 2, 3), keepdim=True)
    extent = total.amax((1, 2, 3), keepdim=True) - lowest
    probability = (total - lowest) / torch.where(extent > 0, extent, 1.0)
    return torch.logit(probability, eps=CLAMP)


def _check_arguments(patch: int, stride: int, chunk: int, norm_statistics: str) -> None:
    if stride < 1 or patch < 2 * stride or patch % stride:
        raise ModelError(
            "lpnet: patch must be a multiple of stride, at least twice it, "
            f"got patch {patch} and stride {stride}"
        )
    if chunk < 1:
        raise ModelError(f"lpnet: chunk must be at least 1 patch, got {chunk}")
    if norm_statistics not in ("running", "own"):
        raise ModelError(f"lpnet: norm_statistics must be running or own, got {norm_statistics!r}")


PUBLISHED_KEYS = (
    (r"^gfe\.", "gfe.blocks."),
    (r"^attn\.block", "attn.stack.blocks.block"),
    (r"^attn\.cnn\.", "attn.project."),
    (r"^lfe\.conv_k1\.", "lfe.branches.0."),
    (r"^lfe\.conv_k3\.", "lfe.branches.1."),
    (r"^lfe\.conv_k5\.", "lfe.branches.2."),
    (r"^lfe\.patch_net\.deconv\.deconv\.", "lfe.enlarge.conv."),
    (r"^lfe\.patch_net\.deconv\.bn\.", "lfe.enlarge.norm."),
    (r"^lfe\.patch_net\.block", "lfe.stack.blocks.block"),
    (r"^lfe\.patch_net\.classifier\.", "lfe.classify."),
    *((rf"\.block{number}\.", f".{number - 1}.") for number in range(1, 7)),
    (r"\.bn(\d)\.", r".norm\1."),
    (r"^(lfe\.branches\.\d)\.bn\.", r"\1.norm."),
    (r"\.bn\.", ".shortcut_norm."),
    (r"\.identity\.", ".shortcut."),
)

SPEC = NetworkSpec(
    name="lpnet",
    build=LPNet,
    paper=(
        "F. Chen et al., Local Patch Network with Global Attention for Infrared Small Target "
        "Detection, IEEE TAES 2022, DOI 10.1109/TAES.2022.3159308"
    ),
    sizes=SizeRule(multiple=10, minimum=30),
    dynamic_axes=("batch", "height", "width"),
    fit="stretch",
    fit_size=(120, 120),
    compare="probability",
    published_keys=PUBLISHED_KEYS,
    parity=3e-3,
    parity_reason=(
        "the map between minimum and maximum enlarges rounding: with the weights of the golden "
        "tests torch in float32 differs from float64 by up to 8e-4, ONNX from torch by 9e-4"
    ),
)
