"""Graphs of the tiny Llama, written once a session, and engines over them that are closed behind each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from tests.runtime.engines.standard.engines_for_tests import open_engine, write_tiny_graph


@pytest.fixture(scope="session")
def tiny_graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Of a kind; see `write_tiny_graph`."""
    return cache(lambda kind: write_tiny_graph(tmp_path_factory.mktemp(kind), kind))


@pytest.fixture
def engines(tiny_graph: Callable[[str], Path]) -> Iterator[Callable[..., StandardEngine]]:
    """Opens engines over a graph of a kind; all else as `open_engine`."""
    opened: list[StandardEngine] = []

    def make(kind: str = "fp16", **options: Any) -> StandardEngine:
        opened.append(open_engine(tiny_graph(kind), **options))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()
