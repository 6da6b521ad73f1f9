"""What the result of a training depends on, as one hash."""

import hashlib
import json
from pathlib import Path

import irstd
from irstd.config import FitParams, RecipeParams

# The metrics choose the epoch, but are pinned by golden tests: a new figure retrains nothing.
CODE = (
    "losses/*.py",
    "training/*.py",
    "data/dataset.py",
    "data/fitting.py",
    "data/loader.py",
    "data/pixels.py",
    "data/store.py",
    "data/transforms.py",
    "inference/preprocess.py",
    "models/spec.py",
)


def training_fingerprint(
    data_checksum: str, network: str, recipe: RecipeParams, seed: int, fit: FitParams
) -> str:
    """SHA-256 over data version, parameters and the code that training runs.

    Args:
        data_checksum: `PreparedData.checksum`.
        network: model id; its file and the shared layers count as code.
        recipe: parameters of the training.
        seed: seed of the training.
        fit: size unification.
    """
    parameters = {
        "data": data_checksum,
        "network": network,
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "fit": fit.model_dump(mode="json"),
    }
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    package = Path(irstd.__file__).parent
    for pattern in (*CODE, f"models/{network}.py", "models/layers.py"):
        for path in sorted(package.glob(pattern)):
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()
