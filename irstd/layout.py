"""Where the files of a project stand; the only place that joins these paths."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths of one project and profile, relative to `root` (the folder of `params.yaml`)."""

    root: Path
    profile: str

    def raw(self, source: str) -> Path:
        """Folder of a source's files as published; never changed."""
        return self.root / "data" / "raw" / source

    @property
    def processed(self) -> Path:
        """Folder with `index.parquet`, `quarantine.parquet`, `pixels.npy` and `masks.npy`."""
        return self.root / "data" / "processed" / self.profile

    @property
    def built(self) -> Path:
        """Folder of the data set that `irstd data build` made of them."""
        return self.root / "data" / "built" / self.profile

    def artifacts(self, network: str) -> Path:
        """Folder of one network's weights, checkpoints, ONNX file and tracking journal."""
        return self.root / "artifacts" / self.profile / network

    def weights(self, network: str) -> Path:
        """Best weights (safetensors, with what rebuilds the network in the metadata)."""
        return self.artifacts(network) / "model.safetensors"

    def checkpoints(self, network: str) -> Path:
        """Folder of `last.ckpt` and `best.ckpt`: state to resume from, not an output of a stage."""
        return self.artifacts(network) / "checkpoints"

    def onnx(self, network: str) -> Path:
        """The verified ONNX file."""
        return self.artifacts(network) / f"{network}.onnx"

    def predictions(self, network: str) -> Path:
        """Folder of the probability maps of the test part."""
        return self.artifacts(network) / "predictions"

    @property
    def study(self) -> Path:
        """Database of the Optuna studies."""
        return self.root / "artifacts" / "tune" / self.profile / "study.db"

    def report(self, stage: str, network: str | None = None) -> Path:
        """Folder of a stage's report, per network where the stage runs per network."""
        folder = self.root / "reports" / stage / self.profile
        return folder if network is None else folder / network
