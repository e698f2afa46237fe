"""Every name of TensorRT that our code uses is one of the installed library's.

What runs a plan needs a GPU; a misspelt name in it would be found on a device only. So names are read out of the
source: our code calls TensorRT's objects by the same few variable names everywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_autoglm

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

PACKAGE = Path(edge_autoglm.__file__).parent
FILES = [
    *sorted((PACKAGE / "export" / "tensorrt").glob("*.py")),
    *sorted((PACKAGE / "device").glob("tensorrt*.py")),
    *(PACKAGE / "runtime" / "engines" / "tensorrt" / f"{name}.py" for name in ("plan", "contexts")),
]
CLASSES = {
    "module": (trt,),
    "trt": (trt,),
    "builder": (trt.Builder,),
    "config": (trt.IBuilderConfig, trt.IRuntimeConfig),
    "network": (trt.INetworkDefinition,),
    "parser": (trt.OnnxParser,),
    "layer": (trt.ILayer,),
    "tensor": (trt.ITensor,),
    "added": (trt.IOptimizationProfile,),
    "runtime": (trt.Runtime,),
    "engine": (trt.ICudaEngine,),
    "context": (trt.IExecutionContext,),
}
"""By variable, with or without an underscore before it."""


def _names(file: Path) -> Iterator[tuple[str, tuple[object, ...], str]]:
    """Where an attribute is used, whose it may be, and its name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and (owners := _owners(node.value)):
            yield f"{file.name}:{node.lineno}", owners, node.attr


def _owners(node: ast.expr) -> tuple[object, ...]:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if name.lstrip("_") in CLASSES:
        return CLASSES[name.lstrip("_")]
    if isinstance(node, ast.Attribute) and _owners(node.value) == (trt,):  # a class or an enumeration of the library
        return (getattr(trt, name, None),)
    return ()


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_name_is_the_librarys(file: Path) -> None:
    unknown = [f"{where} {name}" for where, owners, name in _names(file) if not any(hasattr(o, name) for o in owners)]
    assert not unknown


def test_the_names_of_builds_and_runs_are_found() -> None:
    found = {name for file in FILES for _, _, name in _names(file)}
    assert {
        "Builder",
        "ILogger",
        "IProgressMonitor",
        "WORKSPACE",
        "build_serialized_network",
        "parse_from_file",
        "set_compute_capability",
        "set_memory_pool_limit",
        "set_shape",
    } <= found
    assert {
        "Runtime",
        "create_execution_context",
        "deserialize_cuda_engine",
        "execute_async_v3",
        "get_aliased_input_tensor",
        "set_input_shape",
        "set_tensor_address",
    } <= found
