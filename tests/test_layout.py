"""No two profiles, networks or stages write to one place."""

from itertools import product
from pathlib import Path

from irstd.layout import Layout


def test_profiles_networks_and_stages_are_apart():
    seen: set[Path] = set()
    for profile, network in product(("demo", "sirst"), ("ispanet", "acm")):
        layout = Layout(Path("root"), profile)
        paths = [
            layout.weights(network),
            layout.checkpoints(network),
            layout.onnx(network),
            layout.predictions(network),
            *(layout.report(stage, network) for stage in ("train", "evaluate", "export")),
        ]
        assert not seen & set(paths)
        assert len(set(paths)) == len(paths)
        seen |= set(paths)


def test_reports_stand_where_the_readme_says():
    layout = Layout(Path("root"), "demo")
    assert layout.report("evaluate", "ispanet") == Path("root/reports/evaluate/demo/ispanet")
    assert layout.report("validate") == Path("root/reports/validate/demo")
    assert layout.processed == Path("root/data/processed/demo")
    assert layout.raw("sirst") == Path("root/data/raw/sirst")
