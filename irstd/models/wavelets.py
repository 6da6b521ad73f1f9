"""One level of the discrete wavelet transform as fixed convolutions.

The taps are those of PyWavelets. A plane has an even number of rows and columns and goes on
periodically beyond its border; each band is then exactly half as high and wide, nothing is lost,
and analysis followed by synthesis gives the plane back (`dmey` alone, itself an approximation,
leaves about a hundredth). Both equal `pywt.dwt2` and `pywt.idwt2` with `mode="periodization"`.

With F taps h (PyWavelets pads both filters to the same even length) and indices modulo the length
of the row or column, along one axis:

    analysis:   band[k] = sum_m h[F-1-m] x[2k + m - (F/2 - 1)]
    synthesis:  x[n] = sum over bands and k of r[n + F/2 - 1 - 2k] band[k]

Band names as in PQGNet: the first letter says low or high pass along a row, the second along a
column. `ll, lh, hl, hh` are cA, cH, cV, cD of PyWavelets.
"""

from collections.abc import Sequence

import numpy as np
import pywt
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from irstd.errors import ModelError

BANDS = ("ll", "lh", "hl", "hh")


class Analysis(nn.Module):
    """Bands of an image, dwt2.

    Args:
        wavelet: a discrete wavelet of PyWavelets, such as `haar`, `db4` or `bior2.2`.
        bands: which to compute, of `BANDS`, in the order of the output.

    Raises:
        ModelError: a wavelet or band that does not exist.
    """

    kernels: Tensor

    def __init__(self, wavelet: str, bands: Sequence[str] = BANDS) -> None:
        super().__init__()
        filters = _discrete(wavelet)
        kernels = _kernels(filters.dec_lo[::-1], filters.dec_hi[::-1], bands)
        self.margin = filters.dec_len // 2 - 1
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c b h//2 w//2"]:
        """The bands of every channel.

        Raises:
            ModelError: an odd height or width.
        """
        n, channels, height, width = x.shape
        if height % 2 or width % 2:
            raise ModelError(
                "wavelet analysis: height and width must be even, got "
                f"{height} x {width}; pad the image by a row or column"
            )
        x = _continued(x, self.margin)
        weight = self.kernels.to(x.dtype).repeat(channels, 1, 1, 1)  # (C b, 1, F, F)
        bands = F.conv2d(x, weight, stride=2, groups=channels)
        return bands.reshape(n, channels, -1, height // 2, width // 2)


class Synthesis(nn.Module):
    """Image from its four bands, idwt2.

    Args:
        wavelet: see `Analysis`.

    Raises:
        ModelError: a wavelet that does not exist.
    """

    kernels: Tensor

    def __init__(self, wavelet: str) -> None:
        super().__init__()
        filters = _discrete(wavelet)
        kernels = _kernels(filters.rec_lo, filters.rec_hi, BANDS)
        self.margin = filters.rec_len // 4  # coefficients beyond the border that reach the image
        self.crop = 2 * self.margin + filters.rec_len // 2 - 1
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, bands: Float[Tensor, "n c 4 h w"]) -> Float[Tensor, "n c 2*h 2*w"]:
        """The channels whose bands, in the order of `BANDS`, these are."""
        channels = bands.shape[1]
        x = _continued(bands.flatten(1, 2), self.margin)
        weight = self.kernels.to(x.dtype).repeat(channels, 1, 1, 1)  # (4 C, 1, F, F)
        return F.conv_transpose2d(x, weight, stride=2, padding=self.crop, groups=channels)


def _discrete(wavelet: str) -> pywt.Wavelet:
    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ModelError(
            f"wavelet must be a discrete wavelet of PyWavelets, such as haar, db4, sym4, coif1 or "
            f'bior2.2 (pywt.wavelist(kind="discrete") lists them), got {wavelet!r}'
        )
    return pywt.Wavelet(wavelet)


def _kernels(low: Sequence[float], high: Sequence[float], bands: Sequence[str]) -> Tensor:
    """Separable kernels (bands, 1, F, F), float64 so that a float64 network is exact."""
    unknown = [band for band in bands if band not in BANDS]
    if unknown or not bands:
        raise ModelError(f"bands must be of {', '.join(BANDS)}, got {', '.join(bands) or 'none'}")
    taps = {"l": low, "h": high}
    kernels = [np.outer(taps[band[1]], taps[band[0]]) for band in bands]  # rows x columns
    return torch.tensor(np.stack(kernels))[:, None]


def _continued(x: Tensor, margin: int) -> Tensor:
    """The planes with `margin` periodic rows and columns on each side, over several periods."""
    if margin == 0:
        return x
    for axis in (-2, -1):
        side = x.shape[axis]
        index = torch.arange(-margin, side + margin, device=x.device)
        # The ONNX exporter translates a remainder by a free side only where that is a tensor.
        x = x.index_select(axis, index % torch.full_like(index, side))
    return x
