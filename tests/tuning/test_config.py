from pathlib import Path
from typing import Any

import pytest

from irstd.config import parse_params, read_yaml
from irstd.errors import ConfigError

DEMO = Path(__file__).parents[2] / "profiles" / "demo.yaml"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"attempts": 1}, "tune: trials 6 is above attempts 1"),
        ({"min_epochs": 3}, "tune: min_epochs 3 is above epochs 2"),
        ({"widths": [16, 16]}, r"tune\.widths: \[16, 16\] names one twice"),
        ({"widths": []}, r"needs at least one value in tune\.widths"),
        ({"alpha": {"low": 0.0, "high": 1.0}}, "tune.alpha.low"),
        ({"gamma": {"low": 2.0, "high": 1.0}}, "tune.gamma: low 2.0 is above high 1.0"),
        ({"study": "a/b"}, "tune.study"),
        ({"network": "unet"}, "tune.network: expected one of: ispanet, .*got 'unet'"),
    ],
)
def test_impossible_searches_are_refused(change: dict[str, Any], complaint: str) -> None:
    content = read_yaml(DEMO)
    content["tune"] |= change
    with pytest.raises(ConfigError, match=complaint):
        parse_params(content, "params.yaml")
