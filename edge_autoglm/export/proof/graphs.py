"""Proof of a graph on disk: the original is built beside it, both are run, the original is deleted again."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge_autoglm.bundle import ModelFacts
from edge_autoglm.errors import OverBudget, SourceError
from edge_autoglm.export.proof.engines import opened_engine
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.proof.prove import Terms, prove
from edge_autoglm.export.routes import Built, Route
from edge_autoglm.values import Progress

_SHAPE = ("vocab_size", "hidden_size", "layers", "kv_heads", "head_dim")
_CALIBRATE = "Calibrate on more text, or on text closer to the application (--calibration)"
_CURES = {
    "fp32": "Choose another KV cache (--kv)",
    "fp16": "Export in fp32",
    "int8": "Export in fp16",
    "w8a8": f"{_CALIBRATE}, export in int8",
    "int4": f"{_CALIBRATE}, export in int8 or w8a8",
    "auto": _CALIBRATE,
}


def prove_against_original(
    folder: Path, route: Route, built: Built, language: Language, terms: Terms, progress: Progress
) -> Proof:
    """Compare a graph with the float32 graph of its checkpoint.

    Args:
        folder: Where that is written; removed in every case.
        route: Builds it.
        built: What is to be proved.
        language: Of the model.
        terms: What to prove.
        progress: Stages ``reference``, ``perplexity`` and ``generations``.

    Raises:
        SourceError: The checkpoint cannot be read, or is of another shape than what is to be proved.
        ExportError: An engine gives no finite logits, or the text is too short.
        MissingDependency: ONNX Runtime is not installed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        original = route.build(
            folder / "model.onnx", "fp32", "fp32", lambda _, done, total: progress("reference", done, total)
        )
        _check_same_shape(original.model, built.model)
        with opened_engine(original) as reference, opened_engine(built) as candidate:
            return prove(reference, candidate, language, terms, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prove_against_itself(built: Built, language: Language, terms: Terms, progress: Progress) -> Proof:
    """Perplexity and answers of a graph that is the original: it runs, and what it says is kept as a baseline."""
    with opened_engine(built) as engine:
        return prove(engine, engine, language, terms, progress)


def refuse_export(proof: Proof, source: str) -> None:
    """Refuse to ship what differs too much.

    Raises:
        OverBudget: Naming every figure that is beyond its limit.
    """
    cure = f"{_CURES[proof.precision]}, allow more (--max-kl), or ship it all the same (--force)."
    _require_within_budget(proof, source, cure)


def refuse_bundle(proof: Proof, name: str) -> None:
    """Refuse a bundle that differs too much from a checkpoint; raises what `refuse_export` does."""
    cure = "Name the checkpoint, and the adapter, that the bundle was made from, or export it again."
    _require_within_budget(proof, name, cure)


def _require_within_budget(proof: Proof, name: str, cure: str) -> None:
    if excesses := proof.excesses():
        found = ", ".join(excesses)
        raise OverBudget(f"{name}: {proof.precision} differs from the original by more than it may: {found}", cure)


def _check_same_shape(original: ModelFacts, model: ModelFacts) -> None:
    for name in _SHAPE:
        if getattr(original, name) != getattr(model, name):
            raise SourceError(
                f"{original.name} is not the model of the bundle: its {name} is {getattr(original, name)}, "
                f"that of the bundle {getattr(model, name)}",
                "Name the checkpoint that the bundle was made from.",
            )
