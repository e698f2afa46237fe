"""The helper of scripts/demo and scripts/test, run by a real bash in a copy of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash")

# A package whose build backend lies beside it, so that installing it needs no index.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny"
version = "1.0"
[project.optional-dependencies]
one = []
"""
BACKEND = """
import zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tiny-1.0-py3-none-any.whl"
    metadata = "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\nProvides-Extra: one\\n"
    tag = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.0.dist-info/METADATA", metadata)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", tag)
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with the real helper and the tiny package; the space in its path is meant."""
    root = tmp_path / "a checkout"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "environment.sh", root / "scripts")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    return root


def run(checkout: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    assert BASH is not None
    script = f"set -euo pipefail; source scripts/environment.sh; {command}"
    kept = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    return subprocess.run(
        [BASH, "-c", script],
        cwd=checkout,
        env={**kept, "PIP_NO_INDEX": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def tools(folder: Path, *names: str) -> Path:
    """A folder to be the whole PATH: the named coreutils, nothing else."""
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize(
    "script",
    [
        "scripts/demo",
        "scripts/test",
        "scripts/test-oracles",
        "scripts/test-optimum",
        "scripts/environment.sh",
        ".ci/run",
    ],
)
def test_the_scripts_parse(script: str) -> None:
    assert BASH is not None
    subprocess.run([BASH, "-n", ROOT / script], check=True)


def test_a_shim_that_fails_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", "dirname")
    executable(path / "python3", f"#!{BASH}\necho 'pyenv: python3: command not found' >&2\nexit 127\n")
    executable(path / "python3.12", f'#!{BASH}\nexec "{sys.executable}" "$@"\n')
    found = run(checkout, "find_python", PATH=str(path))
    assert (found.returncode, found.stdout.strip()) == (0, sys.executable)


def test_no_python_at_all_is_one_line_with_a_cure(checkout: Path, tmp_path: Path) -> None:
    found = run(checkout, "find_python", PATH=str(tools(tmp_path / "bin", "dirname")))
    assert found.returncode == 1
    assert found.stderr.startswith("error: no Python 3.10-3.13 was found. Install one")
    assert found.stderr.count("\n") == 1


def test_a_named_python_that_does_not_run_is_not_replaced_by_another(checkout: Path) -> None:
    found = run(checkout, "find_python", PYTHON="/nowhere/python")
    assert found.returncode == 1
    assert "PYTHON=/nowhere/python" in found.stderr


def test_a_python_without_venv_says_what_to_install(checkout: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare-python"
    executable(bare, f"#!{BASH}\nexit 1\n")
    made = run(checkout, f'make_venv "{bare}" there')
    assert made.returncode == 1
    assert "apt install python3-venv" in made.stderr


@pytest.mark.slow
def test_a_failed_installation_is_made_anew_and_a_finished_one_is_kept(checkout: Path) -> None:
    ready = 'ready_venv x one; "$venv_python" -c "import tiny"'
    pyproject = checkout / "pyproject.toml"
    pyproject.write_text(PYPROJECT.replace("requires = []", 'requires = ["not-to-be-had"]'))
    failed = run(checkout, ready, PYTHON=sys.executable)
    assert failed.returncode == 1
    assert "error: the installation failed. Check the network" in failed.stderr

    pyproject.write_text(PYPROJECT)
    made = run(checkout, ready, PYTHON=sys.executable)
    assert made.returncode == 0, made.stderr
    assert "Making" in made.stderr

    kept = run(checkout, ready, PYTHON=sys.executable)
    assert (kept.returncode, kept.stderr) == (0, "")
