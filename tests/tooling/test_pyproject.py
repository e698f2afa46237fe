"""What the packaging metadata promises."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def onnxruntime_builds(requirements: list[str]) -> set[str]:
    """Names of ONNX Runtime builds that requirements ask for, directly or as an extra of another package."""
    return {name for requirement in requirements for name in re.findall(r"onnxruntime(?:-\w+)?", requirement)}


def test_cpu_and_cuda_bring_one_onnxruntime_build_each() -> None:
    assert onnxruntime_builds(EXTRAS["cpu"]) == {"onnxruntime"}
    assert onnxruntime_builds(EXTRAS["cuda"]) == {"onnxruntime-gpu"}


@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() - {"cpu", "cuda"}))
def test_no_other_extra_brings_an_onnxruntime_build(extra: str) -> None:
    assert onnxruntime_builds(EXTRAS[extra]) == set()


def test_the_core_brings_no_onnxruntime_build() -> None:
    assert onnxruntime_builds(PROJECT["dependencies"]) == set()


def test_every_dependency_has_a_lower_bound() -> None:
    every = [*PROJECT["dependencies"], *(requirement for extra in EXTRAS.values() for requirement in extra)]
    assert [requirement for requirement in every if ">=" not in requirement] == []
