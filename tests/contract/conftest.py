"""The engines that the contract suite runs against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from edge_autoglm.bundle import Bundle
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from tests.checkpoints import VOCAB_SIZE, write_tiny_llama
from tests.onnxruntime_versions import need_cache_type


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
def exported(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """The checkpoint exported at a precision (and a KV cache: ``int8+kv-int8``), once a session each."""
    bundles: dict[str, Bundle] = {}

    def export(name: str) -> Bundle:
        from edge_autoglm.export.pipeline import export_model

        if name not in bundles:
            precision, _, kv = name.partition("+kv-")
            out = tmp_path_factory.mktemp("bundle") / "bundle"
            bundles[name] = export_model(tiny_llama, out, precision, kv=kv or "fp32", proof=False)
        return bundles[name]

    return export


@pytest.fixture(scope="session")
def through_optimum(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], EngineFactory]:
    """Engines over a graph of Optimum's form: ``optimum`` with its attention fused, ``past`` with it as exported."""
    makers: dict[str, EngineFactory] = {}

    def maker(name: str) -> EngineFactory:
        pytest.importorskip("onnx_ir")
        from tests.optimum.gpt_graph import Variant
        from tests.optimum.rewritten import WINDOW, open_engine, write_rewritten

        if name not in makers:
            form, precision = name.split("-")
            variant = WINDOW if form == "past" else Variant()
            graph, rewritten = write_rewritten(tmp_path_factory.mktemp(name), variant, precision)
            makers[name] = lambda slots=4, capacity=64: open_engine(graph, rewritten, slots, capacity)
        return makers[name]

    return maker


@pytest.fixture(scope="session")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], EngineFactory]:
    """Engines over standard graphs of the same checkpoint, by kind, on ONNX Runtime's CPU."""
    makers: dict[str, EngineFactory] = {}

    def maker(precision: str) -> EngineFactory:
        pytest.importorskip("onnxruntime")
        from tests.runtime.engines.standard.engines_for_tests import open_engine, write_tiny_graph

        if precision not in makers:
            graph = write_tiny_graph(tmp_path_factory.mktemp("standard"), precision)
            makers[precision] = lambda slots=4, capacity=64: open_engine(graph, slots, capacity)
        return makers[precision]

    return maker


_THROUGH_OPTIMUM = ("optimum-fp32", "optimum-int8", "past-fp32", "past-int8")


_OURS = ("fp32", "fp16", "int8", "w8a8", "int4", "fp32+kv-fp16", "int8+kv-int8")


_STANDARD = ("fp32", "fp16", "int8", "w8a8", "int4", "decomposed-fp16", "decomposed-int8")


@pytest.fixture(
    params=[
        "scripted",
        *(f"ort-{name}" for name in _OURS),
        *_THROUGH_OPTIMUM,
        *(f"standard-{name}" for name in _STANDARD),
    ]
)
def engine_factory(
    request: pytest.FixtureRequest,
    exported: Callable[[str], Bundle],
    through_optimum: Callable[[str], EngineFactory],
    standard: Callable[[str], EngineFactory],
) -> Iterator[EngineFactory]:
    """Every engine there is; closes what it made."""
    made: list[Engine] = []

    def make(slots: int = 4, capacity: int = 64) -> Engine:
        engine: Engine
        if request.param == "scripted":
            engine = ScriptedEngine(VOCAB_SIZE, slots, capacity)
        elif request.param in _THROUGH_OPTIMUM:
            engine = through_optimum(request.param)(slots, capacity)
        elif request.param.startswith("standard-"):
            engine = standard(request.param.removeprefix("standard-"))(slots, capacity)
        else:
            pytest.importorskip("onnxruntime")
            need_cache_type(request.param.partition("+kv-")[2] or "fp32")
            from edge_autoglm.runtime.engines.ort_engine import OrtEngine

            bundle = exported(request.param.removeprefix("ort-"))
            entry = bundle.engine("ort")
            engine = OrtEngine.load(
                bundle.path(entry.graph),
                fingerprint=bundle.fingerprint,
                context_length=bundle.manifest.model.context_length,
                slots=slots,
                capacity=capacity,
                threads=1,
            )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def decode_rounding(request: pytest.FixtureRequest) -> float:
    """How much of the largest logit a sum in another order may change."""
    kind, _, precision = request.node.callspec.params["engine_factory"].partition("-")
    if kind != "standard" or precision == "fp32":
        return 1e-4
    return 1e-2 if precision == "w8a8" else 1e-3  # float16; what w8a8 rounds may fall to the next of 8 bits
