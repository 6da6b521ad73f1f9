"""A table that meets every expectation, and the demo profile's limits."""

from pathlib import Path

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from irstd.config import parse_params
from irstd.profiles import compose

ROOT = Path(__file__).parents[1]


def profile_tree(name: str) -> dict:
    return YAML(typ="safe").load(compose(ROOT, name))


LIMITS = parse_params(profile_tree("demo"), "demo").validation


def clean_table() -> pd.DataFrame:
    n = 20
    split = ["train"] * 12 + ["val"] * 3 + ["test"] * 5
    rows = {
        "id": [f"image_{i}" for i in range(n)],
        "source": "made",
        "split": split,
        "sequence": [None, *(f"sequence_{part}" for part in split[1:])],
        "frame": pd.array([None, *range(1, n)], dtype="Int32"),
        "height": 64,
        "width": 96,
        "dtype": ["uint8", "uint16"] * 10,
        "n_targets": [0] + [2] * 19,
        "mean": np.linspace(0.2, 0.4, n),
        "std": 0.1,
        "background": None,
        "repaired": "",
        "checksum": [f"both_{i}" for i in range(n)],
        "missing": None,
        "image_pixels": 64 * 96,
        "mask_pixels": 64 * 96,
        "stored_checksum": [f"both_{i}" for i in range(n)],
        "mask_values": ["0"] + ["0 1"] * 19,
        "mask_targets": [0] + [2] * 19,
        "pixel_checksum": [f"image_{i}" for i in range(n)],
        "equal_elsewhere": None,
        "near_elsewhere": None,
        "sequence_elsewhere": None,
        "smallest_area": [np.nan] + [4.0] * 19,
        "largest_area": [np.nan] + [30.0] * 19,
        "scr_median": [np.nan, *np.linspace(2.0, 9.0, 19)],
        "scr_undefined": 0,
        "scr_drift_p": 0.4,
        "mean_drift": 1.0,
        "split_share_error": 0.01,
        "split_targets": 6,
        "quarantine_share": 0.0,
    }
    return pd.DataFrame(rows)
