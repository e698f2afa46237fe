"""Good manners on a device: no socket, no telemetry, nothing written outside the state folder, no CPU while idle."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edge_autoglm import Bundle, export_model
from tests.checkpoints import write_tiny_llama
from tests.manners_session import CANNOT_GUARD

pytestmark = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="runs sessions on ONNX Runtime")

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "manners_session.py"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("manners")
    return export_model(write_tiny_llama(folder / "checkpoint"), folder / "bundle", "int8", proof=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def run(bundle: Path, home: Path, guard: str, act: str) -> subprocess.CompletedProcess[str]:
    """In an environment that switches nothing off: ONNX Runtime's telemetry, for one, heeds ``CI``."""
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, str(PROGRAM), str(bundle), str(home.parent / "state"), guard, act]
    child = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False, timeout=120)
    if child.returncode == CANNOT_GUARD:
        pytest.skip(f"the kernel takes no seccomp filter here: {child.stderr.strip()}")
    return child


def session(bundle: Bundle, home: Path, guard: str) -> dict[str, Any]:
    child = run(bundle.root, home, guard, "session")
    assert child.returncode == 0, f"{guard}: ended with {child.returncode}: {child.stderr}"
    report: dict[str, Any] = json.loads(child.stdout)
    assert report["label"] in ("positive", "negative")
    assert report["swapped"]
    return report


only_seccomp = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="seccomp filters are Linux's, and the numbers known here those of x86_64 and aarch64",
)


def test_no_python_code_touches_a_socket_and_nothing_is_written_outside_the_state(bundle: Bundle, home: Path) -> None:
    report = session(bundle, home, "audit")
    assert [file for file in report["open_files"] if file.startswith("socket:")] == []
    # Telemetry keeps its events in a data base below the home folder from the moment that it is on.
    assert list(home.rglob("*")) == []


@only_seccomp
def test_no_thread_native_ones_included_asks_the_kernel_for_a_socket(bundle: Bundle, home: Path) -> None:
    session(bundle, home, "seccomp")


def test_the_audit_guard_stands(tmp_path: Path, home: Path) -> None:
    child = run(tmp_path, home, "audit", "python-socket")
    assert (child.returncode, child.stderr.split()[:2]) == (1, ["REFUSED", "socket.__new__"])


@only_seccomp
@pytest.mark.parametrize("act", ["python-socket", "native-socket"])
def test_the_seccomp_guard_stands(tmp_path: Path, home: Path, act: str) -> None:
    assert run(tmp_path, home, "seccomp", act).returncode == -signal.SIGSYS


def test_an_open_runtime_that_nobody_asks_burns_no_cpu(bundle: Bundle, home: Path) -> None:
    child = run(bundle.root, home, "none", "idle")
    spent = json.loads(child.stdout)
    # A spinning thread takes a whole core; what was measured is below a hundredth of one.
    assert spent["cpu"] < 0.2 * spent["wall"], spent


def importers() -> list[str]:
    """Modules of the package that import ONNX Runtime when they are imported."""
    files = (ROOT / "edge_autoglm").rglob("*.py")
    found = [file for file in files if re.search(r"^(import|from) onnxruntime", file.read_text(), re.MULTILINE)]
    return sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in found)


WATCHED_IMPORT = """
import importlib, os, sys

def watch(event, arguments):
    if event == "import" and arguments[0] == "onnxruntime":
        print(os.environ.get("ORT_DISABLE_TELEMETRY", "not set"), flush=True)

sys.addaudithook(watch)
try:
    importlib.import_module(sys.argv[1])
except ModuleNotFoundError as error:
    print(f"missing {error.name}")
"""


def test_the_search_for_importers_finds_the_engine() -> None:
    assert "edge_autoglm.runtime.engines.ort_model" in importers()


@pytest.mark.parametrize("module", importers())
def test_telemetry_is_off_when_onnxruntime_is_imported(module: str) -> None:
    # It is read then: afterwards even disable_telemetry_events() does not keep ONNX Runtime 1.32 from its sockets.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CI": "1"}  # off by itself if the test fails
    arguments = [sys.executable, "-c", WATCHED_IMPORT, module]
    seen = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True).stdout.split("\n")
    if seen[0].startswith("missing"):
        pytest.skip(f"{module}: {seen[0]}")
    assert seen[0] == "1"


def test_opening_a_runtime_needs_none_of_what_only_the_doctor_asks() -> None:
    code = (
        "import sys, edge_autoglm; before = set(sys.modules); edge_autoglm.Runtime; print(*before, '|', *sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    package, runtime = (set(modules.split()) for modules in child.stdout.split("|"))
    assert not {name for name in package if name.startswith("edge_autoglm.")}
    assert "edge_autoglm.device.threads" in runtime
    assert not runtime & {f"edge_autoglm.device.{name}" for name in ("diagnosis", "host", "packages")}
