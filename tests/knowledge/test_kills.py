"""A process that is killed at any moment loses nothing that was acknowledged, and leaves a sound file."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_autoglm.knowledge.database import Database
from edge_autoglm.knowledge.documents import DocumentStore
from edge_autoglm.knowledge.examples import ExampleStore
from edge_autoglm.knowledge.facts import FactStore


def killed_run(file: Path, start: int, steps: int, delay: float) -> int:
    """Number of the last step that was acknowledged."""
    command = [sys.executable, "-m", "tests.knowledge.kill_host", str(file), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(steps):
            child.stdout.readline()
        time.sleep(delay)
        child.kill()
        said = child.stdout.read().split()
    last = start + steps - 1
    return max([last, *map(int, said)])


def check_kills(file: Path, kills: int) -> None:
    rng, done = random.Random(3), -1
    for _ in range(kills):
        done = killed_run(file, done + 2, rng.randrange(1, 5), rng.random() * 0.02)
        database = Database(file)
        texts = {example.inputs["text"] for example in ExampleStore(database).list()}
        titles = {document.title for document in DocumentStore(database).list()}
        assert f"example {done}" in texts
        assert f"document {done}" in titles
        assert {document.passages for document in DocumentStore(database).list()} == {3}
        assert len(ExampleStore(database).similar("mood", {"text": f"example {done}"}, 1)) == 1
        assert FactStore(database).search(f"fact {done}") or done % 5 == 4
        database.close()


@pytest.mark.stress
def test_a_few_kills(file: Path) -> None:
    check_kills(file, kills=5)


@pytest.mark.heavy
def test_many_kills(file: Path) -> None:
    check_kills(file, kills=200)
