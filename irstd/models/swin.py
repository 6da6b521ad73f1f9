"""Transformer blocks with attention inside windows: Video Swin (V1) and Swin V2.

V1: Z. Liu et al., "Video Swin Transformer", CVPR 2022, DOI 10.1109/CVPR52688.2022.00320.
V2: Z. Liu et al., "Swin Transformer V2", CVPR 2022, DOI 10.1109/CVPR52688.2022.01170.

Maps have channels last: (N, *map, C), with `map` (T, H, W) in V1 and (H, W) in V2. How windows
cover a map depends on sizes alone (`Windows`), so all windows of a batch are one attention call;
the tables for it are computed once per size, with NumPy, and hence belong to no device.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

VIDEO_WINDOW = (8, 7, 7)
WINDOW = (7, 7)
FORBIDDEN = -100.0  # added to a score between two regions of a shifted map
MAX_LOGIT_SCALE = math.log(100.0)
HIDDEN_POSITION_CHANNELS = 512


@dataclass(frozen=True)
class Windows:
    """How windows cover one map; one entry per axis of the map.

    Attributes:
        lengths: size of the map.
        window: size of a window.
        shift: by how much the map is rolled towards its origin before it is cut.
    """

    lengths: tuple[int, ...]
    window: tuple[int, ...]
    shift: tuple[int, ...]

    @classmethod
    def fitted(
        cls, lengths: Sequence[int], window: Sequence[int], shift: Sequence[int], shrink: bool
    ) -> "Windows":
        """The published rule: along an axis that one window covers, nothing is shifted.

        Args:
            lengths: size of the map.
            window: full size of a window.
            shift: shift where an axis has several windows.
            shrink: whether a window larger than the map shrinks to it, or the map is padded.
        """
        axes = list(zip(lengths, window, shift, strict=True))
        return cls(
            tuple(lengths),
            tuple(min(length, side) if shrink else side for length, side, _ in axes),
            tuple(0 if length <= side else offset for length, side, offset in axes),
        )

    @property
    def counts(self) -> tuple[int, ...]:
        """Windows along each axis."""
        return tuple(
            -(-length // side) for length, side in zip(self.lengths, self.window, strict=True)
        )

    @property
    def padded(self) -> tuple[int, ...]:
        """Size of the map, padded at its end to whole windows."""
        return tuple(count * side for count, side in zip(self.counts, self.window, strict=True))

    def split(self, x: Tensor) -> Tensor:
        """Pad with zeros, shift and cut: (N, *lengths, C) to (N, windows, tokens, C)."""
        gaps = [after - before for before, after in zip(self.lengths, self.padded, strict=True)]
        if any(gaps):
            x = F.pad(x, (0, 0, *(side for gap in reversed(gaps) for side in (0, gap))))
        x = self._rolled(x, -1)
        channels, axes = x.shape[-1], len(self.window)
        pairs = zip(self.counts, self.window, strict=True)
        x = x.reshape(-1, *(size for pair in pairs for size in pair), channels)
        x = x.permute(0, *range(1, 2 * axes, 2), *range(2, 2 * axes + 1, 2), -1)
        return x.reshape(-1, math.prod(self.counts), math.prod(self.window), channels)

    def join(self, cells: Tensor) -> Tensor:
        """The inverse of `split`: (N, windows, tokens, C) to (N, *lengths, C)."""
        channels, axes = cells.shape[-1], len(self.window)
        x = cells.reshape(-1, *self.counts, *self.window, channels)
        x = x.permute(0, *(axis for i in range(1, axes + 1) for axis in (i, i + axes)), -1)
        x = self._rolled(x.reshape(-1, *self.padded, channels), 1)
        for axis, (length, padded) in enumerate(zip(self.lengths, self.padded, strict=True), 1):
            x = x.narrow(axis, 0, length) if length < padded else x
        return x

    def mask(self, like: Tensor) -> Tensor | None:
        """What is added to scores: (windows, 1, tokens, tokens); None where all tokens may meet.

        Args:
            like: gives dtype and device.
        """
        if not any(self.shift):
            return None
        regions = torch.from_numpy(_regions(self)).to(like.device)
        apart = regions[:, None, :, None] != regions[:, None, None, :]
        return torch.zeros_like(apart, dtype=like.dtype).masked_fill(apart, FORBIDDEN)

    def _rolled(self, x: Tensor, sign: int) -> Tensor:
        axes = [axis for axis, offset in enumerate(self.shift, 1) if offset]
        return x.roll([sign * self.shift[axis - 1] for axis in axes], axes) if axes else x


@lru_cache(maxsize=256)
def _regions(windows: Windows) -> UInt8[np.ndarray, "windows tokens"]:
    """The region each token lies in; only neighbours of the unshifted map share one.

    Along each axis the shifted map is cut a window, and a shift, before its end.
    """
    regions = np.zeros((1, 1), np.uint8)
    axes = zip(windows.counts, windows.window, windows.shift, strict=True)
    for count, side, shift in axes:
        place = np.arange(count * side).reshape(count, side)
        part = (place >= count * side - side).astype(np.uint8) + (place >= count * side - shift)
        product = 3 * regions[:, None, :, None] + part[None, :, None, :]
        regions = product.reshape(len(regions) * count, -1)
    return regions


@lru_cache(maxsize=8)
def relative_index(window: tuple[int, ...]) -> Int64[np.ndarray, "tokens tokens"]:
    """Row of the position table for each (query, key) in a window: their offset, row-major."""
    grid = np.meshgrid(*map(np.arange, window), indexing="ij")
    places = np.stack([axis.ravel() for axis in grid])
    farthest = np.array(window)[:, None, None] - 1
    offsets = places[:, :, None] - places[:, None, :] + farthest
    index = np.ravel_multi_index(tuple(offsets), tuple(2 * side - 1 for side in window))
    return index.astype(np.int64)


class WindowAttention(nn.Module, ABC):
    """Multi-head attention inside windows; V1 and V2 fill in the scores.

    Args:
        channels: C.
        heads: number of heads.
        window: size of a window.
        shift: shift of the map.
        shrink: see `Windows.fitted`.
    """

    index: Tensor

    def __init__(
        self,
        channels: int,
        heads: int,
        window: tuple[int, ...],
        shift: tuple[int, ...],
        shrink: bool,
    ) -> None:
        super().__init__()
        self.heads, self.window, self.shift, self.shrink = heads, window, shift, shrink
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.register_buffer("index", torch.tensor(relative_index(window)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *map, C) to the same shape."""
        windows = Windows.fitted(x.shape[1:-1], self.window, self.shift, self.shrink)
        cells = windows.split(x)
        count, tokens, channels = cells.shape[1:]
        bias = self.position_bias(tokens)[None]  # (1, heads, tokens, tokens)
        mask = windows.mask(bias)
        if mask is not None:
            bias = bias + mask  # (windows, heads, tokens, tokens)
        # Windows with a bias of their own stand beside the heads, others in the batch.
        own, size = len(bias), channels // self.heads
        qkv = self.project_in(cells).reshape(-1, own, tokens, 3, self.heads, size)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).flatten(2, 3).unbind(0)
        mixed = self.attend(query, key, value, bias.flatten(0, 1)[None])
        # A copy in plain order: the strides of the result depend on the kernel torch picks, and
        # the exporter takes those it saw for granted.
        mixed = mixed.reshape(-1, own, self.heads, tokens, size).transpose(2, 3)
        mixed = mixed.clone(memory_format=torch.contiguous_format)
        return windows.join(self.proj(mixed.reshape(-1, count, tokens, channels)))

    def project_in(self, cells: Tensor) -> Tensor:
        """(..., C) to packed query, key and value (..., 3 C)."""
        return self.qkv(cells)

    @abstractmethod
    def position_bias(self, tokens: int) -> Tensor:
        """What the position of query and key adds to their score, (heads, tokens, tokens)."""

    @abstractmethod
    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Attention with scores of its kind plus `bias`."""


class VideoWindowAttention(WindowAttention):
    """V1, on clips: scaled scores, a learned bias for each offset."""

    def __init__(self, channels: int, heads: int, shifted: bool) -> None:
        shift = tuple(side // 2 if shifted else 0 for side in VIDEO_WINDOW)
        super().__init__(channels, heads, VIDEO_WINDOW, shift, shrink=True)
        offsets = math.prod(2 * side - 1 for side in VIDEO_WINDOW)
        self.bias_table = nn.Parameter(torch.empty(offsets, heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def position_bias(self, tokens: int) -> Tensor:
        """Bias of the first `tokens` positions of a full window, (heads, tokens, tokens).

        Those are also taken for a window that shrank in height or width, whose own offsets differ:
        the published weights were trained with them.
        """
        rows = self.index[:tokens, :tokens].flatten()
        return self.bias_table[rows].T.reshape(-1, tokens, tokens)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d) + bias) v."""
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


