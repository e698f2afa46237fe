"""Checkpoint to bundle: open, describe, build the graph, store the texts, seal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_autoglm.bundle import Bundle, BundleWriter, EngineEntry, ModelFacts
from edge_autoglm.errors import ExportError, MissingDependency
from edge_autoglm.export.checkpoint import Checkpoint, TokenizerFiles
from edge_autoglm.export.families import describe
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.prompts import Catalogue, builtin_task_files
from edge_autoglm.values import Progress, silent

PRECISIONS = ("fp32", "int8")
TARGETS = ("ort",)
_GRAPH = "engine/model.onnx"


def export_model(
    source: str | Path,
    out: str | Path,
    precision: str = "int8",
    target: str = "ort",
    *,
    tasks: Sequence[Path] | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Bundle:
    """Turn a checkpoint into a bundle.

    Args:
        source: A ``.gguf`` file, a folder with ``config.json`` and safetensors, or a hub id.
        out: Folder to make. It appears whole or not at all.
        precision: ``fp32``, or ``int8`` (8-bit weights in blocks of 32, int8 activations, float32 KV cache).
        target: ``ort``.
        tasks: Task files to ship; the built-in ones by default.
        force: Replace a bundle that lies at ``out``. It survives until the new one is whole.
        progress: Told of each stage.

    Raises:
        SourceError: The checkpoint cannot be read, or is of a family that is not built.
        TaskFileError: A task file is malformed.
        ExportError: Unknown precision or target, or the bundle cannot be written.
        MissingDependency: The extra ``export`` is not installed.
    """
    _check_choice("precision", precision, PRECISIONS)
    _check_choice("target", target, TARGETS)
    files = builtin_task_files() if tasks is None else list(tasks)
    Catalogue.load(files)
    with BundleWriter(Path(out), overwrite=force) as writer:
        checkpoint = open_checkpoint(str(source), progress)
        try:
            return _write(writer, checkpoint, precision, files, progress)
        finally:
            checkpoint.close()


def _check_choice(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ExportError(f"{field} {value!r} is not known", f"Use one of: {', '.join(known)}.")


def _write(
    writer: BundleWriter, checkpoint: Checkpoint, precision: str, tasks: Sequence[Path], progress: Progress
) -> Bundle:
    spec = describe(checkpoint)
    texts = checkpoint.tokenizer()
    _write_graph(writer.path(_GRAPH), checkpoint, spec, precision, progress)
    _write_texts(writer, texts, tasks)
    return writer.commit(
        source=Path(checkpoint.location).name,
        model=_facts(checkpoint, spec, texts),
        engines=(EngineEntry(kind="ort", graph=_GRAPH, precision=precision, kv_type="fp32"),),
        verification={},
        progress=progress,
    )


def _write_graph(path: Path, checkpoint: Checkpoint, spec: DecoderSpec, precision: str, progress: Progress) -> None:
    try:
        from edge_autoglm.export.graph.builder import GraphBuilder
        from edge_autoglm.export.graph.decoder import DecoderGraph
        from edge_autoglm.export.graph.linear import LOWERINGS
        from edge_autoglm.export.graph.weight_file import WeightFile
    except ImportError as error:
        raise MissingDependency(
            f"exporting needs the package {error.name}", 'Install it: pip install "edge-autoglm[export]".'
        ) from error
    with WeightFile(path.with_name(f"{path.name}.data")) as weights:
        graph = GraphBuilder(weights)
        DecoderGraph(graph, checkpoint, spec, LOWERINGS[precision]).build(progress)
        graph.save(path, spec.family)


def _write_texts(writer: BundleWriter, texts: TokenizerFiles, tasks: Sequence[Path]) -> None:
    writer.path("tokenizer.json").write_text(texts.tokenizer_json, encoding="utf-8")
    if texts.chat_template is not None:
        writer.path("chat_template.jinja").write_text(texts.chat_template, encoding="utf-8")
    for task in tasks:
        writer.path(f"prompts/{task.name}").write_bytes(task.read_bytes())


def _facts(checkpoint: Checkpoint, spec: DecoderSpec, texts: TokenizerFiles) -> ModelFacts:
    return ModelFacts(
        name=str(checkpoint.config.get("_name_or_path") or Path(checkpoint.location).name.removesuffix(".gguf")),
        family=spec.family,
        parameters=spec.parameters,
        vocab_size=spec.vocab_size,
        hidden_size=spec.hidden_size,
        layers=spec.layers,
        kv_heads=spec.kv_heads,
        head_dim=spec.head_dim,
        context_length=spec.context_length,
        eos_token_ids=texts.eos_token_ids,
        bos_token=texts.bos_token,
        eos_token=texts.eos_token,
        add_bos=texts.add_bos,
    )
