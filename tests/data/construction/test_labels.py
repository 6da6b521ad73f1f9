import math

import numpy as np
import pandas as pd

from irstd.data.construction.labels import class_balance, target_labels


def test_box_centre_and_area_of_each_target() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:4, 5:9] = 1
    mask[10, 10] = mask[11, 11] = 1  # one target, 8-connected
    first, second = target_labels(mask)
    assert first == {
        "target": 0, "top": 2, "left": 5, "bottom": 4, "right": 9,
        "row": 2.5, "col": 6.5, "area_px": 8,
    }  # fmt: skip
    assert (second["top"], second["bottom"], second["row"], second["area_px"]) == (10, 12, 10.5, 2)


def test_an_empty_mask_has_no_targets() -> None:
    assert target_labels(np.zeros((5, 5), np.uint8)) == []


def test_balance_of_the_sirst_family() -> None:
    names = ["sky"] * 997 + ["sea"] * 102 + ["town"] * 400 + ["road"] * 16 + [None]
    classes = {"sky": "aerial", "sea": "maritime", "town": "land", "road": "land"}
    balance = class_balance(pd.DataFrame({"background": names}), classes)
    assert balance["images"] == {"aerial": 997, "land": 416, "maritime": 102, "unknown": 1}
    shares = {name: round(100 * share, 1) for name, share in balance["shares"].items()}
    assert shares == {"aerial": 65.8, "land": 27.5, "maritime": 6.7}  # ISPANet, section III
    assert balance["imbalance"] == 997 / 102


def test_without_images_of_a_class_the_imbalance_is_undefined() -> None:
    classes = {"sky": "aerial", "sea": "maritime"}
    one_class = class_balance(pd.DataFrame({"background": ["sky"]}), classes)
    assert math.isnan(one_class["imbalance"])
    assert one_class["shares"] == {"aerial": 1.0, "maritime": 0.0}
    nothing = class_balance(pd.DataFrame({"background": [None]}), classes)
    assert math.isnan(nothing["imbalance"])
    assert math.isnan(nothing["shares"]["aerial"])
