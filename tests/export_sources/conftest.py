"""One tiny Llama in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import write_tiny_llama
from tests.export_sources.tiny_gguf import llama_cpp_tensors, tiny_metadata, write_gguf


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the Hugging Face layout, with a head of its own."""
    return write_tiny_llama(tmp_path_factory.mktemp("folder") / "tiny", tied=False)


@pytest.fixture(scope="session")
def tiny_gguf(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a GGUF file, float32."""
    tensors = llama_cpp_tensors(open_checkpoint(str(tiny_folder)))
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tiny_metadata(), tensors)
