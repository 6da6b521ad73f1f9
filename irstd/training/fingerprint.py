"""What the result of a training depends on, as one hash."""

import hashlib
import json
from pathlib import Path

import irstd
from irstd.config import FitParams, RecipeParams, SGMPUNetRecipe
from irstd.config.synthesis import AddedTargetsParams
from irstd.errors import ModelError

# The metrics choose the epoch, but are pinned by golden tests: a new figure retrains nothing.
CODE = (
    "losses/*.py",
    "training/*.py",
    "data/assets/field_test.txt",
    "data/clips.py",
    "data/dataset.py",
    "data/descriptors.py",
    "data/field_test.py",
    "data/fitting.py",
    "data/loader.py",
    "data/motion.py",
    "data/pixels.py",
    "data/store.py",
    "data/synthesis_augment.py",
    "data/synthesis_targets.py",
    "data/targets.py",
    "data/transforms.py",
    "inference/preprocess.py",
    "inference/tiling.py",
    "models/layers.py",
    "models/network.py",
    "models/spec.py",
    "models/swin.py",
    "models/wavelets.py",
)


def training_fingerprint(
    data_checksum: str,
    network: str,
    recipe: RecipeParams,
    seed: int,
    fit: FitParams,
    root: Path,
    added_targets: AddedTargetsParams | None = None,
) -> str:
    """SHA-256 over data version, parameters and the code that training runs.

    Args:
        data_checksum: `PreparedData.checksum`.
        network: model id; its file counts as code, those of other networks don't.
        recipe: parameters of the training.
        seed: seed of the training.
        fit: size unification.
        root: folder that the recipe's `pretrained` is relative to.
        added_targets: which targets are added to training images; None: none.

    Raises:
        ModelError: the file of pretrained weights is missing.
    """
    parameters = {
        "data": data_checksum,
        "network": network,
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "fit": fit.model_dump(mode="json"),
        "added_targets": added_targets and added_targets.model_dump(mode="json"),
    }
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    package = Path(irstd.__file__).parent
    if isinstance(recipe, SGMPUNetRecipe) and recipe.pretrained is not None:
        digest.update(_content(root / recipe.pretrained))
    for pattern in (*CODE, f"models/{network}.py"):
        for path in sorted(package.glob(pattern)):
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """SHA-256 of a file of weights."""
    if not path.is_file():
        raise ModelError(f"{path}: no such file of weights; see train.recipes.sgmp_unet.pretrained")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
