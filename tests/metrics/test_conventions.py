import pytest

from irstd.errors import ConfigError
from irstd.metrics.conventions import CONVENTIONS, find_convention


def test_the_default_convention_matches_within_two_pixels():
    assert find_convention("ispanet").distance_px == 2.0


def test_every_convention_names_its_source():
    assert all(entry.source and entry.distance_px > 0 for entry in CONVENTIONS.values())


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(ConfigError, match=r"unknown convention 'ispa'; choose one of: .*ispanet"):
        find_convention("ispa")
