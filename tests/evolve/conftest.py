"""A tiny real bundle whose task is searched."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm import Bundle, export_model
from tests.checkpoints import write_tiny_llama
from tests.evolve.world import mood_examples

MOOD = """
name: mood
version: 1.4.2
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
probes:
  - text: a great movie
  - text: the film is bad
"""
ECHO = """
name: echo
description: Continue a text.
kind: generate
inputs: [text]
decoding: {max_new_tokens: 4}
variants:
  - name: plain
    prompt: "{{ text }}"
  - name: again
    prompt: "Again: {{ text }}"
probes:
  - text: the movie
  - text: a film
"""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A random two-layer Llama with two tasks."""
    folder = tmp_path_factory.mktemp("evolve")
    files = []
    for name, text in (("mood", MOOD), ("echo", ECHO)):
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(text)
    return export_model(
        write_tiny_llama(folder / "checkpoint"), folder / "tiny.bundle", "fp32", tasks=files, proof=False
    )


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Sixty examples as a TSV."""
    rows = [f"{each.inputs['text']}\t{each.expect}" for each in mood_examples(60)]
    path = tmp_path / "labelled.tsv"
    path.write_text("\n".join(["text\texpect", *rows]) + "\n")
    return path
