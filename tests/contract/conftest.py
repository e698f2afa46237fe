"""The engines that the contract suite runs against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.scripted_engine import ScriptedEngine
from tests.checkpoints import VOCAB_SIZE, write_tiny_llama


class EngineFactory(Protocol):
    """Makes engines of one kind; all of them hold the same model."""

    def __call__(self, slots: int = 4, capacity: int = 64) -> Engine:
        """A new engine with slots of its own."""
        ...


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama in the Hugging Face layout."""
    return write_tiny_llama(tmp_path_factory.mktemp("checkpoint") / "tiny-llama")


@pytest.fixture(scope="session")
def exported(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Path of the ONNX graph of a precision; each is exported once a session."""
    graphs: dict[str, Path] = {}

    def export(precision: str) -> Path:
        from edge_autoglm.export import export_model

        if precision not in graphs:
            bundle = export_model(str(tiny_llama), tmp_path_factory.mktemp("bundle") / precision, precision=precision)
            graphs[precision] = bundle.path(bundle.engine("ort").graph)
        return graphs[precision]

    return export


@pytest.fixture(params=["scripted", "ort-fp32", "ort-int8"])
def engine_factory(request: pytest.FixtureRequest, exported: Callable[[str], Path]) -> Iterator[EngineFactory]:
    """Every engine there is; closes what it made."""
    made: list[Engine] = []

    def make(slots: int = 4, capacity: int = 64) -> Engine:
        engine: Engine
        if request.param == "scripted":
            engine = ScriptedEngine(VOCAB_SIZE, slots, capacity)
        else:
            pytest.importorskip("onnxruntime")
            from edge_autoglm.runtime.ort_engine import OrtEngine

            graph = exported(request.param.removeprefix("ort-"))
            engine = OrtEngine.load(graph, slots=slots, capacity=capacity, threads=1)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()
