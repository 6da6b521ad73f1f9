"""From what a user writes after `--model` to an ONNX or weight file."""

import re
from pathlib import Path

from irstd.config import load_params
from irstd.errors import ModelError
from irstd.layout import Layout

FORMS = (
    "a path to an .onnx or .safetensors file, PROFILE/NETWORK (exported in this project), "
    "an MLflow run id, NAME@ALIAS, or models:/NAME@ALIAS, models:/NAME/VERSION"
)
PUBLISHED = (".pth", ".pth.tar", ".pt", ".pkl", ".params")
EXPORTED = re.compile(r"(?P<profile>[a-z0-9][a-z0-9_-]*)/(?P<network>[a-z0-9_]+)")
REGISTERED = re.compile(r"[0-9a-f]{32}|models:/.+|[^/@]+@[^/@]+")


def resolve_model(reference: str | None, root: Path) -> Path:
    """The ONNX file (or weight file, if given by its path) that a reference stands for.

    Args:
        reference: one of `FORMS`; None is the ONNX file of the active profile's first network.
        root: the project's folder; needed for everything but a path.

    Raises:
        ModelError: no such file, or the text has none of these forms.
        ConfigError: `params.yaml` is needed and cannot be read.
        TrackingError: the registry does not know it or cannot be reached.
    """
    if reference is None:
        params = load_params(root / "params.yaml")
        return _exported(Layout(root, params.profile).onnx(params.train.networks[0]))
    if reference.endswith((".onnx", ".safetensors")):
        return _exported(Path(reference))
    run = EXPORTED.fullmatch(reference)
    if run is not None:
        return _exported(Layout(root, run["profile"]).onnx(run["network"]))
    if REGISTERED.fullmatch(reference):
        from irstd.tracking.registry import download_model

        return download_model(root, load_params(root / "params.yaml"), reference)
    if reference.endswith(PUBLISHED):
        raise ModelError(
            f"model {reference!r}: published weights do not say which network they are of and how "
            "images are prepared; run `irstd import-weights` and give the file that it writes"
        )
    raise ModelError(f"model {reference!r} not understood; expected {FORMS}")


def _exported(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; run `irstd export`, or give {FORMS}")
    return path
