import numpy as np
import pytest
import torch

from irstd.errors import ConfigError, DataError
from irstd.metrics import CONVENTIONS, DetectionMetrics, MetricSuite
from irstd.metrics.figures import BINS, COLUMNS

NAMES = list(CONVENTIONS)


def same(first: dict[str, dict[str, float]], second: dict[str, dict[str, float]]) -> bool:
    """Whether all figures are equal to the last bit; NaN equals NaN."""
    return all(
        list(first[name]) == list(second[name])
        and np.array_equal(list(first[name].values()), list(second[name].values()), equal_nan=True)
        for name in first | second
    )


def counted(images, names=NAMES, **settings) -> MetricSuite:
    suite = MetricSuite(names, **settings)
    for probability, mask in images:
        suite.update(probability, mask)
    return suite


def test_one_pass_equals_each_convention_alone(golden):
    images = [golden.cases[name] for name in golden.sets["real"][:4]]
    alone = {name: counted(images, [name]).compute()[name] for name in NAMES}
    assert same(counted(images).compute(), alone)


def test_one_convention_equals_its_metrics(golden):
    images = [golden.cases[name] for name in golden.sets["s256"][:3]]
    metrics = DetectionMetrics("agpcnet")
    for image in images:
        metrics.update(*image)
    suite = counted(images, ["agpcnet"])
    assert metrics.compute() == suite.compute()["agpcnet"]
    np.testing.assert_array_equal(metrics.table, suite.table("agpcnet"))
    np.testing.assert_array_equal(metrics.roc().tpr, suite.roc("agpcnet").tpr)
    sums = metrics.table.sum(axis=0)
    assert metrics.figures(sums)["iou"] == metrics.compute()["iou"]


def test_other_thresholds_equal_the_published_codes(published):
    images = [published.images[name] for name in published.sets["s256"]]
    codes = {name: published.codes[name]["per_set"]["s256"] for name in ("lpnet", "rdian", "sgmp")}
    for step in (1, 3, 7, 9):
        found = counted(images, list(codes), threshold=step / 10).compute()
        expected = codes["lpnet"][f"th0.{step}"]
        for label, key in CONVENTIONS["lpnet"].published_names.items():
            group, value = label.split(".")
            assert found["lpnet"][key] == pytest.approx(expected[group][value], rel=1e-9), label
        assert found["rdian"]["pd"] == pytest.approx(codes["rdian"]["target_rate10"][step])
        assert found["sgmp"]["pd"] == pytest.approx(codes["sgmp"]["target_pd"][step])


def test_f1_and_image_iou_follow_the_threshold_although_their_codes_do_not(published):
    images = [published.images[name] for name in published.sets["s256"]]
    suite = counted(images, ["sctransnet", "mpcnet", "panpeiwen"], threshold=0.3)
    found, ious = suite.compute(), []
    for probability, mask in images:
        predicted = probability > 0.3
        ious.append((predicted & (mask > 0)).sum() / max((predicted | (mask > 0)).sum(), 1))
    for name in ("sctransnet", "panpeiwen"):
        assert found[name]["niou_image"] == pytest.approx(np.mean(ious), rel=1e-12)
    for name, figures in found.items():
        roc = suite.roc(name)
        recall, precision = roc.tpr[3], roc.precision[3]
        expected = 2 * recall * precision / (recall + precision + 1e-5)
        assert figures["f1"] == pytest.approx(expected, rel=1e-12)
        assert figures["f1"] != published.figures(name, published.sets["s256"])["f1"]
        assert "both follow the threshold" in CONVENTIONS[name].notes["D19"]


def test_a_batch_equals_its_images_in_numpy_and_torch(golden):
    images = [golden.cases[name] for name in golden.sets["s256"][:3]]
    probability, mask = (np.stack(arrays)[:, None] for arrays in zip(*images, strict=True))
    expected = counted(images).compute()
    assert same(counted([(probability, mask)]).compute(), expected)
    tensors = torch.from_numpy(probability), torch.from_numpy(mask)
    assert same(counted([tensors]).compute(), expected)


def test_tables_have_a_row_per_image_and_named_columns(golden):
    suite = counted([golden.cases["perfect_multi"], golden.cases["both_empty"]])
    for name, convention in CONVENTIONS.items():
        assert suite.table(name).shape == (2, len(convention.columns)), name
        assert MetricSuite([name]).table(name).shape == (0, len(convention.columns)), name
        assert set(convention.columns) <= set(COLUMNS) | set(BINS["target"] + BINS["background"])
    sums = suite.table("opdc").sum(axis=0)
    counts = dict(zip(CONVENTIONS["opdc"].columns, sums, strict=True))
    assert (counts["empty_images"], counts["silent_images"], counts["matched"]) == (1, 1, 5)


def test_reset_forgets_everything(golden):
    suite = counted([golden.cases["all_foreground"]])
    suite.reset()
    suite.update(*golden.cases["perfect_multi"])
    assert same(suite.compute(), counted([golden.cases["perfect_multi"]]).compute())


def test_the_distance_is_for_the_open_convention_alone(golden):
    images = [golden.cases[name] for name in golden.sets["distance"]]
    far = counted(images, ["ispanet", "basicirstd"], distance=5.0).compute()
    near = counted(images, ["ispanet", "basicirstd"]).compute()
    assert far["ispanet"]["pd"] == 1.0 > near["ispanet"]["pd"]
    assert far["basicirstd"] == near["basicirstd"]


