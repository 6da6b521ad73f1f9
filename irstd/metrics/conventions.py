"""The published ways of counting that can be named, as data."""

from dataclasses import dataclass

from irstd.errors import ConfigError


@dataclass(frozen=True)
class Convention:
    """How one paper counts.

    Attributes:
        distance_px: largest distance between the centroids of a target and its detection, in
            pixels.
        source: where the convention is described.
    """

    distance_px: float
    source: str


CONVENTIONS: dict[str, Convention] = {
    "ispanet": Convention(
        distance_px=2.0, source="ISPANet, IEEE JSTARS 2024, section V-B, eqs. 1-5 and 24-27"
    ),
}


def find_convention(name: str) -> Convention:
    """Look a convention up.

    Raises:
        ConfigError: no convention has that name; the message lists those there are.
    """
    if name not in CONVENTIONS:
        raise ConfigError(
            f"unknown convention {name!r}; choose one of: {', '.join(sorted(CONVENTIONS))}"
        )
    return CONVENTIONS[name]
