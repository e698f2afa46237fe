"""The two forms that an exported graph is brought into, one for each engine that can run it.

*In place*: attention is `GroupQueryAttention`, inputs and outputs are those of our own graphs (see
``export/graph/decoder.py``), and ``OrtEngine`` runs it.

*Past*: attention stays as exported, and ``PastEngine`` runs it. Inputs are

- ``input_ids`` int64 ``[B, S]``, and where the graph reads them ``attention_mask`` int64 ``[B, P + S]`` and
  ``position_ids`` int64 ``[B, S]``
- ``logits_at`` int64 ``[N]``: indices into the B*S tokens
- ``past_key.L``, ``past_value.L`` float32 ``[B, kv_heads, P, head_dim]``

Outputs are ``logits`` float32 ``[N, vocab]`` and ``present_key.L``, ``present_value.L`` float32 ``[B, kv_heads, S,
head_dim]``: those of the new tokens only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edge_autoglm.export.optimum.attention import add_step_inputs, find_attention, fuse_attention
from edge_autoglm.export.optimum.cache import find_cache, name_cache, set_presents
from edge_autoglm.export.optimum.head import Head, choose_positions
from edge_autoglm.export.optimum.ir_tools import clean, drop_idle_casts
from edge_autoglm.export.optimum.linear import free_of_reshapes
from edge_autoglm.export.optimum.masks import scales
from edge_autoglm.export.optimum.mismatch import NoMatch
from edge_autoglm.export.optimum.norms import fuse_residual_norms

IN_PLACE = "ort"
PAST = "ort-past"


@dataclass(frozen=True, slots=True)
class Source:
    """A graph as exported and what its configuration says of the model.

    Attributes:
        path: The ``.onnx`` file.
        heads: Query heads.
        context_length: In tokens.
    """

    path: Path
    heads: int
    context_length: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A rewritten graph.

    Attributes:
        model: In float32.
        kind: ``IN_PLACE`` or ``PAST``.
        layers: Decoder layers.
        kv_heads, head_dim: Of a layer's cache.
        head: What became of the head.
        notes: What was fused and what was not.
    """

    model: ir.Model
    kind: str
    layers: int
    kv_heads: int
    head_dim: int
    head: Head
    notes: tuple[str, ...]


def rewrite_in_place(source: Source) -> Rewritten:
    """The in-place form.

    Raises:
        NoMatch: The attention is not what `GroupQueryAttention` computes.
    """
    model = _load(source)
    graph = model.graph
    layers = find_cache(graph)
    found = [find_attention(layer) for layer in layers]
    factors = scales(source.path, found, source.context_length)
    name_cache(graph, layers, "C")
    inputs = add_step_inputs(graph)
    presents = [
        fuse_attention(graph, index, layer, attention, scale, source.heads, inputs)
        for index, (layer, attention, scale) in enumerate(zip(layers, found, factors, strict=True))
    ]
    set_presents(graph, layers, presents, "C")
    note = f"attention: fused into GroupQueryAttention in {len(layers)} layers, the KV cache is updated in place"
    return _finish(model, IN_PLACE, layers[0].kv_heads, layers[0].head_dim, len(layers), note)


def rewrite_past(source: Source, reason: str) -> Rewritten:
    """The form that keeps the attention as exported, because of the reason."""
    model = _load(source)
    graph = model.graph
    layers = find_cache(graph)
    name_cache(graph, layers, "P")
    set_presents(graph, layers, [(layer.key.new, layer.value.new) for layer in layers], "S")
    note = f"attention: left as exported ({reason}), the KV cache is copied at every step"
    return _finish(model, PAST, layers[0].kv_heads, layers[0].head_dim, len(layers), note)


def _load(source: Source) -> ir.Model:
    model = ir.load(source.path)
    clean(model)
    drop_idle_casts(model)
    return model


def _finish(model: ir.Model, kind: str, kv_heads: int, head_dim: int, layers: int, note: str) -> Rewritten:
    graph = model.graph
    freed = free_of_reshapes(graph)
    fused, norms = fuse_residual_norms(graph)
    head = choose_positions(graph)
    clean(model)
    _drop_unused_inputs(graph)
    if kind == IN_PLACE:
        _check_nothing_else_reads_the_cache(graph)
    model.opset_imports.setdefault("com.microsoft", 1)
    notes = [
        note,
        f"residual additions: {fused} of {norms} layer norms fused with the addition before them",
        "head: runs on chosen positions only" if head.chosen_first else "head: runs on every position",
    ]
    if freed:
        notes.append(f"linear layers: {freed} freed of the reshapes around them")
    if head.tied:
        notes.append("head: shares the embedding's weights")
    notes.append("everything else (rotary embedding, projections, activation functions): left as exported")
    return Rewritten(model, kind, layers, kv_heads, head_dim, head, tuple(notes))


def _drop_unused_inputs(graph: ir.Graph) -> None:
    kept = [value for value in graph.inputs if value.uses() or (value.name or "").startswith("past_")]
    graph.inputs.clear()
    graph.inputs.extend(kept)


def _check_nothing_else_reads_the_cache(graph: ir.Graph) -> None:
    for value in graph.inputs:
        name = value.name or ""
        if name == "attention_mask":
            raise NoMatch("something besides its mask depends on attention_mask")
        if name.startswith("past_") and len(list(value.uses())) != 1:
            raise NoMatch("something besides the attention depends on the length of the cache")
