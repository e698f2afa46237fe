"""Two prompt sets over one tiny real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm import Bundle, export_model
from tests.checkpoints import write_tiny_llama
from tests.facade.conftest import ECHO, MOOD

TASKS = {"mood": MOOD, "echo": ECHO}


def write_tasks(folder: Path, **replaced: str) -> list[Path]:
    """Task files; in each, what a name of ``replaced`` stands for replaces that name."""
    folder.mkdir(parents=True)
    for name, text in TASKS.items():
        for old, new in replaced.items():
            text = text.replace(old, new)
        (folder / f"{name}.yaml").write_text(text)
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    """A random two-layer Llama in fp32; the second bundle words a variant in another way."""
    pytest.importorskip("onnxruntime")
    folder: Path = tmp_path_factory.mktemp("chaos")
    first = export_model(
        write_tiny_llama(folder / "checkpoint"),
        folder / "first",
        "fp32",
        tasks=write_tasks(folder / "tasks"),
        proof=False,
    )
    return first, first.derive(folder / "second", write_tasks(folder / "others", framed="reframed"))
