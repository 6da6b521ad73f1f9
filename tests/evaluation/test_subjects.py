import pandas as pd

from irstd.evaluation.evaluate import Evaluation
from irstd.evaluation.subjects import choose_subjects

PLACE = {"row": 1.0, "col": 2.0, "area_px": 4, "top": 0, "left": 1, "bottom": 2, "right": 3}
HIT = {"score": 0.9, "peak": 0.9, "overlap": 0.5}


def target(id: str, scr: float, hit: bool = False) -> dict[str, object]:
    return {"id": id, "target": 0, "scr": scr, "hit": hit} | PLACE | HIT


def false_alarm(id: str, score: float) -> dict[str, object]:
    return {"id": id, "component": 0, "score": score, "nearest_px": None} | PLACE


TARGETS = pd.DataFrame(
    [
        target("a", 3.0),
        target("b", 9.0),
        target("c", float("nan")),
        target("d", 2.0, hit=True),
        target("e", 1.0, hit=True),
    ]
)
FALSE_ALARMS = pd.DataFrame(
    [false_alarm("b", 0.99), false_alarm("f", 0.7), false_alarm("g", 0.8), false_alarm("g", 0.6)]
)


def test_misses_and_false_alarms_take_turns_one_per_image() -> None:
    chosen = choose_subjects(TARGETS, FALSE_ALARMS, 10)
    assert [(one.id, one.kind) for one in chosen] == [
        ("b", "miss"),  # highest SCR
        ("g", "false_alarm"),  # highest score in an image not shown yet
        ("a", "miss"),
        ("f", "false_alarm"),
        ("c", "miss"),  # undefined SCR last
        ("e", "hit"),  # lowest SCR
        ("d", "hit"),
    ]


def test_the_limit_holds() -> None:
    assert [one.id for one in choose_subjects(TARGETS, FALSE_ALARMS, 3)] == ["b", "g", "a"]
    assert choose_subjects(TARGETS, FALSE_ALARMS, 0) == []


def test_the_order_of_the_rows_does_not_matter() -> None:
    turned = choose_subjects(TARGETS[::-1], FALSE_ALARMS[::-1], 10)
    assert turned == choose_subjects(TARGETS, FALSE_ALARMS, 10)


def test_captions_state_the_figures(found: Evaluation) -> None:
    chosen = choose_subjects(found.per_target.to_pandas(), found.false_alarms.to_pandas(), 9)
    text = {one.id: one.text for one in chosen}
    assert "4 px" in text["miss"]
    assert "largest probability 0.10" in text["miss"]
    assert "no target in the image" in text["false"]
    assert "nearest target 30.4 px away" in text["mixed"]
    assert "overlap 1.00" in text["hit"]
    assert {one.id: one.box for one in chosen}["hit"] == (20, 20, 23, 23)
