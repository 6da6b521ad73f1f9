import shutil
from pathlib import Path

import pytest

from irstd.errors import ConfigError, ModelError
from irstd.stages import model_reference
from irstd.stages.model_reference import resolve_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "profiles" / "demo.yaml", tmp_path / "params.yaml")
    folder = tmp_path / "artifacts" / "demo" / "ispanet"
    folder.mkdir(parents=True)
    (folder / "ispanet.onnx").touch()
    return tmp_path


def test_the_default_is_the_active_profiles_first_network(project: Path) -> None:
    found = resolve_model(None, project)
    assert found == project / "artifacts" / "demo" / "ispanet" / "ispanet.onnx"


def test_a_run_is_profile_and_network(project: Path) -> None:
    assert resolve_model("demo/ispanet", project) == resolve_model(None, project)
    with pytest.raises(ModelError, match=r"sirst/ispanet/ispanet\.onnx: no such file; run"):
        resolve_model("sirst/ispanet", project)


def test_a_path_needs_no_project(tmp_path: Path) -> None:
    file = tmp_path / "a@b.onnx"
    file.touch()
    assert resolve_model(str(file), tmp_path / "nowhere") == file
    with pytest.raises(ModelError, match=r"none\.onnx: no such file"):
        resolve_model(str(tmp_path / "none.onnx"), tmp_path)


@pytest.mark.parametrize(
    "reference", ["0123456789abcdef" * 2, "irstd@champion", "models:/irstd@best", "models:/irstd/3"]
)
def test_registered_models_are_asked_of_the_registry(
    project: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    from irstd.tracking import registry

    asked: list[tuple[Path, str, str]] = []

    def download(root: Path, params: object, given: str) -> Path:
        asked.append((root, params.profile, given))  # type: ignore[attr-defined]
        return root / "downloaded.onnx"

    monkeypatch.setattr(registry, "download_model", download)
    assert resolve_model(reference, project) == project / "downloaded.onnx"
    assert asked == [(project, "demo", reference)]


@pytest.mark.parametrize("reference", ["", "champion", "a/b/c", "0123", "model.bin", "irstd@"])
def test_other_texts_list_what_is_understood(project: Path, reference: str) -> None:
    with pytest.raises(ModelError, match=r"not understood; expected a path to an \.onnx or "):
        resolve_model(reference, project)
    assert "models:/NAME@ALIAS" in model_reference.FORMS


@pytest.mark.parametrize("name", ["best.pth", "a/best.pth.tar", "w.pt", "w.pkl", "w.params"])
def test_published_weights_are_to_be_imported(project: Path, name: str) -> None:
    with pytest.raises(ModelError, match="run `irstd import-weights` and give the file"):
        resolve_model(name, project)


def test_the_default_needs_params(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml: not found"):
        resolve_model(None, tmp_path)
