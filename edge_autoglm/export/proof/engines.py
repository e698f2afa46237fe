"""Engines for the proof, over graphs that are not in a sealed bundle yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edge_autoglm.device.threads import default_threads
from edge_autoglm.errors import MissingDependency
from edge_autoglm.export.proof.prompts import PROMPTS
from edge_autoglm.export.routes import Built
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.standard.sizes import StepSizes

KINDS = ("ort", "ort-past", "standard")
"""Engines of a manifest whose graphs ONNX Runtime runs on the CPU."""

_LONGEST = 640
"""Tokens a slot must hold: a window, or a question with its answer."""

_NOTHING_SHARED = ""
"""Fingerprint of engines that hand no KV to each other."""

_SIZES = StepSizes(rows=len(PROMPTS), head_rows=StepSizes().page)
"""Of the standard graph's steps: all answers grow together, and a page gives the logits of all of its tokens."""


@contextmanager
def opened_engine(built: Built) -> Iterator[Engine]:
    """An engine with a slot for each question of the proof, closed at the end.

    Raises:
        MissingDependency: ONNX Runtime is not installed.
        DamagedBundle: ONNX Runtime cannot load the graph.
    """
    engine = _load(built)
    try:
        yield engine
    finally:
        engine.close()


def _load(built: Built) -> Engine:
    try:
        return _standard(built) if built.kind == "standard" else _ort(built)
    except ImportError as error:
        raise MissingDependency(
            f"the proof runs the exported engine and needs the package {error.name}",
            'Install it: pip install "edge-autoglm[cpu]", or export without proof (--no-proof).',
        ) from error


def _ort(built: Built) -> Engine:
    """Over a graph that is made for ONNX Runtime."""
    from edge_autoglm.runtime.engines.ort_engine import OrtEngine
    from edge_autoglm.runtime.engines.past_engine import PastEngine

    engine = OrtEngine if built.kind == "ort" else PastEngine
    return engine.load(
        built.path,
        fingerprint=_NOTHING_SHARED,
        context_length=built.model.context_length,
        slots=len(PROMPTS),
        capacity=_LONGEST,
        threads=default_threads(),
    )


def _standard(built: Built) -> Engine:
    """Over the graph that TensorRT compiles."""
    from edge_autoglm.runtime.engines.standard.engine import StandardEngine
    from edge_autoglm.runtime.engines.standard.ort_backend import OrtBackend

    backend = OrtBackend.load(built.path, threads=default_threads(), provider="cpu", sizes=_SIZES)
    capacity = min(_LONGEST, built.model.context_length)
    return StandardEngine(backend, fingerprint=_NOTHING_SHARED, slots=len(PROMPTS), capacity=capacity)
