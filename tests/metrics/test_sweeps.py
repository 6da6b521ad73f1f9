"""Every list of the published codes: curves of the pixels and of the targets."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from irstd.errors import ConfigError
from irstd.metrics import CONVENTIONS, DetectionMetrics, MetricSuite

RATES = {
    "tp_rates": "tpr", "fp_rates": "fpr", "recall": "tpr", "precision": "precision",
    "tp_rates200": "tpr", "fp_rates200": "fpr", "tp_rates10": "tpr", "fp_rates10": "fpr",
    "tpr": "tpr", "fpr": "fpr", "pr_precision": "precision", "pr_recall": "tpr",
    "FP": "false_alarm", "false_alarm": "false_alarm",
}  # fmt: skip
TARGETS = {
    "PD": "pd", "FA": "fa_pixel", "nIoU": "niou_target", "target_pd": "pd",
    "target_fa": "fa_pixel_all", "target_rate10": "pd", "T_tp10": "n_turned_hits",
}  # fmt: skip
EXCLUDED = {
    "PD_FA_unused.PD": "of a class that no script of its code calls",
    "PD_FA_unused.FA": "of a class that no script of its code calls",
}
CODES = {name: "acm" if name == "alcnet" else name for name in CONVENTIONS}
for own in ("ispanet", "opdc", "opdc_exact"):  # no code, or compared in test_hierarchical
    del CODES[own]
SWEPT = [name for name in CONVENTIONS if CONVENTIONS[name].sweep]
SETS = ("real", "s256", "mosaic1024")  # all lists are in one of them; the others take long
CASES = ("perfect_multi", "both_empty", "noise", "near_origin", "q14_noisy", "random_5")


def counted(published: Any, ids: list[str], names: list[str]) -> MetricSuite:
    suite = MetricSuite(names, target_curves=True)
    for name in ids:
        suite.update(*published.images[name])
    return suite


def curve(suite: MetricSuite, name: str, label: str) -> np.ndarray:
    if label in TARGETS:
        found: np.ndarray = suite.target_curve(name).figures[TARGETS[label]]
        return found
    values: np.ndarray = getattr(suite.roc(name), RATES[label])
    return values


def lists(values: dict[str, Any]) -> dict[str, list[float | None]]:
    return {label: value for label, value in values.items() if isinstance(value, list)}


@pytest.mark.parametrize("name", CODES)
def test_curves_equal_the_published_code(published, name):
    compared = set()
    for case, ids, values in published.entries(published.codes[CODES[name]]):
        if case not in (*SETS, *CASES):
            continue
        suite = counted(published, ids, [name])
        for label in lists(values).keys() - EXCLUDED.keys():
            found, expected = curve(suite, name, label), np.array(values[label], dtype=np.float64)
            every = (len(found) - 1) // (len(expected) - 1)
            np.testing.assert_allclose(found[::every], expected, 1e-9, 1e-12, err_msg=label)
            compared.add(label)
    everything = {
        label
        for _, _, values in published.entries(published.codes[CODES[name]])
        for label in lists(values)
    }
    assert everything - EXCLUDED.keys() == compared


def test_what_is_excluded_is_in_the_fixtures(published):
    labels = {
        label
        for code in published.codes.values()
        for _, _, values in published.entries(code)
        for label in lists(values)
    }
    assert set(EXCLUDED) < labels


def test_thresholds_of_mtunet_are_logits(published):
    suite = counted(published, ["q00_real"], ["mtunet"])
    logit = 1 / (1 + math.exp(-0.7))
    assert suite.roc("mtunet").thresholds[7] == pytest.approx(logit, rel=1e-15)
    probability, mask = np.full((1, 2), logit), np.array([[1, 0]])
    probability[0, 0] = np.nextafter(logit, 1)
    edge = MetricSuite(["mtunet"])
    edge.update(probability, mask)
    assert edge.roc("mtunet").fpr[6:8] == pytest.approx([1 / 1.001, 0])
    assert edge.roc("mtunet").tpr[7:9] == pytest.approx([1 / 1.001, 0])


def test_conventions_share_a_pass_and_parts_merge(published):
    ids = published.sets["s256"][:4]
    whole, first, second = (counted(published, x, SWEPT) for x in (ids, ids[:1], ids[1:]))
    first.merge(second)
    arrays = zip(*(published.images[name] for name in ids), strict=True)
    batch = [torch.from_numpy(np.stack(array)[:, None]) for array in arrays]
    at_once = MetricSuite(SWEPT, target_curves=True)
    at_once.update(*batch)
    for name in SWEPT:
        alone = counted(published, ids, [name])
        for suite in (first, at_once, alone):
            for key, values in whole.target_curve(name).figures.items():
                found = suite.target_curve(name).figures[key]
                np.testing.assert_allclose(found, values, rtol=1e-14, err_msg=name)
    np.testing.assert_array_equal(first.roc("mtunet").tpr, whole.roc("mtunet").tpr)
    first.reset()
    assert np.isnan(first.target_curve("mtunet").figures["pd"]).all()
    assert not first.roc("mtunet").tpr.any()


def test_one_threshold_is_the_figure_of_the_convention(published):
    metrics = DetectionMetrics("dnanet", target_curves=True)
    for name in published.sets["real"]:
        metrics.update(*published.images[name])
    found = metrics.target_curve()
    assert found.thresholds[0] == 0.5
    for key, values in found.figures.items():
        assert values[0] == metrics.compute()[key]


def test_target_curves_must_be_asked_for():
    with pytest.raises(ConfigError, match="not counted; make the suite with target_curves"):
        MetricSuite(["sgmp"]).target_curve("sgmp")
    with pytest.raises(ConfigError, match="'lmaformer' has no target curve of its own"):
        MetricSuite(["lmaformer"], target_curves=True).target_curve("lmaformer")
    with pytest.raises(ConfigError, match=r"cannot merge .* with target curves there"):
        MetricSuite(["sgmp"]).merge(MetricSuite(["sgmp"], target_curves=True))
