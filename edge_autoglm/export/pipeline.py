"""Checkpoint to bundle: open, describe, build the graph, store the texts, prove, seal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from edge_autoglm.bundle import Bundle, BundleWriter, EngineEntry
from edge_autoglm.errors import ExportError
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.options import ExportOptions
from edge_autoglm.export.proof.budgets import budget_of
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.export.proof.graphs import prove_against_itself, prove_against_original, refuse_export
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.proof.prove import Terms
from edge_autoglm.export.routes import Built, Route, choose_route, open_source
from edge_autoglm.export.texts import Text, calibration_text, heldout_text, read_text_file
from edge_autoglm.prompts import Catalogue, builtin_task_files
from edge_autoglm.values import Progress, silent

_GRAPH = "engine/model.onnx"
_REFERENCE = "reference/model.onnx"


def export_model(
    source: str | Path,
    out: str | Path,
    precision: str = "int8",
    target: str = "ort",
    *,
    calibration: Path | None = None,
    adapter: Path | None = None,
    kv: str = "fp32",
    max_kl: float | None = None,
    via: str = "auto",
    proof: bool = True,
    tasks: Sequence[Path] | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Bundle:
    """Turn a checkpoint into a bundle, and prove that it still behaves like the original.

    Args:
        source: A ``.gguf`` file, a folder with ``config.json`` and safetensors, or a hub id.
        out: Folder to make. It appears whole or not at all.
        precision: ``fp32``; ``fp16`` weights; ``int8``: 8-bit weights in blocks of 32; ``w8a8``: 8-bit weights and
            activations; ``int4``: 4-bit weights, fitted to the calibration text; ``auto``: chosen layer by layer for
            the fastest model within ``max_kl``.
        target: ``ort``.
        calibration: Text that ``w8a8``, ``int4`` and ``auto`` are fitted to; UTF-8. The one that ships by default.
        adapter: Folder of a PEFT LoRA adapter, merged before quantising.
        kv: Of the KV cache: ``fp32``, ``fp16`` or ``int8``.
        max_kl: Largest mean KL divergence from the original, in nats a token, in place of the precision's own budget.
        via: ``own`` builder, ``optimum``, or ``auto``: Optimum for architectures that our own does not know.
        proof: Whether to compare the engine with the original on held-out text and greedy answers.
        tasks: Task files to ship; the built-in ones by default.
        force: Replace a bundle that lies at ``out``, which survives until the new one is whole; and ship an engine that
            is beyond its budget.
        progress: Told of each stage.

    Raises:
        SourceError: The checkpoint or the adapter cannot be read, or is of a kind that cannot be built.
        TaskFileError: A task file is malformed.
        OverBudget: The engine differs too much from the original. No bundle was written.
        ExportError: Unknown option, unusable text, or the bundle cannot be written.
        MissingDependency: A package is needed.
    """
    options = ExportOptions(precision, target, kv, via, adapter, max_kl, proof, force)
    files = builtin_task_files() if tasks is None else list(tasks)
    Catalogue.load(files)
    text = calibration_text() if calibration is None else read_text_file(calibration)
    try:
        with BundleWriter(Path(out), overwrite=force) as writer:
            return _export(writer, str(source), options, text, files, progress)
    except MemoryError as error:
        raise ExportError(
            f"there is not enough memory to export {source}", "Close other programs, or export on a larger machine."
        ) from error


def _export(
    writer: BundleWriter, source: str, options: ExportOptions, text: Text, tasks: Sequence[Path], progress: Progress
) -> Bundle:
    with closing(open_source(source, options.adapter, progress)) as checkpoint:
        texts = checkpoint.tokenizer()
        route = choose_route(checkpoint, texts, options, text)
        built = route.build(writer.path(_GRAPH), options.precision, options.kv, progress)
        _write_texts(writer, texts, tasks)
        language = Language.of_files(texts)
        proven = _prove(writer, route, built, language, options, progress) if options.proof else None
        if proven is not None and not options.force:
            refuse_export(proven, source)
        engine = EngineEntry(built.kind, _GRAPH, options.precision, options.kv, built.groups, built.notes)
        return writer.commit(
            source=Path(checkpoint.location).name,
            model=built.model,
            engines=(engine,),
            verification={} if proven is None else proven.to_json(),
            progress=progress,
        )


def _prove(
    writer: BundleWriter, route: Route, built: Built, language: Language, options: ExportOptions, progress: Progress
) -> Proof:
    terms = Terms(options.precision, budget_of(options.precision, options.max_kl), heldout_text())
    if options.compares_with_itself:
        return prove_against_itself(built, language, terms, progress)
    aside = writer.path(_REFERENCE).parent  # staged like the bundle, so that nothing of it can survive an accident
    return prove_against_original(aside, route, built, language, terms, progress)


def _write_texts(writer: BundleWriter, texts: TokenizerFiles, tasks: Sequence[Path]) -> None:
    writer.path("tokenizer.json").write_text(texts.tokenizer_json, encoding="utf-8")
    if texts.chat_template is not None:
        writer.path("chat_template.jinja").write_text(texts.chat_template, encoding="utf-8")
    for task in tasks:
        writer.path(f"prompts/{task.name}").write_bytes(task.read_bytes())
