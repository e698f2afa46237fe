"""Importing the package stays light: heavy libraries load when the part that needs them is used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import edge_autoglm

HEAVY = {"torch", "transformers", "scipy", "river", "onnxruntime", "pandas", "onnx", "gguf", "huggingface_hub"}


def in_fresh_interpreter(statement: str) -> tuple[set[str], float]:
    """Run a statement in a child; returns the top-level modules then loaded and the CPU seconds it took."""
    code = (
        "import json, sys, time\n"
        "start = time.process_time()\n"
        f"{statement}\n"
        "spent = time.process_time() - start\n"
        "print(json.dumps([sorted({name.partition('.')[0] for name in sys.modules}), spent]))\n"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, spent = json.loads(child.stdout)
    return set(modules), spent


def test_importing_the_package_loads_no_heavy_library() -> None:
    modules, _ = in_fresh_interpreter("import edge_autoglm")
    assert not modules & HEAVY


def test_importing_the_package_takes_under_a_fifth_of_a_second_of_cpu() -> None:
    # CPU time, not wall-clock time, and the best of three: the limit is the issue's own.
    assert min(in_fresh_interpreter("import edge_autoglm")[1] for _ in range(3)) < 0.2


def test_naming_the_two_main_entry_points_loads_neither_torch_nor_river() -> None:
    modules, _ = in_fresh_interpreter("from edge_autoglm import Runtime, export_model")
    assert not modules & {"torch", "transformers", "scipy", "river"}


@pytest.mark.parametrize("name", edge_autoglm.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(edge_autoglm, name) is not None
    assert name in dir(edge_autoglm)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Runtmie'"):
        _ = edge_autoglm.Runtmie
