"""The wheel contains everything that Heartwood needs at run time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
PHOTO = CHECKOUT / "orchestrator" / "demo_photos" / "cushion_chair.jpg"
SEGMENT_TIMEOUT_S = 240


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a new virtual environment in which the wheel is installed.

    The environment borrows the dependencies of the running one through a ``.pth`` file. Python does not process the
    ``.pth`` files of a folder that it finds this way, so the editable install of the checkout stays invisible.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, CHECKOUT]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("heartwood-*.whl")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    packages = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True, cwd=folder)
    return environment / "bin"


def run(installed: Path, folder: Path, *command: object, timeout_s: float = 120) -> str:
    """Run a program of the environment in ``folder``, without access to the checkout; return its output."""
    environment = {
        "PATH": f"{installed}:{os.environ['PATH']}",
        "HOME": str(folder),
        "HEARTWOOD_DATA_DIR": str(folder / "data"),
        "COLUMNS": "200",
    }
    completed = subprocess.run(
        [installed / str(command[0]), *map(str, command[1:])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_wheel_is_imported_from_its_own_environment(installed: Path, tmp_path: Path) -> None:
    code = "import heartwood, orchestrator.settings as s; print(heartwood.__file__, s.Settings().model_repository)"
    for path in run(installed, tmp_path, "python", "-c", code).split():
        assert Path(path).is_relative_to(installed.parent)


def test_doctor_finds_everything_required_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    output = run(installed, tmp_path, "heartwood", "doctor")
    assert "intrinsic_decomposition, material_pipeline, segmentation, surface_estimation" in output


def test_larger_models_can_be_listed_and_pulled_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    output = run(installed, tmp_path, "heartwood", "models", "pull", "birefnet", "--dry-run")
    assert f"would write a version of {tmp_path / 'data' / 'models' / 'birefnet'}" in output
    code = "import export_models.pull.birefnet as converter; print(converter.__file__)"
    assert Path(run(installed, tmp_path, "python", "-c", code).strip()).is_relative_to(installed.parent)


def test_segment_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    shutil.copyfile(PHOTO, tmp_path / "photo.jpg")
    output = run(installed, tmp_path, "heartwood", "segment", "photo.jpg", timeout_s=SEGMENT_TIMEOUT_S)
    assert "leg" in output
    assert (tmp_path / "output" / "overlay.png").is_file()


@pytest.mark.parametrize(
    "resource",
    [
        "demo_photos/orbit/cushion_chair-01.jpg",
        "protocol/proto/heartwood/v1/job.proto",
        "store/migrations/env.py",
        "tools/blender_scripts/turntable.py",
        "tools/node/package-lock.json",
    ],
)
def test_wheel_contains_the_resource(installed: Path, resource: str) -> None:
    (package,) = (installed.parent / "lib").glob("python3.*/site-packages/orchestrator")
    assert (package / resource).is_file()
