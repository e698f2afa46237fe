from __future__ import annotations

import signal
import sys
from importlib.metadata import distributions, version
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge_autoglm.device.extras import EXTRAS, ORT_EXTRAS
from edge_autoglm.device.ort_import import ask_onnxruntime
from edge_autoglm.device.packages import OrtBuild, onnxruntime_builds, version_of
from edge_autoglm.device.requirements import Requirement, parse_requirements

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
needs_onnxruntime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="asks the installed ONNX Runtime")
FOR_DEVELOPERS = {"test", "lint", "oracle"}


def install(folder: Path, name: str, version: str, record: list[str] | None, top_level: str = "") -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "top_level.txt").write_text(top_level)
    if record is not None:
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in record))


FILES = ["onnxruntime/__init__.py", "onnxruntime/capi/onnxruntime_pybind11_state.so"]


def test_builds_are_told_by_the_files_they_write(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime", "1.32.0", FILES)
    install(tmp_path, "onnxruntime_gpu", "1.31.0", FILES)
    install(tmp_path, "ort-nightly", "1.33.0.dev1", FILES)
    install(tmp_path, "onnxruntime-directml", "1.30.0", None, top_level="onnxruntime\n")
    install(tmp_path, "onnxruntime-genai", "0.18.0", ["onnxruntime_genai/__init__.py"])
    install(tmp_path, "onnxruntime-extensions", "0.14", None, top_level="onnxruntime_extensions\n")
    install(tmp_path, "numpy", "2.0", ["numpy/__init__.py"])
    assert onnxruntime_builds(distributions(path=[str(tmp_path)])) == [
        OrtBuild("onnxruntime", "1.32.0"),
        OrtBuild("onnxruntime-directml", "1.30.0"),
        OrtBuild("onnxruntime-gpu", "1.31.0"),
        OrtBuild("ort-nightly", "1.33.0.dev1"),
    ]


@needs_onnxruntime
def test_the_build_of_this_environment() -> None:
    assert len(onnxruntime_builds()) == 1


def test_versions() -> None:
    assert version_of("numpy") == version("numpy")
    assert version_of("no-such-distribution") is None


def test_requirements_of_this_interpreter() -> None:
    this, other = "{}.{}".format(*sys.version_info), "3.2"
    parsed = parse_requirements(
        [
            "numpy>=1.26",
            f"river<0.23,>=0.22; python_version < '{other}'",
            f'river>=0.24 ; python_version >= "{this}"',
            "Types_PyYAML (>=6.0.12) ; extra == 'lint'",
            "tomli>=2; (python_version >= '3.0') and extra == 'test'",
            "coverage[toml] >=7,!=7.1 ; extra == 'test'",
            "plain",
        ]
    )
    assert parsed == [
        Requirement("numpy", ((">=", "1.26"),), None),
        Requirement("river", ((">=", "0.24"),), None),
        Requirement("types-pyyaml", ((">=", "6.0.12"),), "lint"),
        Requirement("tomli", ((">=", "2"),), "test"),
        Requirement("coverage", ((">=", "7"), ("!=", "7.1")), "test"),
        Requirement("plain", (), None),
    ]
    assert parsed[4].text == "coverage>=7,!=7.1"


@pytest.mark.parametrize(
    ("clauses", "installed", "met"),
    [
        ([(">=", "1.23")], "1.23.0", True),
        ([(">=", "1.23.0")], "1.23", True),
        ([(">=", "1.23")], "1.9.5", False),
        ([(">=", "0.22"), ("<", "0.23")], "0.22.1", True),
        ([(">=", "0.22"), ("<", "0.23")], "0.23.0", False),
        ([(">=", "1.23")], "1.23.0.post1+cu13", True),
        ([("==", "2.0")], "2.0.0", True),
        ([("!=", "7.1")], "7.1", False),
        ([], "0.1", True),
    ],
)
def test_versions_that_will_do(clauses: list[tuple[str, str]], installed: str, met: bool) -> None:
    assert Requirement("x", tuple(clauses), None).is_met_by(installed) is met


def test_every_requirement_of_ours_is_understood() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for lines in project["optional-dependencies"].values() for line in lines]
    marked = [line for line in lines if "python_version" in line]
    parsed = parse_requirements(lines)
    assert len(lines) - len(marked) <= len(parsed) <= len(lines)
    assert all(requirement.clauses for requirement in parsed)


def test_every_extra_that_a_user_may_want_is_described() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) - FOR_DEVELOPERS <= set(EXTRAS) | set(ORT_EXTRAS)


@needs_onnxruntime
def test_the_installed_onnxruntime_answers() -> None:
    answer = ask_onnxruntime()
    assert answer.error is None
    assert answer.version == onnxruntime_builds()[0].version
    assert "CPUExecutionProvider" in answer.providers


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os; raise ImportError('telemetry off: ' + os.environ['ORT_DISABLE_TELEMETRY'])", "telemetry off: 1"),
        ("", "has no attribute '__version__'"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGILL)})", f"signal {int(signal.SIGILL)}"),
    ],
)
def test_an_import_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: str) -> None:
    (tmp_path / "onnxruntime.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    answer = ask_onnxruntime()
    assert answer.version is None
    assert error in (answer.error or "")


def test_the_working_folder_is_not_where_onnxruntime_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('from the working folder')")
    monkeypatch.chdir(tmp_path)
    assert "from the working folder" not in (ask_onnxruntime().error or "")


def test_a_missing_interpreter_is_told(tmp_path: Path) -> None:
    assert "No such file" in (ask_onnxruntime(str(tmp_path / "python")).error or "")
