"""Arguments of each network's constructor; what they mean stands there."""

from typing import Annotated, Literal

from pydantic import Field

from irstd.config.values import Count, Group


class NetworkParams(Group):
    """Arguments that every network takes."""

    in_channels: Annotated[int, Field(ge=1, le=64)]


class ISPANetParams(NetworkParams):
    """Arguments of `irstd.models.ispanet.ISPANet`."""

    width: Annotated[int, Field(ge=16, le=1024, multiple_of=16)]
    variant: Literal["A", "B", "C", "D"]
    topdown: Literal["R", "P"]


class PQGNetParams(NetworkParams):
    """Arguments of `irstd.models.pqgnet.PQGNet`."""

    wavelet: Annotated[str, Field(pattern=r"^[a-z0-9.]{1,20}$")]


class MPCNetParams(NetworkParams):
    """Arguments of `irstd.models.mpcnet.MPCNet`."""

    size: Count


class LPNetParams(NetworkParams):
    """Arguments of `irstd.models.lpnet.LPNet`."""

    patch: Count
    stride: Count
    chunk: Count
    norm_statistics: Literal["running", "own"]


class SGMPUNetParams(NetworkParams):
    """Arguments of `irstd.models.sgmp_unet.SGMPUNet`."""

    drop_rate: Annotated[float, Field(ge=0.0, lt=1.0)]


class ACMParams(NetworkParams):
    """Arguments of `irstd.models.acm.ACM`."""

    blocks: Count


class ALCNetParams(NetworkParams):
    """Arguments of `irstd.models.alcnet.ALCNet`."""

    blocks: Count


class DNANetParams(NetworkParams):
    """Arguments of `irstd.models.dnanet.DNANet`."""

    widths: Literal["one", "two", "three", "four"]
    blocks: Literal["resnet_10", "resnet_18", "resnet_34"]


class AGPCNetParams(NetworkParams):
    """Arguments of `irstd.models.agpcnet.AGPCNet`."""

    variant: Literal["agpcnet_1", "agpcnet_2"]


class RDIANParams(NetworkParams):
    """Arguments of `irstd.models.rdian.RDIAN`."""


class MTUNetParams(NetworkParams):
    """Arguments of `irstd.models.mtunet.MTUNet`."""

    form: Literal["published", "corrected"]
    interpolate_positions: bool
