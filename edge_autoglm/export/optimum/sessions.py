"""ONNX Runtime sessions for running a graph once or twice while it is exported."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort


def open_session(graph: Path) -> ort.InferenceSession:
    """A session on the CPU that says nothing but errors."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
