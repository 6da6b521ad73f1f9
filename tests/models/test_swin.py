"""Window attention against the same attention written token by token."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from irstd.models.swin import (
    CosineWindowAttention,
    SwinV2Block,
    VideoSwinBlock,
    VideoWindowAttention,
    WindowAttention,
    Windows,
)

LAYOUTS = [
    Windows((3, 9, 16), (3, 7, 7), (0, 3, 3)),
    Windows((3, 7, 15), (3, 7, 7), (0, 0, 3)),
    Windows((5, 6), (7, 7), (0, 0)),
    Windows((14, 20), (7, 7), (3, 3)),
]


@pytest.mark.parametrize("windows", LAYOUTS)
def test_joining_undoes_splitting(windows):
    x = torch.rand(2, *windows.lengths, 5)
    cells = windows.split(x)
    assert cells.shape == (2, math.prod(windows.counts), math.prod(windows.window), 5)
    assert torch.equal(windows.join(cells), x)


@pytest.mark.parametrize(
    ("length", "shrink", "window", "shift"),
    [(6, True, 6, 0), (7, True, 7, 0), (8, True, 7, 3), (6, False, 7, 0), (7, False, 7, 0)],
)
def test_an_axis_of_one_window_is_not_shifted(length, shrink, window, shift):
    windows = Windows.fitted((length, 20), (7, 7), (3, 3), shrink)
    assert (windows.window, windows.shift) == ((window, 7), (shift, 3))


@pytest.mark.parametrize("windows", LAYOUTS)
def test_the_mask_parts_tokens_that_the_shift_brought_together(windows):
    """Tokens of a window may meet where they lie as far apart in the map as in the window."""
    places = np.stack(np.meshgrid(*map(np.arange, windows.padded), indexing="ij"), -1)
    rolled = np.roll(places, [-shift for shift in windows.shift], range(len(windows.shift)))
    whole = Windows(windows.padded, windows.window, (0,) * len(windows.window))
    cells = whole.split(torch.from_numpy(rolled)[None])[0]  # (windows, tokens, axes)
    expected = (cells[:, :, None] - cells[:, None]).abs().ge(torch.tensor(windows.window)).any(-1)
    mask = windows.mask(torch.zeros(1, dtype=torch.float64))
    if mask is None:
        assert not expected.any()
    else:
        assert mask.dtype == torch.float64
        assert torch.equal(mask[:, 0], torch.where(expected, -100.0, 0.0).double())


def window_of(place: tuple[int, ...], windows: Windows) -> list[tuple[int, ...]]:
    """Places of the padded map in the window of `place`, in order."""
    axes = []
    for at, length, side, shift in zip(
        place, windows.padded, windows.window, windows.shift, strict=True
    ):
        first = (at - shift) % length // side * side
        axes.append([(first + step + shift) % length for step in range(side)])
    return list(itertools.product(*axes))


def plain(
    attention: WindowAttention, x: Tensor, windows: Windows, places: list[tuple[int, ...]]
) -> Tensor:
    """The attention of one map (*map, C) at some places, token by token."""
    channels = x.shape[-1]
    size = channels // attention.heads
    zero = torch.zeros(channels, dtype=x.dtype)
    weight, bias = attention.qkv.weight, attention.qkv.bias.clone()
    cosine = isinstance(attention, CosineWindowAttention)
    if cosine:
        bias[channels : 2 * channels] = 0
    values: dict[tuple[int, ...], Tensor] = {
        place: weight @ (x[place] if all(map(int.__lt__, place, x.shape)) else zero) + bias
        for place in itertools.product(*map(range, windows.padded))
    }
    result = []
    for place in places:
        members = window_of(place, windows)
        here = members.index(place)
        mixed = []
        for head in range(attention.heads):
            part = slice(head * size, (head + 1) * size)
            q = values[place][:channels][part]
            scores = []
            for there, member in enumerate(members):
                k = values[member][channels : 2 * channels][part]
                if cosine:
                    scale = attention.logit_scale[head, 0, 0].exp().clamp(max=100)
                    score = q @ k / q.norm() / k.norm().clamp(min=1e-12) * scale
                else:
                    score = q @ k / math.sqrt(size)
                far = any(
                    abs(a - b) >= side
                    for a, b, side in zip(place, member, windows.window, strict=True)
                )
                scores.append(score + offset_bias(attention, here, there, head) - 100 * far)
            v = torch.stack([values[member][2 * channels :][part] for member in members])
            mixed.append(torch.stack(scores).softmax(0) @ v)
        result.append(attention.proj(torch.cat(mixed)))
    return torch.stack(result)


def offset_bias(attention: WindowAttention, here: int, there: int, head: int) -> Tensor:
    """Bias of two tokens by their positions in the full window."""
    a, b = (np.unravel_index(token, attention.window) for token in (here, there))
    offset = [int(i - j) for i, j in zip(a, b, strict=True)]
    if isinstance(attention, VideoWindowAttention):
        dt, dh, dw = offset
        return attention.bias_table[((dt + 7) * 13 + dh + 6) * 13 + dw + 6, head]
    scaled = torch.tensor(offset, dtype=attention.qkv.weight.dtype) / 6 * 8
    logged = scaled.sign() * (scaled.abs() + 1).log2() / 3
    return 16 * torch.sigmoid(attention.position_mlp(logged)[head])


@pytest.mark.parametrize(
    ("build", "lengths", "window", "shift"),
    [
        (VideoWindowAttention, (2, 8, 5), (2, 7, 5), (0, 3, 0)),  # width: a shrunken window
        (VideoWindowAttention, (2, 7, 4), (2, 7, 4), (0, 0, 0)),
        (CosineWindowAttention, (8, 5), (7, 7), (3, 0)),
        (CosineWindowAttention, (9, 8), (7, 7), (3, 3)),
    ],
)
def test_all_windows_at_once_are_each_token_alone(build, lengths, window, shift):
    torch.manual_seed(0)
    attention = build(4, 2, shifted=True).double()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
        x = torch.randn(2, *lengths, 4, dtype=torch.float64)
        places = list(itertools.product(*map(range, lengths)))[::5]
        expected = plain(attention, x[1], Windows(lengths, window, shift), places)
        ours = attention(x)[1]
        got = torch.stack([ours[place] for place in places])
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


def test_the_cosine_scale_is_at_most_100():
    torch.manual_seed(0)
    attention, x = CosineWindowAttention(4, 2, shifted=False), torch.randn(1, 7, 7, 4)
    with torch.no_grad():
        attention.logit_scale.fill_(math.log(100))
        at_most = attention(x)
        attention.logit_scale.fill_(50.0)
        assert torch.allclose(attention(x), at_most)


def test_blocks_norm_before_or_after_their_branches():
    torch.manual_seed(0)
    x = torch.rand(1, 7, 7, 4)
    late = SwinV2Block(4, 2, False, 0.0)
    y = x + late.norm1(late.attention(x))
    torch.testing.assert_close(late(x), y + late.norm2(late.mlp(y)))
    early = VideoSwinBlock(4, 2, False, 0.0)
    y = x[:, None] + early.attention(early.norm1(x[:, None]))
    torch.testing.assert_close(early(x[:, None]), y + early.mlp(early.norm2(y)))


def test_a_branch_is_dropped_for_whole_samples():
    torch.manual_seed(0)
    block = SwinV2Block(4, 2, False, 0.25)
    kept = block.drop(torch.ones(2000, 2, 3, 4)).flatten(1)
    assert kept.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(kept.amin(1), kept.amax(1))
    assert kept.mean().item() == pytest.approx(1, abs=0.05)
    branch = torch.rand(2, 7, 7, 4)
    assert block.eval().drop(branch) is branch


def test_results_do_not_depend_on_what_ran_before():
    """Tables are cached by size: inference, double and training calls must not disturb others."""
    torch.manual_seed(0)
    attention, x = VideoWindowAttention(4, 2, shifted=True), torch.rand(1, 2, 8, 9, 4)
    with torch.inference_mode():
        first = attention(x)
    assert attention.double()(x.double()).dtype == torch.float64
    attention.float()(x.requires_grad_()).sum().backward()
    torch.testing.assert_close(attention(x).detach(), first.clone())
