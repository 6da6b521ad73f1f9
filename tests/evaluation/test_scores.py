import numpy as np
import pandas as pd
import pytest

from irstd.data.store import PreparedData
from irstd.evaluation.evaluate import Evaluation
from irstd.evaluation.scores import hit_levels, score_counts, score_figures
from irstd.metrics.calibration import calibration_curve
from irstd.metrics.histogram import DEFAULT_BINS, ScoreHistogram
from irstd.metrics.ranking import DetectionRanking

FIGURES = {
    *("roc_auc", "average_precision", "average_precision_target"),
    *("ece", "ece_above_lowest"),
}
IMAGES = [f"image {position}" for position in range(6)]


@pytest.fixture
def maps() -> list[tuple[np.ndarray, np.ndarray]]:
    """Probability and mask of each image; the masks are found in part."""
    rng = np.random.default_rng(3)
    masks = [rng.random((8, 9)) < 0.2 for _ in IMAGES]
    return [(np.clip(rng.normal(0.3 + 0.3 * mask, 0.2), 0, 1), mask) for mask in masks]


@pytest.fixture
def components() -> pd.DataFrame:
    """Components of coarse scores, some of them equal, in all images but the last."""
    rng = np.random.default_rng(4)
    ids = rng.choice(IMAGES[:-1], size=60)
    return pd.DataFrame({"id": ids, "score": rng.integers(1, 12, 60) / 12, "hit": rng.random(60)})


def histogram_of(*maps: tuple[np.ndarray, np.ndarray]) -> ScoreHistogram:
    histogram = ScoreHistogram()
    for probability, mask in maps:
        histogram.update(probability.astype(np.float32), mask.astype(np.uint8))
    return histogram


def counted(maps: list[tuple[np.ndarray, np.ndarray]], components: pd.DataFrame) -> np.ndarray:
    histograms = [histogram_of(one) for one in maps]
    bins = {
        "target": [h.target for h in histograms],
        "background": [h.background for h in histograms],
    }
    hit = components["hit"] < 0.4
    missed = pd.DataFrame({"id": IMAGES, "score": np.nan, "hit": False})
    per_target = pd.concat([components[hit].assign(hit=True), missed], ignore_index=True)
    levels = hit_levels(per_target)
    assert len(levels) < 12  # there are equal scores
    return score_counts(pd.DataFrame(bins, IMAGES), per_target, components[~hit], levels)


def test_figures_of_drawn_images_are_those_of_the_images_one_after_another(
    maps: list[tuple[np.ndarray, np.ndarray]], components: pd.DataFrame
) -> None:
    counts = counted(maps, components)
    weights = np.random.default_rng(5).multinomial(6, np.full(6, 1 / 6), size=20)
    found = score_figures(weights @ counts)
    assert found.keys() == FIGURES
    for sample, weight in enumerate(weights):
        drawn = np.repeat(np.arange(6), weight)
        ranking = DetectionRanking()
        for position in drawn:
            own = components[components["id"] == IMAGES[position]]
            hits = (own["hit"] < 0.4).to_numpy()
            ranking.update(own["score"].to_numpy(), hits, int(hits.sum()) + 1)
        histogram = histogram_of(*(maps[position] for position in drawn))
        calibration = calibration_curve(histogram)
        expected = {
            "roc_auc": histogram.roc().auc,
            "average_precision": histogram.pr().average_precision,
            "average_precision_target": ranking.compute().average_precision,
            "ece": calibration.ece,
            "ece_above_lowest": calibration.ece_above_lowest,
        }
        assert {key: values[sample] for key, values in found.items()} == pytest.approx(expected)


def test_levels_of_another_model_change_nothing() -> None:
    histograms = pd.DataFrame({"target": [[0] * (DEFAULT_BINS + 1)], "id": "a"}).set_index("id")
    histograms["background"] = histograms["target"]
    per_target = pd.DataFrame({"id": "a", "score": [0.9, 0.5, np.nan], "hit": [True, True, False]})
    alarms = pd.DataFrame({"id": "a", "score": [0.95, 0.5, 0.2]})
    # At 0.9 one of two, at 0.5 two of four, of three targets.
    for more in ([], [0.97, 0.7, 0.5, 0.3, 0.1]):
        levels = np.unique([0.9, 0.5, *more])[::-1]
        counts = score_counts(histograms, per_target, alarms, levels)
        found = score_figures(counts.sum(axis=0))
        assert found["average_precision_target"] == pytest.approx(1 / 3 * 1 / 2 + 1 / 3 * 2 / 4)


def test_nothing_found_is_zero_and_nothing_to_find_undefined() -> None:
    columns = 2 * (DEFAULT_BINS + 1) + 1
    sums = np.zeros((2, columns))
    sums[0, -1] = 3  # targets, no level
    found = score_figures(sums)
    assert found["average_precision_target"][0] == 0.0
    assert all(np.isnan(values[1]) for values in found.values())
    assert score_figures(np.empty((0, columns)))["roc_auc"].shape == (0,)


def test_the_figures_of_an_evaluation_follow_from_its_tables(
    found: Evaluation, data: PreparedData
) -> None:
    scores = found.scores.to_pandas().set_index("id")
    assert scores.index.tolist() == data.index["id"].iloc[data.rows("test")].tolist()
    per_target, alarms = found.per_target.to_pandas(), found.false_alarms.to_pandas()
    counts = score_counts(scores, per_target, alarms, hit_levels(per_target))
    figures = score_figures(counts.sum(axis=0))
    assert figures == {key: pytest.approx(found.figures[key]) for key in FIGURES}
