import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks import metric_baseline
from benchmarks.metric_baseline import ROOT, Baseline, baseline_by, busy_core, opencv_code
from benchmarks.metric_loops import CODES, first_fit, left_over, loaded, nearest, overlap, regions
from benchmarks.metrics import (
    CASES,
    ELSEWHERE,
    QUICK,
    Case,
    Times,
    all_loops,
    baseline_table,
    basicirstd_code,
    compare,
    main,
    report,
    scene,
    scenes,
    whole_suite,
)
from irstd.metrics.conventions import CONVENTIONS

CROWDED = Case("crowded", (48, 48), 1, 5, 9, 1, crowds=2)


def test_every_convention_has_a_loop():
    assert list(CODES) == list(CONVENTIONS)


def test_library_and_loops_give_the_same():
    images = [scene(CROWDED, seed) for seed in (0, 1)]
    loops, found = all_loops(loaded(images)), whole_suite(images)
    for name, figures in loops.items():
        compare(name, figures, found[name])
        assert figures  # something was compared
    assert 0 < loops["basicirstd"]["pd"] <= 1
    assert loops["basicirstd"]["fa_pixel"] > loops["dnanet"]["fa_pixel"]


def test_a_difference_stops_the_run():
    compare("here", {"pd": 0.5}, {"pd": 0.5, "iou": 1.0})
    with pytest.raises(SystemExit, match=r"here: pd is 0\.6 by the library, 0\.5 by the loop"):
        compare("here", {"pd": 0.5}, {"pd": 0.6})


@pytest.mark.parametrize("case", [*CASES, *QUICK, *ELSEWHERE], ids=lambda case: case.name)
def test_a_scene_has_its_targets_and_components(case):
    probability, mask = scene(case, 3)
    assert probability.shape == mask.shape == case.size
    assert ndimage.label(mask)[1] == case.targets
    assert ndimage.label(probability > 0.5, np.ones((3, 3)))[1] == case.components


def test_targets_of_a_crowd_have_several_components_in_reach():
    assert CASES[3].crowds == 100
    [(probability, mask)] = loaded([scene(Case("crowds", (96, 96), 1, 30, 40, 1, crowds=15), 0)])
    targets, components = regions(mask), regions(probability > 0.5)
    places, centres = (np.array([x.centroid for x in side]) for side in (targets, components))
    near = np.linalg.norm(places[:, None] - centres, axis=2) < 3
    assert (near.sum(axis=1) > 1).sum() >= 15
    assert (near.sum(axis=0) > 1).sum() >= 15
    first, best = (
        {(g.label, q.label) for g, q in match(targets, components, 3.0)}
        for match in (first_fit, nearest)
    )
    assert first != best


def test_all_images_of_a_case_differ():
    case = Case("many", (24, 24), 35, 1, 2, 1)
    chunks = list(scenes(case))
    assert [len(chunk) for chunk in chunks] == [16, 16, 3]
    assert len({probability.tobytes() for chunk in chunks for probability, _ in chunk}) == 35


def test_loops_match_as_described():
    mask, prediction = torch.zeros(2, 20, 20)
    mask[5, 5] = mask[15, 15] = 1
    prediction[3, 5] = prediction[5, 6] = 1  # 2 above, 1 beside the first target
    targets, components = regions(mask), regions(prediction > 0.5)
    assert [(g.label, q.label) for g, q in first_fit(targets, components, 3.0)] == [(1, 1)]
    assert [(g.label, q.label) for g, q in nearest(targets, components, 2.0)] == [(1, 2)]
    assert overlap(targets[0], components[1]) == 0
    assert overlap(targets[0], targets[0]) == 1
    assert left_over(prediction > 0.5, components[:1]) == 1


def test_the_opencv_pass_gives_the_same_where_nothing_is_crowded():
    images = [scene(Case("single", (64, 64), 1, 3, 6, 1), seed) for seed in range(3)]
    loop, found = basicirstd_code(loaded(images)), opencv_code(images)
    assert found == pytest.approx({key: loop[key] for key in found}, rel=1e-12)


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| ") and "---" not in line
    ]


