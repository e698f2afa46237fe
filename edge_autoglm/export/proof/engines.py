"""Engines for the proof, over graphs that are not in a sealed bundle yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edge_autoglm.device.threads import default_threads
from edge_autoglm.errors import MissingDependency
from edge_autoglm.export.proof.prompts import PROMPTS
from edge_autoglm.export.routes import Built
from edge_autoglm.runtime.engine import Engine

KINDS = ("ort", "ort-past")
"""Engines of a manifest that run here."""

_LONGEST = 640
"""Tokens a slot must hold: a window, or a question with its answer."""


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
        from edge_autoglm.runtime.engines.ort_engine import OrtEngine
        from edge_autoglm.runtime.engines.past_engine import PastEngine
    except ImportError as error:
        raise MissingDependency(
            f"the proof runs the exported engine and needs the package {error.name}",
            'Install it: pip install "edge-autoglm[cpu]", or export without proof (--no-proof).',
        ) from error
    engine = OrtEngine if built.kind == "ort" else PastEngine
    return engine.load(
        built.path,
        fingerprint="",  # nothing is shared between these engines
        context_length=built.model.context_length,
        slots=len(PROMPTS),
        capacity=_LONGEST,
        threads=default_threads(),
    )
