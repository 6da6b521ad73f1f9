import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from irstd.config import Params, parse_params
from irstd.data.faults import FaultLog
from irstd.data.generated import generate
from irstd.data.reading import open_source
from irstd.data.sources import Fault, RawImage
from irstd.data.store import write_prepared
from irstd.errors import DataError
from irstd.layout import Layout
from irstd.stages.validate import validate
from tests.validation_table import profile_tree


def _params(profile: str = "smoke", **severity: str) -> Params:
    tree = profile_tree(profile)
    tree["validate"]["severity"] |= severity
    return parse_params(tree, profile)


def _prepare(root: Path, params: Params, images: list[RawImage], faults: int = 0) -> None:
    folder = Layout(root, params.profile).processed
    write_prepared(folder, images, params.data.source)
    log = FaultLog("repair")
    for number in range(faults):
        log.add(Fault(f"lost_{number}", "x.png", "the mask is missing"))
    log.add(Fault("mended", "y.png", "another size"), "repaired")
    log.write(folder)


def _images(params: Params) -> list[RawImage]:
    return list(generate(params.data.generated, params.seed))


def _report(root: Path, params: Params, name: str) -> str:
    return (Layout(root, params.profile).report("validate") / name).read_text(encoding="utf-8")


def test_sound_data_passes_and_is_reported(tmp_path: Path) -> None:
    params = _params()
    _prepare(tmp_path, params, _images(params))
    outcomes = validate(tmp_path, params)
    metrics = json.loads(_report(tmp_path, params, "metrics.json"))
    assert metrics["success"] is True
    assert metrics["expectations"] == len(outcomes) >= 15
    assert metrics["failed_stop"] == metrics["failed_warn"] == 0
    assert metrics["images"] == 16
    result = json.loads(_report(tmp_path, params, "result.json"))
    assert [item["key"] for item in result] == [outcome.key for outcome in outcomes]
    assert all(item["severity"] in {"stop", "warn"} for item in result)
    assert "Validation of generated, profile smoke" in _report(tmp_path, params, "index.html")
    names = {path.name for path in Layout(tmp_path, params.profile).report("validate").iterdir()}
    assert names == {"metrics.json", "result.json", "index.html"}


def test_equal_data_gives_equal_results(tmp_path: Path) -> None:
    params = _params()
    _prepare(tmp_path, params, _images(params))
    validate(tmp_path, params)
    before = [_report(tmp_path, params, name) for name in ("metrics.json", "result.json")]
    validate(tmp_path, params)
    assert [_report(tmp_path, params, name) for name in ("metrics.json", "result.json")] == before


def _with_constant_image(params: Params) -> list[RawImage]:
    first, *rest = _images(params)
    constant = np.full_like(first.image, 9999)
    return [replace(first, image=constant, mask=np.zeros_like(first.mask)), *rest]


def test_a_fatal_failure_stops_names_rows_and_is_reported(tmp_path: Path) -> None:
    params = _params()
    _prepare(tmp_path, params, _with_constant_image(params))
    with pytest.raises(DataError, match=r"not_constant: .* violated by 1: gen_00000 \(std 0"):
        validate(tmp_path, params)
    metrics = json.loads(_report(tmp_path, params, "metrics.json"))
    assert metrics["success"] is False
    assert metrics["failed_stop"] == 1
    failed = [r for r in json.loads(_report(tmp_path, params, "result.json")) if not r["success"]]
    assert [(item["key"], item["unexpected_rows"][0]["id"]) for item in failed] == [
        ("not_constant", "gen_00000")
    ]
    assert "gen_00000" in _report(tmp_path, params, "index.html")


def test_a_warning_is_logged_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    params = _params(not_constant="warn")
    _prepare(tmp_path, params, _with_constant_image(params))
    with caplog.at_level(logging.WARNING, logger="irstd"):
        validate(tmp_path, params)
    assert "not_constant: no image is constant: violated by 1: gen_00000" in caplog.text
    metrics = json.loads(_report(tmp_path, params, "metrics.json"))
    assert (metrics["success"], metrics["failed_warn"]) == (True, 1)


def test_too_many_images_left_out_stop(tmp_path: Path) -> None:
    params = _params()
    _prepare(tmp_path, params, _images(params), faults=4)
    with pytest.raises(DataError, match=r"quarantine_share: .* at most 0.02: observed 0.2"):
        validate(tmp_path, params)


def test_unprepared_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="irstd prepare"):
        validate(tmp_path, _params())


@pytest.mark.parametrize(
    ("split", "near"),
    [
        ("idx_427", {5, 27, 31, 140, 201, 204, 263, 271, 273, 274, 294, 296, 316, 424}),
        ("idx_320", {207, 208, 263, 271, 335, 418, 420, 421}),
        ("nuaa", {27, 31, 140, 201, 204, 208, 263, 271, 294, 296, 303, 304, 369, 419, 421}),
    ],
)
def test_real_sirst_passes_with_known_warnings(
    tmp_path: Path, shared: Path, split: str, near: set[int]
) -> None:
    """Parts share the scenes of 27 and 31, and of 201 and 204; the others are skies alike."""
    tree = profile_tree("sirst")
    tree["data"]["split"] = split
    params = parse_params(tree, "sirst")
    folder = Layout(tmp_path, params.profile).processed
    reading = open_source(shared / "data" / "sirst", params.data, params.seed)
    write_prepared(folder, reading.images, "sirst")
    reading.log.write(folder)
    outcomes = {outcome.key: outcome for outcome in validate(tmp_path, params)}
    assert not any(o.severity == "stop" and not o.success for o in outcomes.values())
    alike = outcomes["no_near_equal_across_splits"]
    assert {row["id"] for row in alike.unexpected_rows} == {f"Misc_{number}" for number in near}