def test_the_report_has_ratios_and_the_floor():
    text = report({QUICK[0]: Times(12.0, 0.5, 300.0, 6.0, 0.25, 0.1)})
    assert rows(text)[1:] == [[
        "3 of 64 x 64", "12.00", "0.50", "24.0", "2", "300", "6.0", "50.0", "0.25", "0.10", "2.0",
        "24",
    ]]  # fmt: skip
    assert "One code at least 3 times as fast: reached in every row." in text
    assert "The whole suite at least 20 times as fast: reached in every row." in text


def test_the_report_says_which_aims_are_missed():
    text = report({Case("odd", (9, 9), 1, 1, 1, 1): Times(1.0, 0.5, 30.0, 2.0, 0.25, 0.1)})
    assert "One code at least 3 times as fast: missed on odd (2.0)." in text
    assert "The whole suite at least 20 times as fast: missed on odd (15.0)." in text


def test_times_on_either_core_stand_beside_those_elsewhere():
    case = Case("odd", (9, 9), 1, 1, 1, 0, earlier=(10.0, 1.0))
    text = baseline_table({case: [Baseline("OpenCV 5", 1.0, 0.5, 6.0, 0.25)]}).markdown()
    assert rows(text)[1:] == [
        ["odd", "OpenCV 5", "free", "1", "0.5", "2", "no, 10", "yes", "no, 5"],
        ["odd", "OpenCV 5", "shared", "6", "0.25", "24", "yes", "no, 4", "no, 0.42"],
        ["odd", "not recorded", "elsewhere", "10", "1", "10", "-", "-", "-"],
    ]


linux = pytest.mark.skipif(sys.platform != "linux", reason="binds programs to a core: Linux only")


@linux
def test_a_shared_core_is_left_as_it_was(monkeypatch):
    started = []

    class Rival(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(metric_baseline, "RIVAL", "import time; time.sleep(60)")
    monkeypatch.setattr(metric_baseline.subprocess, "Popen", Rival)
    before = os.sched_getaffinity(0)

    def interrupted() -> None:
        with busy_core():
            assert os.sched_getaffinity(0) == {min(before)}
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert os.sched_getaffinity(0) == before
    assert len(started) == metric_baseline.RIVALS
    assert all(rival.poll() is not None for rival in started)


@linux
@pytest.mark.slow
def test_a_rival_ends_with_the_program_that_started_it():
    code = "import os, time, benchmarks.metric_baseline as b\nwith b.busy_core(): os._exit(0)"
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    assert time.monotonic() - started < 60  # a rival that lived on would keep the pipe open


@linux
@pytest.mark.slow
def test_another_interpreter_times_the_same_images():
    found = baseline_by(Path(sys.executable), [scene(QUICK[0], seed) for seed in range(2)])
    assert f"NumPy {np.__version__}" in found.libraries
    assert 0 < found.opencv < found.loop < found.loop_busy


def test_an_interpreter_must_be_a_file(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--quick", "--other", "nowhere/python"])
    assert "expected a Python interpreter, no such file: nowhere/python" in capsys.readouterr().err


def test_another_interpreter_that_fails_is_named(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no module named cv2 >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(SystemExit, match=r"python ended with 3:\nno module named cv2"):
        baseline_by(python, [scene(QUICK[0], 0)])


def test_the_toy_table_is_not_written(tmp_path, capsys):
    page = tmp_path / "page.md"
    with pytest.raises(SystemExit, match="2"):
        main(["--quick", "--write", str(page)])
    assert "--write wants the full benchmark: leave out --quick" in capsys.readouterr().err
    assert not page.exists()


def test_help_names_the_block(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "also put it into the block benchmark of FILE" in " ".join(
        capsys.readouterr().out.split()
    )
