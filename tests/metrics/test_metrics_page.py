"""docs/metrics.md says of conventions and defects what the code holds."""

import pytest

from benchmarks.metrics_page import PAGE, PAIRS, TABLES, formula
from irstd.metrics.conventions import CONVENTIONS
from irstd.metrics.figures import Harmonic, Ratio, Total
from irstd.stages.publish import markers


@pytest.mark.parametrize("name", TABLES)
def test_the_page_has_the_table_of_the_code(name):
    begin, end = markers(name)
    expected = f"{begin}\n{TABLES[name]().markdown().strip()}\n{end}"
    assert expected in PAGE.read_text(encoding="utf-8"), "run python benchmarks/metrics_page.py"


def test_every_match_rule_is_described():
    assert {convention.rule for convention in CONVENTIONS.values()} | {None} == set(PAIRS)


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Total("2*tp fp -fn"), "2 tp + fp - fn"),
        (Ratio("tp", "tp fp", empty=0.0), "tp / (tp + fp), 0/0 = 0"),
        (Ratio("predicted -matched", "images"), "(predicted - matched) / images"),
        (
            Ratio("tp", "tp fn", epsilon=0.5, needs="tp"),
            "tp / (tp + fn + 0.5), undefined without tp",
        ),
        (Harmonic(Ratio("a", "b"), Ratio("c", "d")), "2 a b / (a + b), a = a / b, b = c / d"),
    ],
)
def test_formulas_are_written_out(figure, text):
    assert formula(figure) == text
