"""What single values may be, and the ranges made of them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def one_of(*names: str) -> AfterValidator:
    """A check that text is one of these names."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"expected one of: {', '.join(names)}; got {value!r}")
        return value

    return AfterValidator(check)


Share = Annotated[float, Field(ge=0.0, le=1.0)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0.0, le=1e6)]
Factor = Annotated[float, Field(ge=0.1, le=10.0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Side = Annotated[int, Field(ge=32, le=8192, multiple_of=32)]
Pixels = Annotated[int, Field(ge=8, le=8192)]
Severity = Literal["stop", "warn"]


class Group(BaseModel):
    """A group of parameters: frozen, no unknown keys, no silent conversion, finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Range(Group):
    """A closed interval."""

    low: float
    high: float


class ShareRange(Range):
    """A closed interval within [0, 1]."""

    low: Share
    high: Share


class PositiveRange(Group):
    """A closed interval above zero."""

    low: Positive
    high: Positive


class FactorRange(Group):
    """A closed interval of factors."""

    low: Factor
    high: Factor


class CountRange(Group):
    """A closed interval of whole numbers, such as pixels."""

    low: Annotated[int, Field(ge=0, le=100_000_000)]
    high: Annotated[int, Field(ge=0, le=100_000_000)]


class ObjectRange(CountRange):
    """A closed interval of objects in one image."""

    low: Annotated[int, Field(ge=0, le=1000)]
    high: Annotated[int, Field(ge=0, le=1000)]


class PixelRange(Group):
    """A closed interval of sides of an image, in pixels."""

    low: Pixels
    high: Pixels


class NormalisationParams(Group):
    """(image - mean) / std, image in [0, 1]: one value, or one per channel of the network."""

    mean: Annotated[tuple[float, ...], Field(min_length=1)]
    std: Annotated[tuple[Positive, ...], Field(min_length=1)]
