import json
import re
from pathlib import Path

import pytest

from irstd.config import Params
from irstd.errors import ConfigError, DataError
from irstd.layout import Layout
from irstd.metrics.conventions import CONVENTIONS
from irstd.metrics.defects import DEFECTS
from irstd.stages.evaluate import evaluate
from irstd.stages.publish import (
    OVERLAYS_OF_SOURCE,
    PICTURE_LIMIT,
    markers,
    publish,
    published_picture,
    published_table,
    update_readme,
)
from irstd.stages.report import report
from tests.scenes import smoke_params, trained_project
from tests.tiny_network import register_tiny

BEGIN, END = markers("results")
PICTURE = "\n".join(markers("picture"))


@pytest.fixture(scope="module")
def params() -> Params:
    return smoke_params()


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Layout:
    """An evaluated project; tests leave its inputs as they are."""
    layout = trained_project(tmp_path_factory.mktemp("project"), params)
    with pytest.MonkeyPatch.context() as patch:
        register_tiny(patch)
        patch.setenv("MLFLOW_TRACKING_URI", "nowhere://")
        evaluate(layout.root, params, "tiny")
    sheet = layout.report("prepare") / "samples.png"
    sheet.parent.mkdir(parents=True)
    overlay = layout.report("evaluate", "tiny") / "overlays" / "04_hit_hit.png"
    sheet.write_bytes(overlay.read_bytes())
    return layout


def test_the_page_stands_alone(layout: Layout, params: Params) -> None:
    page = report(layout.root, params)
    assert page == layout.root / "reports" / "summary" / "smoke" / "index.html"
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"https?:|<script|<link", html)
    sources = re.findall(r'src="([^"]{0,30})', html)
    assert len(sources) == 1 + 2 + 4  # sheet, history and curves, overlays
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert str(layout.root) not in html
    assert "0.667 [" in html
    summary = (page.parent / "summary.md").read_text(encoding="utf-8")
    row = r"\| smoke \| tiny \| [^|]+ epochs \| generated, seeded: 4 images, 3 targets \| 0\.667 \["
    assert re.search(row, summary)
    assert "1 min 15 s on Some CPU; best epoch 1 of 2" in summary
    assert "2.50 M" in summary
    for text in (html, summary):
        for convention in CONVENTIONS:
            assert convention in text
        assert DEFECTS["D1"] in text
        assert "Share without alarm" in text


def test_what_is_not_made_yet_is_said(layout: Layout, params: Params) -> None:
    html = report(layout.root, params).read_text(encoding="utf-8")
    for command in ("irstd validate", "irstd export tiny", "irstd register"):
        assert f"run `{command}`" in html


def test_what_is_made_is_linked(
    layout: Layout, params: Params, caplog: pytest.LogCaptureFixture
) -> None:
    docs, onnx = layout.report("validate") / "index.html", layout.onnx("tiny")
    receipt = layout.report("register") / "receipt.json"
    for path in (docs, onnx, receipt):
        path.parent.mkdir(parents=True, exist_ok=True)
    docs.touch()
    onnx.touch()
    content = {"model": "irstd", "store": "sqlite:///mlflow.db"}
    receipt.write_text(json.dumps(content | {"versions": {"tiny": {"version": "3"}}}))
    with caplog.at_level("INFO"):
        page = report(layout.root, params)
    for path in (docs, onnx, receipt):
        path.unlink()
    html = page.read_text(encoding="utf-8")
    assert 'href="../../validate/smoke/index.html"' in html
    assert 'href="../../../artifacts/smoke/tiny/tiny.onnx"' in html
    assert "sqlite:///mlflow.db, model irstd: tiny is version 3" in html
    assert "tiny: F1-T 0.571, best global threshold 0.750" in caplog.text
    assert "sqlite:///mlflow.db" in caplog.text


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("reports/evaluate/smoke/tiny/metrics.json", "irstd evaluate tiny"),
        ("reports/evaluate/smoke/tiny/pr.csv", "irstd evaluate tiny"),
        ("reports/evaluate/smoke/tiny/conventions.json", "irstd evaluate tiny"),
        ("reports/evaluate/smoke/tiny/field.json", "irstd evaluate tiny"),
        ("reports/train/smoke/tiny/run.json", "irstd train tiny"),
        ("reports/train/smoke/tiny/history.csv", "irstd train tiny"),
        ("reports/prepare/smoke/samples.png", "irstd prepare"),
    ],
)
def test_a_missing_input_names_its_command(
    path: str, command: str, layout: Layout, params: Params
) -> None:
    file, hidden = layout.root / path, layout.root / "hidden"
    file.rename(hidden)
    try:
        with pytest.raises(DataError, match=rf"{file.name}: not found; run `{command}`"):
            report(layout.root, params)
    finally:
        hidden.rename(file)


def test_an_incomplete_input_names_its_command(layout: Layout, params: Params) -> None:
    file = layout.report("train", "tiny") / "run.json"
    whole = file.read_text()
    file.write_text('{"device": "x"}')
    try:
        with pytest.raises(DataError, match=r"run.json: lacks seconds, .*run `irstd train tiny`"):
            report(layout.root, params)
    finally:
        file.write_text(whole)


