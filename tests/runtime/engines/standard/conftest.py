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
    """Of a precision."""
    return cache(lambda precision: write_tiny_graph(tmp_path_factory.mktemp(precision), precision))


@pytest.fixture
def engines(tiny_graph: Callable[[str], Path]) -> Iterator[Callable[..., StandardEngine]]:
    """Opens engines over a graph in a precision; all else as `open_engine`."""
    opened: list[StandardEngine] = []

    def make(precision: str = "fp16", **options: Any) -> StandardEngine:
        opened.append(open_engine(tiny_graph(precision), **options))
        return opened[-1]

    yield make
    for engine in opened:
        engine.close()
