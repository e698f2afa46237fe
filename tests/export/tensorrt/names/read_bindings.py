"""Write down the names of a TensorRT from its Python bindings alone; neither its libraries nor a GPU are needed.

The bindings are a wheel of 1 MB, which imports wherever libraries of the right file names export the right functions;
those that are compiled here do nothing::

    pip download --no-deps tensorrt_cu12_bindings==10.3.0
    python -m zipfile -e tensorrt_cu12_bindings-10.3.0-*.whl unpacked
    python tests/export/tensorrt/names/read_bindings.py unpacked

writes ``tensorrt-10.3.0.json`` beside this file. The Python that runs it must be the one that the wheel is for, and the
C compiler is ``cc``, or what the environment's ``CC`` names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CLASSES = (
    "Builder",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "ILayer",
    "INetworkDefinition",
    "IOptimizationProfile",
    "IRuntimeCache",
    "IRuntimeConfig",
    "ITensor",
    "ITimingCache",
    "OnnxParser",
    "ParserError",
    "Runtime",
)
ENUMERATIONS = (
    "BuilderFlag",
    "ComputeCapability",
    "DynamicShapesKernelSpecializationStrategy",
    "ExecutionContextAllocationStrategy",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "ProfilingVerbosity",
)
MODULE = "module"
"""Key of the names that are of no class."""
_LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
_FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getInferLibBuildVersion",
    "getInferLibMajorVersion",
    "getInferLibMinorVersion",
    "getInferLibPatchVersion",
    "getInferLibVersion",
    "getLogger",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
_PUBLIC = re.compile(r"[A-Za-z]\w*|__version__|__members__")


def names_of(module: Any) -> dict[str, list[str]]:
    """Sorted names of a library and of those of `CLASSES` and `ENUMERATIONS` that it has."""
    owners = {MODULE: module} | {
        name: getattr(module, name) for name in CLASSES + ENUMERATIONS if hasattr(module, name)
    }
    return {name: sorted(filter(_PUBLIC.fullmatch, dir(owner))) for name, owner in owners.items()}


def write(module: Any) -> None:
    """Write the names of a library, a line a class."""
    lines = (f"{json.dumps(name)}: {json.dumps(names)}" for name, names in names_of(module).items())
    path = HERE / f"tensorrt-{module.__version__}.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_bindings(folder: Path) -> None:
    """Write the names of the bindings that are unpacked in a folder."""
    package = (folder / "tensorrt_bindings" / "__init__.py").read_text(encoding="utf-8")
    [major] = re.findall(r'^__version__ = "(\d+)', package, re.MULTILINE)
    with tempfile.TemporaryDirectory() as libraries:
        _compile_libraries(Path(libraries), major)
        paths = os.pathsep.join(map(str, (folder.resolve(), HERE)))
        subprocess.run(
            [sys.executable, "-c", "import read_bindings, tensorrt_bindings; read_bindings.write(tensorrt_bindings)"],
            env=os.environ | {"LD_LIBRARY_PATH": libraries, "PYTHONPATH": paths},
            check=True,
        )


def _compile_libraries(folder: Path, major: str) -> None:
    source = folder / "functions.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _FUNCTIONS), encoding="utf-8")
    for library in _LIBRARIES:
        out = folder / f"lib{library}.so.{major}"
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", out, source], check=True)


if __name__ == "__main__":
    read_bindings(Path(sys.argv[1]))
