from pathlib import Path

import numpy as np
import pytest

from irstd.errors import DataError, ModelError
from irstd.inference.predictor import Predictor
from irstd.inference.weights import save_model
from irstd.models.spec import SizeRule
from tests.tiny_network import (
    MULTIPLE,
    register_tiny,
    tiny_facts,
    tiny_network,
    write_tiny_onnx,
)


@pytest.fixture
def predictors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Predictor, Predictor]:
    register_tiny(monkeypatch)
    save_model(tmp_path / "tiny.safetensors", tiny_network(), tiny_facts())
    write_tiny_onnx(tmp_path / "tiny.onnx")
    return (
        Predictor.from_weights(tmp_path / "tiny.safetensors", "cpu"),
        Predictor.from_onnx(tmp_path / "tiny.onnx"),
    )


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 24), (33, 50)])
def test_logits_stand_on_the_grid_of_the_image(
    predictors: tuple[Predictor, Predictor], size: tuple[int, int]
) -> None:
    image = np.random.default_rng(1).integers(0, 65536, size, dtype=np.uint16)
    for predictor in predictors:
        logits = predictor.logits(image)
        assert logits.shape == size
        np.testing.assert_allclose(logits, 20 * (image / 65535) - 10, atol=1e-4)


def test_both_back_ends_find_the_same_targets(predictors: tuple[Predictor, Predictor]) -> None:
    image = np.zeros((21, 30), np.uint8)
    image[4:6, 7:9], image[20, 29] = 200, 255
    first, second = (predictor.predict(image) for predictor in predictors)
    assert [detection.box for detection in first.detections] == [(4, 7, 6, 9), (20, 29, 21, 30)]
    assert [found.box for found in second.detections] == [found.box for found in first.detections]
    np.testing.assert_array_equal(first.mask, image > 127)
    np.testing.assert_array_equal(second.mask, first.mask)


def test_the_threshold_is_the_models_unless_given(predictors: tuple[Predictor, Predictor]) -> None:
    image = np.full((8, 8), 140, np.uint8)  # probability 0.73
    predictor = predictors[0]
    assert predictor.predict(image).mask.all()
    assert not predictor.predict(image, 0.75).mask.any()
    with pytest.raises(ModelError, match="threshold must lie between 0 and 1"):
        predictor.predict(image, 1.5)


def test_filled_images_keep_their_targets_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
    facts = tiny_facts(fill=(64, 80))
    predictor = Predictor.from_network(tiny_network(), facts, "cpu")
    image = np.zeros((30, 50), np.uint8)
    image[10:14, 20:25] = 255
    (detection,) = predictor.predict(image).detections
    assert (detection.row, detection.col) == pytest.approx((11.5, 22.0), abs=0.5)


def test_three_channels_repeat_the_grey_image(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
    predictor = Predictor.from_network(tiny_network(3), tiny_facts(in_channels=3), "cpu")
    np.testing.assert_allclose(predictor.logits(np.full((3, 3), 255, np.uint8)), 10, atol=1e-4)


def test_an_image_with_channels_is_refused(predictors: tuple[Predictor, Predictor]) -> None:
    with pytest.raises(DataError, match="expected a grey image"):
        predictors[0].predict(np.zeros((4, 4, 3), np.uint8))


def test_augmentation_averages_what_plain_prediction_gives(
    predictors: tuple[Predictor, Predictor],
) -> None:
    flat = np.full((24, 16), 140, np.uint8)  # the same at every scale, mirrored or not
    for predictor in predictors:
        np.testing.assert_allclose(
            predictor.augmented()(flat).probability,
            predictor.predict(flat).probability,
            atol=1e-6,
        )
    target = np.zeros((40, 48), np.uint8)
    target[11:15, 21:25] = 255
    (found,) = predictors[0].augmented()(target).detections
    assert (found.row, found.col) == pytest.approx((12.5, 22.5), abs=0.5)


def test_augmentation_of_one_fixed_size_asks_for_the_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    register_tiny(monkeypatch, dynamic_axes=("batch",), fixed_reason="windows")
    predictor = Predictor.from_file(write_tiny_onnx(tmp_path / "tiny.onnx"))
    with pytest.raises(ModelError, match=r"its ONNX form takes one size.*\.safetensors"):
        predictor.augmented()


def test_augmentation_of_a_network_of_one_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
    facts = tiny_facts(
        fit="stretch", fit_size=(16, 16), sizes=SizeRule(MULTIPLE, minimum=16, maximum=16)
    )
    with pytest.raises(ModelError, match="takes 16 x 16 only"):
        Predictor.from_network(tiny_network(), facts, "cpu").augmented()


def test_tiles_are_not_augmented(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)
    facts = tiny_facts(
        fit="tile", fit_size=(16, 16), sizes=SizeRule(multiple=MULTIPLE, max_area=256)
    )
    predictor = Predictor.from_network(tiny_network(), facts, "cpu")
    image = np.zeros((40, 40), np.uint8)
    image[17, 20] = 255
    assert [found.box for found in predictor.predict(image).detections] == [(17, 20, 18, 21)]
    with pytest.raises(ModelError, match="an image of 40 x 40 is tiled"):
        predictor.augmented()(image)
