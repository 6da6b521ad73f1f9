"""The group `build` of `params.yaml`: the construction of a data set (`irstd data build`)."""

from typing import Annotated, Literal

from pydantic import Field

from irstd.config.values import Count, Group, OpenShare, Share, Side


class SimilarityParams(Group):
    """When an image is dropped because it nearly equals a kept one (`irstd.data.construction`).

    Attributes:
        simple: greatest SSIM with a kept image, for a simple background.
        complex: the same for any other background.
        simple_backgrounds: backgrounds of the index that count as simple.
        simple_edge_share: greatest share of edge pixels of a simple background not named there.
        hash_bits: images of two sizes are compared up to this distance of their hashes.
    """

    simple: OpenShare
    complex: OpenShare
    simple_backgrounds: tuple[str, ...]
    simple_edge_share: Share
    hash_bits: Annotated[int, Field(ge=0, le=64)]


class UnifyParams(Group):
    """The one size of all images (`native`: each keeps its own)."""

    method: Literal["native", "fill", "crop"]
    height: Side
    width: Side


class BuildParams(Group):
    """Which images enter the data set, at which size, and what is written beside them.

    Attributes:
        every_nth: frame of each sequence that is kept.
        similarity: limits; None keeps near-duplicates.
        size: one size for all.
        relabel: whether new masks are proposed.
        classes: class of each background, for the balance.
    """

    every_nth: Count
    similarity: SimilarityParams | None
    size: UnifyParams
    relabel: bool
    classes: dict[str, str]