class CosineWindowAttention(WindowAttention):
    """V2, on images: cosine scores, a bias computed from log-spaced offsets (3.3 of the paper)."""

    coordinates: Tensor
    has_bias: Tensor

    def __init__(self, channels: int, heads: int, shifted: bool) -> None:
        shift = tuple(side // 2 if shifted else 0 for side in WINDOW)
        super().__init__(channels, heads, WINDOW, shift, shrink=False)
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))
        self.position_mlp = nn.Sequential(
            nn.Linear(2, HIDDEN_POSITION_CHANNELS),
            nn.ReLU(),
            nn.Linear(HIDDEN_POSITION_CHANNELS, heads, bias=False),
        )
        self.register_buffer("coordinates", _log_offsets(), persistent=False)
        has_bias = torch.tensor([1.0, 0.0, 1.0]).repeat_interleave(channels)
        self.register_buffer("has_bias", has_bias, persistent=False)

    def project_in(self, cells: Tensor) -> Tensor:
        """Packed query, key, value; a key has no bias, whatever the checkpoint stores for it."""
        return F.linear(cells, self.qkv.weight, self.qkv.bias * self.has_bias)

    def position_bias(self, tokens: int) -> Tensor:
        """16 sigmoid(MLP(offset)), (heads, tokens, tokens)."""
        table = 16 * torch.sigmoid(self.position_mlp(self.coordinates))  # (169, heads)
        return table[self.index.flatten()].T.reshape(-1, tokens, tokens)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """softmax(cos(q, k) scale + bias) v; the scale, one per head, is at most 100."""
        scale = self.logit_scale.clamp(max=MAX_LOGIT_SCALE).exp()
        scale = scale.repeat(query.shape[1] // self.heads, 1, 1)  # beside the heads stand windows
        query, key = _unit(query) * scale, _unit(key)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)


