"""What ONNX Runtime says of itself, asked in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

_QUESTION = """
import sys
if sys.path[0] == "":  # what lies in the working folder is not what an app would import
    del sys.path[0]
import json, onnxruntime
print(json.dumps([onnxruntime.__version__, onnxruntime.get_available_providers(), onnxruntime.get_build_info()]))
"""


@dataclass(frozen=True, slots=True)
class OrtAnswer:
    """What an import of ONNX Runtime led to.

    Attributes:
        version: ``None`` if the import failed, as are the next two.
        providers: Execution providers that it was built with; a GPU's is listed whether there is a GPU or not.
        build: Its own description of the build.
        error: Why the import failed.
    """

    version: str | None = None
    providers: tuple[str, ...] = ()
    build: str = ""
    error: str | None = None


def ask_onnxruntime(python: str = sys.executable, timeout: float = 120.0) -> OrtAnswer:
    """Import ONNX Runtime in a child process, with its telemetry off.

    There a build that this CPU cannot run takes the child down and nothing else.

    Args:
        python: Interpreter whose packages are meant.
        timeout: Seconds, for slow storage.
    """
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    try:
        child = subprocess.run(
            [python, "-c", _QUESTION], capture_output=True, text=True, env=environment, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return OrtAnswer(error=str(error))
    if child.returncode < 0:
        return OrtAnswer(error=f"its import was ended by signal {-child.returncode}")
    if child.returncode:
        return OrtAnswer(error=(child.stderr.strip().splitlines() or ["no reason given"])[-1])
    version, providers, build = json.loads(child.stdout.splitlines()[-1])
    return OrtAnswer(version, tuple(providers), build)
