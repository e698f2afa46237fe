"""Every name of TensorRT that our code uses is one of the library's, in each version that it is for.

What runs a plan needs a GPU; a misspelt name in it would be found on a device only. So names are read out of the
source: our code calls TensorRT's objects by the same few variable names everywhere. TensorRT-RTX is asked itself, where
it is installed; of TensorRT there are lists in ``names``, which ``names/read_bindings.py`` writes.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_autoglm
from tests.export.tensorrt.names.read_bindings import CLASSES as NAMED
from tests.export.tensorrt.names.read_bindings import ENUMERATIONS, MODULE, names_of

PACKAGE = Path(edge_autoglm.__file__).parent
FILES = [
    *sorted((PACKAGE / "export" / "tensorrt").glob("*.py")),
    *sorted((PACKAGE / "device").glob("tensorrt*.py")),
    *sorted((PACKAGE / "runtime" / "engines" / "tensorrt").glob("*.py")),
]
CLASSES = {
    "module": (MODULE,),
    "trt": (MODULE,),
    "builder": ("Builder",),
    "config": ("IBuilderConfig", "IRuntimeConfig"),
    "network": ("INetworkDefinition",),
    "parser": ("OnnxParser",),
    "layer": ("ILayer",),
    "tensor": ("ITensor",),
    "added": ("IOptimizationProfile",),
    "runtime": ("Runtime",),
    "runtime_cache": ("IRuntimeCache",),
    "engine": ("ICudaEngine",),
    "context": ("IExecutionContext",),
    "get_error": ("ParserError",),
    "get_input": ("ITensor",),
    "get_output": ("ITensor",),
    "get_timing_cache": ("ITimingCache",),
}
"""By variable, with or without an underscore before it, or by the method that returns the object."""
OURS = {("step.py", "context")}
"""Variables of these names that hold objects of our own."""

OLD = "tensorrt-10.3.0"
TENSORRT = (OLD, "tensorrt-10.15.1.29", "tensorrt-11.4.0.106")
RTX = "tensorrt_rtx"
UNREACHED = {
    "ComputeCapability": (TENSORRT, "choose_capabilities and the compiler ask is_rtx"),
    "DynamicShapesKernelSpecializationStrategy": (TENSORRT, "_runtime_config asks is_rtx"),
    "REQUIRE_USER_ALLOCATION": (TENSORRT, "the compiler asks is_rtx"),
    "create_runtime_cache": (TENSORRT, "_runtime_config asks is_rtx"),
    "create_runtime_config": ((OLD,), "_runtime_config asks whether the engine has it"),
    "dynamic_shapes_kernel_specialization_strategy": (TENSORRT, "_runtime_config asks is_rtx"),
    "get_aliased_input_tensor": ((OLD,), "asked of native plans only, which it cannot build"),
    "num_compute_capabilities": (TENSORRT, "the compiler asks is_rtx"),
    "set_compute_capability": (TENSORRT, "the compiler asks is_rtx"),
    "set_execution_context_allocation_strategy": ((OLD,), "comes after create_runtime_config"),
    "set_runtime_cache": (TENSORRT, "_runtime_config asks is_rtx"),
}
"""Names that some libraries lack, which, and why our code does not come to them there."""


def _used(file: Path) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Where an attribute is used, whose it may be, and its name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and (owners := _owners(file, node.value)):
            yield f"{file.parent.name}/{file.name}:{node.lineno}", owners, node.attr


def _owners(file: Path, node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Call):
        node = node.func
    name = (node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else "").lstrip("_")
    if name in CLASSES:
        return () if (file.name, name) in OURS else CLASSES[name]
    if isinstance(node, ast.Attribute) and _owners(file, node.value) == (MODULE,):  # an enumeration of the library
        return (name,)
    return ()


def _names(library: str) -> dict[str, list[str]]:
    if library == RTX:
        return names_of(pytest.importorskip(RTX, reason="tensorrt-rtx is not installed"))
    names: dict[str, list[str]] = json.loads((Path(__file__).parent / "names" / f"{library}.json").read_text("utf-8"))
    return names


def _has(names: dict[str, list[str]], owners: tuple[str, ...], name: str) -> bool:
    if owners[0] in (*NAMED, *ENUMERATIONS) and owners[0] not in names[MODULE]:
        return True  # what the library lacks is the class itself
    return any(name in names.get(owner, ()) for owner in owners)


@pytest.mark.parametrize("library", [*TENSORRT, RTX])
def test_every_name_is_the_librarys(library: str) -> None:
    names = _names(library)
    lacking = [
        (where, name)
        for where, owners, name in (used for file in FILES for used in _used(file))
        if not _has(names, owners, name)
    ]
    unreached = {name for name, (libraries, _) in UNREACHED.items() if library in libraries}
    assert not [f"{where} {name}" for where, name in lacking if name not in unreached]
    unneeded = unreached - {name for _, name in lacking}
    assert not unneeded


def test_the_names_of_builds_and_runs_are_found() -> None:
    found = {name for file in FILES for _, _, name in _used(file)}
    assert {
        "Builder",
        "ILogger",
        "IProgressMonitor",
        "WORKSPACE",
        "build_serialized_network",
        "desc",
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
