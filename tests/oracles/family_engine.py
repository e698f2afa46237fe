"""Our side of a comparison: a checkpoint's fp32 graph, run by the ONNX Runtime engine in the ways that differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_autoglm.export.build import Build
from edge_autoglm.export.families import describe
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.ort_engine import OrtEngine

Logits = npt.NDArray[np.float32]


def load_engine(checkpoint_folder: Path, graph: Path, slots: int = 3) -> OrtEngine:
    """Export the checkpoint in fp32 to ``graph`` and load it."""
    checkpoint = open_checkpoint(str(checkpoint_folder))
    spec = describe(checkpoint)
    Build(graph, checkpoint, spec, "fp32", lambda *_: None).plain("fp32")
    checkpoint.close()
    return OrtEngine.load(
        graph, fingerprint="test", context_length=spec.context_length, slots=slots, capacity=64, threads=1
    )


def in_chunks(engine: OrtEngine, slot: int, ids: Sequence[int], ends: Sequence[int]) -> Logits:
    """Logits of every token ``[len(ids), vocab]``; the slot is emptied, then given the tokens up to each end."""
    engine.truncate(slot, 0)
    starts = [0, *ends[:-1]]
    chunks = (Chunk(slot, ids[start:end], range(end - start)) for start, end in zip(starts, ends, strict=True))
    return np.concatenate([engine.forward([chunk])[0] for chunk in chunks])


def decode_together(engine: OrtEngine, rows: Sequence[Sequence[int]]) -> list[Logits]:
    """One more token a row in each step, the first slots' steps in one batch: logits ``[tokens, vocab]`` a row."""
    steps = [
        engine.forward([Chunk(slot, [token]) for slot, token in enumerate(tokens)])
        for tokens in zip(*rows, strict=True)
    ]
    return [np.concatenate([step[slot] for step in steps]) for slot in range(len(rows))]


def generate(engine: OrtEngine, ids: Sequence[int], count: int) -> list[int]:
    """The likeliest token, ``count`` times."""
    engine.truncate(0, 0)
    tokens: list[int] = []
    chunk = list(ids)
    for _ in range(count):
        tokens.append(int(engine.forward([Chunk(0, chunk)])[0][0].argmax()))
        chunk = tokens[-1:]
    return tokens