def _unit(values: Tensor) -> Tensor:
    """Vectors of length 1; those of padding may be 0 and stay so, in half precision too."""
    shortest = max(1e-12, torch.finfo(values.dtype).tiny)
    return values / values.norm(dim=-1, keepdim=True).clamp(min=shortest)


def _log_offsets() -> Tensor:
    """Offsets (dy, dx) inside a window: sign(x) log2(|x| + 1) / 3 with x in -8..8, (169, 2)."""
    axes = [torch.arange(1.0 - side, side) / (side - 1) * 8 for side in WINDOW]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1)
    return offsets.sign() * (offsets.abs() + 1).log2() / 3


class SwinBlock(nn.Module):
    """Attention and MLP with short cuts; both branches have stochastic depth.

    Args:
        attention: the attention of the block.
        channels: C.
        drop_rate: probability that a sample skips a branch in training.
    """

    def __init__(self, attention: WindowAttention, channels: int, drop_rate: float) -> None:
        super().__init__()
        self.drop_rate = drop_rate
        self.norm1 = nn.LayerNorm(channels)
        self.attention = attention
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def drop(self, branch: Tensor) -> Tensor:
        """In training, zero the branch of whole samples and enlarge the others (stochastic depth).

        G. Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
        """
        if not self.training or self.drop_rate == 0:
            return branch
        kept = 1 - self.drop_rate
        per_sample = branch.new_empty(branch.shape[0], *[1] * (branch.ndim - 1))
        return branch * per_sample.bernoulli_(kept).div_(kept)


class VideoSwinBlock(SwinBlock):
    """V1: norms before the branches."""

    def __init__(self, channels: int, heads: int, shifted: bool, drop_rate: float) -> None:
        super().__init__(VideoWindowAttention(channels, heads, shifted), channels, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, H, W, C) to the same shape."""
        x = x + self.drop(self.attention(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))


class SwinV2Block(SwinBlock):
    """V2: norms after the branches."""

    def __init__(self, channels: int, heads: int, shifted: bool, drop_rate: float) -> None:
        super().__init__(CosineWindowAttention(channels, heads, shifted), channels, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same shape."""
        x = x + self.drop(self.norm1(self.attention(x)))
        return x + self.drop(self.norm2(self.mlp(x)))
