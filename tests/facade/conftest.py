"""A tiny real bundle with small tasks, so that the whole runtime opens in a fraction of a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime, export_model
from edge_autoglm.facade.config import RuntimeConfig
from tests.checkpoints import write_tiny_llama

MOOD = """
name: mood
description: Is a text good or bad?
kind: classify
inputs: [text]
labels: [good, bad]
variants:
  - name: plain
    prompt: "{{ text }}"
  - name: framed
    prompt: |
      A film is good or bad. This is the text of a user: {{ text }}
      The film is
  - name: chat
    messages:
      - role: user
        content: "Is this good or bad? {{ text }}"
probes:
  - text: a great movie
  - text: the film is bad
"""
ECHO = """
name: echo
description: Continue a text.
kind: generate
inputs: [text]
decoding: {max_new_tokens: 12}
variants:
  - name: plain
    prompt: "{{ text }}"
  - name: answer
    messages:
      - role: user
        content: "{{ text }}"
probes:
  - text: the movie
  - text: a film
"""


@pytest.fixture(scope="session")
def task_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small tasks."""
    folder = tmp_path_factory.mktemp("tasks")
    for name, text in (("mood", MOOD), ("echo", ECHO)):
        (folder / f"{name}.yaml").write_text(text)
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def bundle(task_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A random two-layer Llama with those tasks, in fp32."""
    folder = tmp_path_factory.mktemp("tiny")
    return export_model(
        write_tiny_llama(folder / "checkpoint"), folder / "bundle", "fp32", tasks=task_files, proof=False
    )


@pytest.fixture
def runtime(bundle: Bundle) -> Iterator[Runtime]:
    """Opened without a state folder; nothing is promoted by itself."""
    config = RuntimeConfig(seed=1, context_length=256, promote_every=None)
    with Runtime.open(bundle, threads=1, config=config) as opened:
        yield opened
