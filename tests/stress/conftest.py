"""The tiny real bundle of the facade's tests, and how long the load lasts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_autoglm import Bundle, export_model
from tests.checkpoints import write_tiny_llama
from tests.facade.conftest import ECHO, MOOD

SECONDS = float(os.environ.get("EDGE_AUTOGLM_STRESS_SECONDS", "4"))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A random two-layer Llama with two small tasks, in fp32."""
    pytest.importorskip("onnxruntime")
    folder: Path = tmp_path_factory.mktemp("stress")
    tasks = []
    for name, text in (("mood", MOOD), ("echo", ECHO)):
        tasks.append(folder / f"{name}.yaml")
        tasks[-1].write_text(text)
    return export_model(write_tiny_llama(folder / "checkpoint"), folder / "bundle", "fp32", tasks=tasks, proof=False)
