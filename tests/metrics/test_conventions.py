import math
from typing import Any

import pytest

from irstd.errors import ConfigError
from irstd.metrics.conventions import CONVENTIONS, find_convention
from irstd.metrics.defects import DEFECTS

CODES = {name: "acm" if name == "alcnet" else name for name in CONVENTIONS}
for own in ("ispanet", "opdc", "opdc_exact"):  # compared in test_detection and test_hierarchical
    del CODES[own]
# These codes sum or divide in float32, and the fixtures keep what they return.
SINGLE_PRECISION = {"pixAcc", "FA"}


def scalars(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Numbers by dotted name; None for NaN and for an error; lists but PD, FA, nIoU left out."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name.startswith("th0.") or (isinstance(value, dict) and "error" not in value):
            inner = prefix if name.startswith("th0.") else f"{prefix}{name}."
            found |= scalars(value, inner) if name != "error" else {}
        elif isinstance(value, list):
            if name in ("PD", "FA", "nIoU"):
                found[prefix + name] = value[0]
        else:
            found[prefix + name] = None if isinstance(value, dict) else value
    return found


@pytest.mark.parametrize("name", CODES)
def test_equals_the_published_code(published, record_property, name):
    names = CONVENTIONS[name].published_names
    seen, largest = set(), 0.0
    for case, ids, values in published.entries(published.codes[CODES[name]]):
        if name == "lpnet":
            values = values["th0.5"]
        found = published.figures(name, ids)
        for label, value in scalars(values).items():
            if label in ("target", "pixel"):  # LPNet raised an error instead of giving both groups
                undefined = [k for x, k in names.items() if x.startswith(label)]
                assert all(math.isnan(found[key]) for key in undefined), case
                continue
            seen.add(label)
            if value is None:
                assert math.isnan(found[names[label]]), (case, label)
                continue
            tolerance = 1e-6 if label in SINGLE_PRECISION else 1e-9
            assert found[names[label]] == pytest.approx(value, rel=tolerance, abs=1e-12), (
                case,
                label,
            )
            largest = max(largest, abs(found[names[label]] - value))
    assert seen == set(names)
    record_property("largest_difference", largest)


def test_a_code_that_raises_without_targets_gives_nan(published):
    found = {name: published.figures(name, ["no_target_false_alarms"]) for name in CONVENTIONS}
    for name in ("basicirstd", "sctransnet", "mpcnet", "lmaformer"):
        assert math.isnan(found[name]["pd"])
        assert math.isnan(found[name]["fa_pixel"])
    assert all(math.isnan(found["lpnet"][key]) for key in ("pd", "fa_image", "f1"))
    assert math.isnan(found["dnanet"]["pd"])
    assert found["dnanet"]["fa_pixel"] == 23 / 4096
    assert (found["sgmp"]["pd"], found["sgmp"]["fa_pixel"]) == (0.0, 23 / 4096)


def test_false_alarms_as_large_as_a_hit_vanish_by_area_only(published):
    by_area, by_component = (
        published.figures(name, ["equal_area_false_alarm"])["fa_pixel"]
        for name in ("sctransnet", "basicirstd")
    )
    assert by_area == 0.0 < by_component


def test_isnet_divides_by_its_own_size(published):
    of_256, of_512 = (published.figures(n, published.sets["s256"]) for n in ("dnanet", "isnet"))
    assert of_512["fa_pixel"] == pytest.approx(of_256["fa_pixel"] / 4)


def test_a_split_target_counts_twice_in_lpnet(published):
    assert published.figures("lpnet", ["split_near"])["pd"] == 2.0


def test_names_point_to_figures_and_defects_to_their_descriptions():
    for name, convention in CONVENTIONS.items():
        assert convention.source, name
        assert set(convention.published_names.values()) <= set(convention.figures), name
        assert set(convention.notes) == set(convention.defects) <= set(DEFECTS), name
        assert {"n_images", "n_targets", "n_predicted"} <= set(convention.figures), name


def test_the_default_has_no_defect_and_leaves_the_distance_open():
    default = find_convention("ispanet")
    assert (default.defects, default.distance_px, default.distance_open) == ((), 2.0, True)
    assert not find_convention("opdc_exact").defects


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(ConfigError, match=r"unknown convention 'ispa'; choose one of: .*ispanet"):
        find_convention("ispa")
