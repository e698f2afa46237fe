"""Task files written by tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge_autoglm.prompts import Task, load_task
from edge_autoglm.sandbox import compile_template
from edge_autoglm.values import Message
from tests.prompts.task_texts import HEADER, PLAIN, PROBES


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a task file ``mood.yaml``."""

    def write(content: str) -> Path:
        path = tmp_path / "mood.yaml"
        path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.fixture
def load_variants(write_task: Callable[[str], Path]) -> Callable[[str], Task]:
    """Loads a well-formed task that has the plain variant and the given ones (YAML list items, indented by two)."""
    return lambda variants: load_task(write_task(f"{HEADER}variants:\n{PLAIN}{variants}{PROBES}"))


@pytest.fixture(scope="session")
def chat() -> Callable[[Sequence[Message]], str]:
    """A chat template as checkpoints have them: a default system message, and white space around contents trimmed."""
    source = (
        "{% if messages[0].role != 'system' %}<sys>Be nice.</sys>\n{% endif %}"
        "{% for message in messages %}"
        "<{{ message.role }}>{{ message.content | trim }}</{{ message.role }}>\n"
        "{% endfor %}"
        "<assistant>"
    )
    template = compile_template(source, "chat template")
    return lambda messages: template.render(messages=messages)
