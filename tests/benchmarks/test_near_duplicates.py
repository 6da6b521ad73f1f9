from itertools import pairwise

import numpy as np
import pytest

from benchmarks.near_duplicates import (
    QUICK,
    Search,
    averaged_family,
    main,
    scenes,
    search_large,
    search_small,
    search_two_sizes,
    search_video,
    textures,
    verdicts,
    videos,
)
from irstd.data.construction.ssim import ssim


def test_each_fourth_image_is_a_copy():
    for images in (scenes(8, 64, 96), textures(8, 64)):
        assert len(images) == 8
        changed = [ssim(first, second) for first, second in pairwise(images)]
        assert min(changed[2::4]) > max(changed[:2] + changed[3:6])


def test_frames_of_a_scene_differ_little():
    frames = videos(2, 3, 48)
    assert len(frames) == 6
    assert not np.array_equal(frames[0], frames[1])
    assert ssim(frames[0], frames[2]) > 0.85 > ssim(frames[2], frames[3])


def test_a_family_has_a_smaller_copy_of_each_scene():
    shapes = [image.shape for image in averaged_family(6, 96, 128)]
    assert shapes == [(96, 128), (48, 64), (96, 128), (32, 42), (96, 128), (24, 32)]


def test_nothing_is_lost_on_few_images():
    large, above = search_large(QUICK)
    found = {name: (one.lost, one.wrong) for name, one in large.items() if one.lost is not None}
    assert found == {"bound": (0, 0), "sketches": (0, 0)}
    assert above > 1
    small = search_small(QUICK)
    assert list(small) == [100, 200, 400]
    assert [one.lost for one in small.values()] == [0, 0, 0]
    assert small[400].found > small[100].found > 5
    copies, every = search_two_sizes(QUICK).values()
    assert (copies.found, copies.lost, copies.wrong) == (4, 0, 0)
    assert every.found >= 4


def test_a_still_scene_is_kept_once():
    video = search_video(QUICK)
    assert [one.found for one in video.values()] == [0, QUICK.scenes]


def test_what_misses_the_aims_is_named():
    small = {100: Search(1.0, 25, 0)}
    large = {"bound": Search(60.0, 9, 0, 0), "sketches": Search(1.0, 9, 0, 0)}
    reached = "Exact decisions within 20 minutes: reached (1.0). 0 lost: reached."
    assert verdicts(large, small, 9) == reached
    large = {"bound": Search(1500.0, 9, 0, 0), "sketches": Search(1.0, 9, 2, 0)}
    missed = "20 minutes: missed (25.0). 0 lost: missed (sketches, of 9: 2)."
    assert verdicts(large, small, 9).endswith(missed)


def test_the_benchmark_runs(capsys):
    main(["--quick", "--workers", "1"])
    printed = capsys.readouterr().out
    assert printed.count("| 16 of 96 x 64 |") == 2
    assert "| 24 of 96 x 64 | bound |" in printed
    assert "workers: 1" in printed
    assert "| 400 of 32 x 32 | sketches |" in printed


def test_a_quick_run_is_not_written(tmp_path):
    with pytest.raises(SystemExit):
        main(["--quick", "--write", str(tmp_path / "data.md")])
