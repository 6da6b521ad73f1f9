import csv
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from irstd.config.synthesis import NO_MATERIAL
from irstd.data.faults import read_quarantine
from irstd.data.pixels import read_grey
from irstd.errors import DataError
from irstd.stages.prepare import prepare
from tests.damaged_files import huge_png
from tests.sirst_layout import make_params, sirst_params, write_image, write_sirst


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    write_sirst_into(tmp_path)
    return tmp_path


def write_sirst_into(root: Path) -> None:
    folder = root / "data" / "raw" / "sirst"
    folder.mkdir()
    write_sirst(folder)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def metrics(root: Path) -> dict[str, object]:
    path = root / "reports" / "prepare" / "demo" / "metrics.json"
    content: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_prepared_images_equal_the_files(project: Path) -> None:
    data = prepare(project, sirst_params())
    for row, name in enumerate(data.index["id"]):
        path = project / "data" / "raw" / "sirst" / "images" / f"{name}.png"
        np.testing.assert_array_equal(data.image(row), read_grey(path))
        assert data.mask(row).sum() == 5
    assert data.folder == project / "data" / "processed" / "demo"


def test_report_counts_and_compares(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = prepare(project, sirst_params())
    report = metrics(project)
    assert report["images"] == {"total": 12, "train": 6, "val": 3, "test": 3}
    assert report["targets"] == {"total": 24, "train": 12, "val": 6, "test": 6}
    assert report["target_area_px"] == {"min": 1.0, "median": 2.5, "mean": 2.5, "max": 4.0}
    assert report["data_checksum"] == data.checksum
    assert (report["quarantined"], report["repaired"]) == (0, 0)
    assert "splits/idx_427_test.txt: 3 ids listed, 86 published" in str(report["differences"])
    assert "splits/idx_427_test.txt: 3 ids listed, 86 published" in caplog.text
    folder = project / "reports" / "prepare" / "demo"
    assert sorted(path.name for path in folder.iterdir()) == [
        "metrics.json",
        "quarantine.csv",
        "samples.png",
        "summary.md",
    ]
    assert read_grey(folder / "samples.png").std() > 0
    assert "| val | 3 | 6 |" in (folder / "summary.md").read_text(encoding="utf-8")


def test_training_images_of_another_profile_are_material(project: Path) -> None:
    generated = make_params(limit=12)
    known = prepare(project, generated).folder.rename(project / "data" / "processed" / "known")
    made = {"images": 9, "height": 64, "width": 64, "backgrounds": {"name": "prepared"}}
    synthesis = generated.data.synthesis.model_dump(mode="json") | made
    synthesis["material"] = "data/processed/known"
    params = make_params(source="synthesis", split="seeded", synthesis=synthesis)
    data = prepare(project, params)
    assert len(data) == 9
    assert data.index["id"].str.startswith("syn_").all()
    nothing = make_params(
        source="synthesis", split="seeded", synthesis=synthesis | {"material": NO_MATERIAL}
    )
    with pytest.raises(DataError, match=r"name their folder in data\.synthesis\.material"):
        prepare(project, nothing)
    shutil.rmtree(known)
    with pytest.raises(DataError, match="irstd prepare"):
        prepare(project, params)


def test_rerun_gives_the_same_bytes(project: Path) -> None:
    params = sirst_params(split="nuaa", limit=6)
    prepare(project, params)
    first = digests(project / "data" / "processed" / "demo")
    prepare(project, params)
    assert digests(project / "data" / "processed" / "demo") == first
    assert sorted(first) == ["index.parquet", "masks.npy", "pixels.npy", "quarantine.parquet"]


def test_faults_go_to_the_quarantine_table(project: Path) -> None:
    raw = project / "data" / "raw" / "sirst"
    (raw / "images" / "s_0.png").write_bytes(b"")
    mask = np.zeros((48, 64), np.uint8)
    mask[10:16, 10:16] = 255
    write_image(raw / "masks" / "s_11_pixels0.png", mask)

    data = prepare(project, sirst_params(fault_policy="repair"))
    table = read_quarantine(data.folder).set_index("id")
    assert table["action"].to_dict() == {"s_0": "left out", "s_11": "repaired"}
    marked = data.index.set_index("id")["repaired"]
    assert marked[marked != ""].index.tolist() == ["s_11"]
    assert (metrics(project)["quarantined"], metrics(project)["repaired"]) == (1, 1)

    data = prepare(project, sirst_params(fault_policy="quarantine"))
    assert {"s_0", "s_11"}.isdisjoint(data.index["id"])
    summary = project / "reports" / "prepare" / "demo" / "summary.md"
    assert "images/s_0.png (left out)" in summary.read_text(encoding="utf-8")
    assert [row["action"] for row in listed(project)] == ["left out", "left out"]


def listed(root: Path) -> list[dict[str, str]]:
    path = root / "reports" / "prepare" / "demo" / "quarantine.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_file_that_claims_too_much_is_quarantined(project: Path) -> None:
    (project / "data" / "raw" / "sirst" / "images" / "s_0.png").write_bytes(huge_png())
    data = prepare(project, sirst_params(fault_policy="quarantine"))
    assert len(data) == 11
    (row,) = listed(project)
    assert (row["id"], row["file"], row["action"]) == ("s_0", "images/s_0.png", "left out")
    assert "expected at most 33554432 pixels, the file claims 60000 x 60000" in row["reason"]


def test_policy_fail_leaves_its_list_and_nothing_else(project: Path) -> None:
    (project / "data" / "raw" / "sirst" / "images" / "s_0.png").unlink()
    message = r"s_0: images/s_0\.png: the image is missing[^$]*reason: .*demo/quarantine\.csv$"
    with pytest.raises(DataError, match=message):
        prepare(project, sirst_params(fault_policy="fail"))
    assert list((project / "data" / "processed" / "demo").iterdir()) == []
    (row,) = listed(project)
    assert (row["file"], row["reason"]) == ("images/s_0.png", "the image is missing")
    assert len(list((project / "reports" / "prepare" / "demo").iterdir())) == 1


def test_without_faults_the_list_is_empty(project: Path) -> None:
    (project / "data" / "raw" / "sirst" / "images" / "s_0.png").rename(project / "s_0.png")
    prepare(project, sirst_params())
    assert len(listed(project)) == 1
    (project / "s_0.png").rename(project / "data" / "raw" / "sirst" / "images" / "s_0.png")
    prepare(project, sirst_params())
    assert listed(project) == []


def test_a_killed_run_leaves_no_index_without_its_faults(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project / "data" / "processed" / "demo"
    prepare(project, sirst_params())
    (project / "data" / "raw" / "sirst" / "images" / "s_0.png").unlink()
    states: list[tuple[bool, int]] = []
    rename = os.replace

    def watched(source: Path, target: Path) -> None:
        rename(source, target)
        if target.parent == folder:
            states.append(((folder / "index.parquet").exists(), len(read_quarantine(folder))))

    monkeypatch.setattr("os.replace", watched)
    prepare(project, sirst_params())
    assert [is_whole for is_whole, _ in states] == [False, False, False, True]
    assert {faults for _, faults in states} == {1}


def test_empty_split_is_refused(project: Path) -> None:
    with pytest.raises(DataError, match=r"got none for val; raise data\.limit"):
        prepare(project, sirst_params(limit=2))
    for number in (9, 10, 11):
        (project / "data" / "raw" / "sirst" / "images" / f"s_{number}.png").unlink()
    with pytest.raises(DataError, match="got none for test"):
        prepare(project, sirst_params())


def test_generated_source(tmp_path: Path) -> None:
    data = prepare(tmp_path, make_params(limit=12))
    assert set(data.index["source"]) == {"generated"}
    assert metrics(tmp_path)["differences"] == []
    assert len(read_quarantine(data.folder)) == 0
    assert (tmp_path / "reports" / "prepare" / "demo" / "samples.png").stat().st_size > 10_000


def test_real_sirst(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "raw" / "sirst").symlink_to(shared / "data" / "sirst")
    data = prepare(tmp_path, sirst_params())
    report = metrics(tmp_path)
    assert report["images"] == {"total": 427, "train": 256, "val": 85, "test": 86}
    assert report["targets"]["total"] == 533  # type: ignore[index]
    assert report["differences"] == []
    assert (report["quarantined"], report["repaired"], report["unlisted"]) == (0, 1, 0)

    # Published: areas 4 to 330, mean 32.86 (ISPANet, Table V); how Misc_111 counted is not stated.
    areas = np.concatenate(data.index["target_areas"].tolist())
    assert (areas.min(), areas.max()) == (4, 330)
    assert areas.mean() == pytest.approx(32.86, abs=0.02)
    assert np.isfinite(np.concatenate(data.index["scr"].tolist())).all()

    repaired = data.index[data.index["repaired"] != ""].iloc[0]
    assert (repaired["id"], repaired["split"], repaired["n_targets"]) == ("Misc_111", "test", 1)
    assert (repaired["height"], repaired["width"]) == (220, 325)