def test_a_size_is_checked_and_changes_no_figure(golden):
    images = [golden.cases[name] for name in golden.sets["s256"][:2]]
    sized = counted(images, ["mshnet", "sgmp"], size=256)
    assert same(sized.compute(), counted(images, ["mshnet", "sgmp"]).compute())
    with pytest.raises(DataError, match="expected images of 256 x 256 pixels, got 64 x 64"):
        sized.update(*golden.cases["perfect_single"])
    assert sized.compute()["mshnet"]["n_images"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": []}, "expected at least one name"),
        ({"names": "ispanet"}, "expected a list of names, got the text 'ispanet'"),
        ({"names": ["ispanet"], "threshold": "0.5"}, "threshold: expected a .*got '0.5'"),
        ({"names": ["ispanet"], "distance": "2"}, "distance: expected a .*got '2'"),
        ({"names": ["dnanet"], "size": "256"}, "size: expected .* whole number .*got '256'"),
        ({"names": ["dnanet"], "size": 256.0}, "size: expected .* whole number .*got 256.0"),
        ({"names": ["ispanet", "dice"]}, "unknown convention 'dice'"),
        ({"names": ["ispanet"], "threshold": 1.5}, "threshold: .*got 1.5"),
        ({"names": ["dnanet", "opdc"], "distance": 2.0}, "none of dnanet, opdc leaves it open"),
        ({"names": ["sgmp", "acm"], "size": 256}, "none of sgmp, acm divides by a size"),
        ({"names": ["dnanet"], "size": 0}, "size: expected .* at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        MetricSuite(**arguments)


def test_the_own_distance_of_a_convention_may_be_stated():
    assert DetectionMetrics("basicirstd", distance=3.0).distance == 3.0


@pytest.mark.parametrize(
    "other",
    [
        MetricSuite(["dnanet"]),
        MetricSuite(["dnanet", "ispanet"], threshold=0.4),
        MetricSuite(["dnanet", "ispanet"], distance=3.0),
        MetricSuite(["dnanet", "ispanet"], size=64),
    ],
)
def test_figures_counted_in_another_way_are_not_merged(other):
    with pytest.raises(ConfigError, match=r"cannot merge .*\('ispanet', 0.5, 2.0\) here and"):
        MetricSuite(["dnanet", "ispanet"]).merge(other)


def test_what_was_not_counted_is_refused():
    suite = MetricSuite(["ispanet"])
    with pytest.raises(ConfigError, match="'opdc' was not counted; expected one of: ispanet"):
        suite.table("opdc")
    with pytest.raises(ConfigError, match="'ispanet' has no ROC curve of its own"):
        suite.roc("ispanet")


def test_histograms_of_single_images_are_kept_only_where_a_figure_needs_them(golden, monkeypatch):
    images = [golden.cases[name] for name in golden.sets["s256"][:3]]
    batch = tuple(np.stack(arrays)[:, None] for arrays in zip(*images, strict=True))
    calls = []
    monkeypatch.setattr("irstd.metrics.histogram.check_pair", lambda *pair: calls.append(pair))
    monkeypatch.setattr("irstd.metrics.suite.check_pair", lambda *pair: calls.append(pair))
    summed = counted([batch], ["dnanet", "sgmp"])
    assert len(calls) == 1
    single = counted(images, ["dnanet", "agpcnet"])
    assert not summed._bins
    assert len(single._bins) == 3
    for rate in ("tpr", "fpr", "precision"):
        expected = getattr(single.roc("dnanet"), rate)
        assert np.array_equal(getattr(summed.roc("dnanet"), rate), expected)
    summed.merge(counted(images, ["dnanet", "sgmp"]))
    assert summed._scores.sum() == 2 * 3 * 256 * 256
    summed.reset()
    assert summed._scores.sum() == 0


def test_the_curve_over_distances_is_of_the_open_convention_alone(golden):
    case = golden.cases["perfect_multi"]
    message = "none of dnanet, opdc leaves the distance open; count ispanet as well"
    with pytest.raises(ConfigError, match=message):
        counted([case], ["dnanet", "opdc"]).distance_curve([1.0])
    with pytest.raises(ConfigError, match="none of dnanet leaves the distance open"):
        DetectionMetrics("dnanet").distance_curve([1.0])
    assert counted([case], ["dnanet", "ispanet"]).distance_curve([1.0]).pd.tolist() == [1.0]


def test_mirroring_may_change_the_pixels_of_unmatched_components_but_no_number_of_pairs():
    mask, probability = np.zeros((2, 9, 21))
    mask[4, 10] = 1
    probability[4, 8] = probability[4, 11:14] = 0.9  # two components 2 px away; one is larger
    upright = counted([(probability, mask)], ["ispanet"]).compute()["ispanet"]
    mirrored = counted([(probability[:, ::-1], mask[:, ::-1])], ["ispanet"]).compute()["ispanet"]
    changed = {k for k in upright if upright[k] != pytest.approx(mirrored[k], nan_ok=True)}
    assert changed == {"fa_pixel"}
