import json
from pathlib import Path

from irstd.stages.check_data import as_json, as_text, check_data
from tests.folders import write_text
from tests.sirst_layout import write_pair, write_sirst


def test_the_report_is_one_json_object(tmp_path: Path) -> None:
    write_sirst(tmp_path)
    write_pair(tmp_path, "ü 1", 90)
    write_text(tmp_path / "images" / "ü 1.png", "no image")
    report = json.loads(as_json(check_data(tmp_path)))
    assert set(report) == {"source", "images", "faults", "warnings"}
    assert (report["source"], report["images"]) == ("unknown", 13)
    (fault,) = report["faults"]
    assert set(fault) == {"id", "file", "reason"}
    assert (fault["id"], fault["file"]) == ("ü 1", "images/ü 1.png")
    assert all(isinstance(warning, str) for warning in report["warnings"])
    assert any("1 images (ü 1) not listed" in warning for warning in report["warnings"])


def test_the_table_obeys_no_file(tmp_path: Path) -> None:
    write_sirst(tmp_path)
    write_text(tmp_path / "images" / "bad\x1b[2Jname.png", "x")
    text = as_text(check_data(tmp_path))
    assert "\x1b" not in text
    assert "bad\\x1b[2Jname" in text
    assert text.startswith("unknown: 13 images, 2 faults\nid ")


def test_real_sirst_has_its_one_known_fault(shared: Path) -> None:
    findings = check_data(shared / "data" / "sirst")
    assert (findings.source, findings.images) == ("sirst", 427)
    ((fault,),) = [findings.faults]
    assert (fault.id, fault.file) == ("Misc_111", "masks/Misc_111_pixels0.png")


def test_the_real_field_set_has_none(shared: Path) -> None:
    findings = check_data(shared / "data" / "sirst_v2_field")
    assert (findings.source, findings.images) == ("sirst_v2_field", 97)
    assert findings.faults == []
