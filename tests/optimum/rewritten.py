"""The small GPT as the rewriting leaves it, and an engine over it."""

from __future__ import annotations

from pathlib import Path

from edge_autoglm.export.optimum.check import Reference, sample_tokens
from edge_autoglm.export.optimum.forms import IN_PLACE, Rewritten, Source
from edge_autoglm.export.optimum.probe import Probe
from edge_autoglm.export.optimum.rewriting import rewrite
from edge_autoglm.runtime.engine import Engine
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from edge_autoglm.runtime.engines.past_engine import PastEngine
from tests.optimum.gpt_graph import CONTEXT, HEADS, VOCAB_SIZE, Variant, write_gpt

WINDOW = Variant(window=24)
"""Not purely causal, so that its attention stays as it is."""


def reference_of(source: Path) -> Reference:
    """What the graph answers before it is rewritten."""
    tokens = sample_tokens(VOCAB_SIZE)
    return Reference(tokens, Probe(source, ["logits"]).run(tokens, 0)["logits"])


def write_rewritten(folder: Path, variant: Variant, precision: str) -> tuple[Path, Rewritten]:
    """Write ``model.onnx`` and its weights into an empty folder."""
    scratch = folder / "scratch"
    scratch.mkdir()
    source = write_gpt(scratch / "exported.onnx", variant)
    graph = folder / "model.onnx"
    rewritten = rewrite(Source(source, HEADS, CONTEXT), reference_of(source), graph, precision, scratch)
    return graph, rewritten


def open_engine(graph: Path, rewritten: Rewritten, slots: int = 4, capacity: int = 64) -> Engine:
    """The engine that the graph is for."""
    kind = OrtEngine if rewritten.kind == IN_PLACE else PastEngine
    return kind.load(
        graph, fingerprint=graph.parent.name, context_length=CONTEXT, slots=slots, capacity=capacity, threads=1
    )