def test_a_published_report_is_small_and_complete(
    layout: Layout, params: Params, tmp_path: Path
) -> None:
    destination = tmp_path / "published" / "smoke.md"
    publish(layout.root, params, destination, overlays=2)
    text = destination.read_text(encoding="utf-8")
    for expected in ("0123456789ab", "Some CPU", "learning rate 0.01", "generator", "1 min 15 s"):
        assert expected in text
    pictures = re.findall(r"\]\((.*?)\)", text)
    assert pictures == [
        "smoke/curves.png",
        "smoke/tiny_01_miss_miss.png",
        "smoke/tiny_02_false_alarm_mixed.png",
    ]
    for picture in pictures:
        assert 0 < (destination.parent / picture).stat().st_size <= PICTURE_LIMIT


def test_real_images_are_attributed(layout: Layout, params: Params, tmp_path: Path) -> None:
    data = params.data.model_copy(update={"source": "sirst", "split": "idx_427"})
    publish(layout.root, params.model_copy(update={"data": data}), tmp_path / "x.md")
    assert re.search(r"Images from SIRST: .*Dai.*WACV 2021", (tmp_path / "x.md").read_text())


def test_only_markdown_is_published(layout: Layout, params: Params, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.md"):
        publish(layout.root, params, tmp_path / "report.html")


def test_the_readme_shows_every_published_report(
    layout: Layout, params: Params, tmp_path: Path
) -> None:
    publish(layout.root, params, tmp_path / "a.md")
    readme = tmp_path / "README.md"
    readme.write_text(f"# Top\n\n{PICTURE}\n\n{BEGIN}\nstale\n{END}\n\nRest\n")
    report(layout.root, params, tmp_path / "b.md", readme)
    text = readme.read_text()
    assert f"\n\n{BEGIN}\n| Profile |" in text
    first, last = markers("picture")
    assert text.startswith(f"# Top\n\n{first}\n![Test image of generated (seeded), network tiny")
    (address,) = re.findall(r"\]\((.*?)\)", text)
    assert address == "b/tiny_01_miss_miss.png"  # of the newest
    assert (tmp_path / address).is_file()
    caption = text[text.index(address) : text.index(last)]
    assert "*Test image of generated (seeded), network tiny, profile smoke; " in caption
    assert "generator of this project" in caption
    assert "Commit 0123456789ab." in caption
    assert text.endswith(f"\n{END}\n\nRest\n")
    assert "stale" not in text
    assert len(re.findall(r"\| smoke \| tiny \| [^|]+ epochs \| generated", text)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "a",
        "a.md",
        "b",
        "b.md",
    ]


def test_the_picture_is_that_of_the_newest_report(
    layout: Layout, params: Params, tmp_path: Path
) -> None:
    for name in ("b", "a"):
        publish(layout.root, params, tmp_path / "published" / f"{name}.md", overlays=1)
    picture = published_picture(tmp_path / "published", tmp_path / "docs" / "README.md")
    assert "(../published/a/tiny_01_miss_miss.png)" in picture
    publish(layout.root, params, tmp_path / "published" / "b.md", overlays=0)
    with pytest.raises(DataError, match=r"b.results.json: expected an overlay.*run `irstd report"):
        published_picture(tmp_path / "published", tmp_path / "README.md")


def test_overlays_of_one_data_set_are_limited(
    layout: Layout, params: Params, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b", "c", "a"):  # the last one replaces the first
        publish(layout.root, params, tmp_path / f"{name}.md")
    shown = {name: len([*(tmp_path / name).glob("tiny_*.png")]) for name in "abc"}
    assert shown == {"a": 4, "b": 2, "c": 0}
    assert sum(shown.values()) == OVERLAYS_OF_SOURCE
    assert "b.md: the reports beside it show 4 overlays of generated, so it shows at most 2" in (
        caplog.text
    )


@pytest.mark.parametrize("text", ["no marker", BEGIN, END, f"{END} {BEGIN}", f"{BEGIN}{END}{END}"])
def test_a_readme_without_its_markers_is_refused(text: str, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    text = f"{PICTURE}{text}"
    readme.write_text(text)
    with pytest.raises(ConfigError, match=rf"README.md: expected one line {BEGIN}"):
        update_readme(readme, {"picture": "picture", "results": "table"})
    assert readme.read_text() == text


def test_a_readme_without_a_place_for_the_picture_is_refused(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\nold\n{END}")
    with pytest.raises(ConfigError, match="expected one line <!-- picture:begin -->"):
        update_readme(readme, {"results": "table", "picture": "picture"})
    assert "old" in readme.read_text()


def test_nothing_published_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no published results; run `irstd report --publish"):
        published_table(tmp_path)
    with pytest.raises(ConfigError, match="not found; expected a file with <!-- results:begin"):
        update_readme(tmp_path / "README.md", {"results": ""})


def test_a_published_report_of_an_older_form_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "results.json").write_text('{"results": []}')
    with pytest.raises(DataError, match=r"lacks \['overlays', 'published'\]; run `irstd report"):
        published_table(tmp_path)


def test_the_committed_readme_shows_the_committed_reports() -> None:
    root = Path(__file__).parents[2]
    assert published_table(root / "reports" / "published") in (root / "README.md").read_text()
