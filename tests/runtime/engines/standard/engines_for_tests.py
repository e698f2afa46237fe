"""Engines over standard graphs of small models, on ONNX Runtime's CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from edge_autoglm.runtime.engines.standard.ort_backend import OrtBackend
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from tests.checkpoints import write_tiny_llama
from tests.export.standard.graphs import write_standard
from tests.onnxruntime_versions import need_opset_24

SIZES = StepSizes(rows=2, page=16, head_rows=8)
"""Small, so that short prompts take several pages, blocks and runs of a page."""
COLUMNS = SIZES.columns(128)
"""144: live lengths of 32, 64, 128 and 144."""
CAPACITY = COLUMNS - 1

TEXT = [int(token) for token in np.random.default_rng(7).integers(3, 300, size=CAPACITY)]
OTHER = [int(token) for token in np.random.default_rng(8).integers(3, 300, size=CAPACITY)]


def write_tiny_graph(folder: Path, kind: str) -> Path:
    """A standard graph of the tiny Llama; skips the test where ONNX Runtime does not know it.

    Args:
        folder: For it and its checkpoint.
        kind: A precision, of the native lowering; or ``decomposed-`` and a precision.
    """
    lowering, _, precision = kind.rpartition("-")
    if not lowering:
        need_opset_24()
    dialect = StandardDialect("decomposed" if lowering else "native", precision, COLUMNS)
    return write_standard(folder / "standard.onnx", write_tiny_llama(folder / "checkpoint"), dialect)


def open_engine(
    graph: Path, slots: int = 3, capacity: int = CAPACITY, sizes: StepSizes = SIZES, threads: int = 1
) -> StandardEngine:
    """An engine on the CPU."""
    backend = OrtBackend.load(graph, threads=threads, provider="cpu", sizes=sizes)
    return StandardEngine(backend, fingerprint="tiny-cpu", slots=slots, capacity=capacity)


def logits_of(engine: Engine, slot: int, tokens: Sequence[int]) -> Logits:
    """Logits at every position of a chunk appended to the slot."""
    [logits] = engine.forward([Chunk(slot, tokens, range(len(tokens)))])
    return logits


def in_chunks(engine: Engine, slot: int, tokens: Sequence[int], ends: Sequence[int]) -> Logits:
    """Logits of all tokens, given up to each end in turn to the emptied slot."""
    engine.truncate(slot, 0)
    starts = [0, *ends[:-1]]
    return np.concatenate([logits_of(engine, slot, tokens[i:j]) for i, j in zip(starts, ends, strict=True)])
