"""Checkpoint to bundle: open, describe, build the graph, compile a plan, store the texts, prove, seal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.bundle import Bundle, BundleWriter, EngineEntry, PlanEntry
from edge_autoglm.errors import ExportError, MissingDependency
from edge_autoglm.export.checkpoint import Checkpoint, TokenizerFiles
from edge_autoglm.export.compiling import Compiler
from edge_autoglm.export.options import ExportOptions
from edge_autoglm.export.proof.budgets import budget_of
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.export.proof.graphs import prove_against_itself, prove_against_original, refuse_export
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.proof.prove import Terms
from edge_autoglm.export.routes import Built, Route, choose_route, open_source, own_route
from edge_autoglm.export.standard.lowering import LoweringName
from edge_autoglm.export.texts import Text, calibration_text, heldout_text, read_text_file
from edge_autoglm.prompts import Catalogue, builtin_task_files
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.values import Progress, silent

_GRAPHS = {"ort": "engine/model.onnx", "tensorrt": "engine/standard.onnx"}
_REFERENCE = "reference/model.onnx"


def export_model(
    source: str | Path,
    out: str | Path,
    precision: str = "int8",
    target: str = "ort",
    *,
    calibration: Path | None = None,
    adapter: Path | None = None,
    kv: str | None = None,
    max_kl: float | None = None,
    via: str = "auto",
    proof: bool = True,
    tasks: Sequence[Path] | None = None,
    force: bool = False,
    capacity: int | None = None,
    slots: int | None = None,
    compute_capabilities: Sequence[str] = (),
    plan: bool = True,
    lowering: LoweringName | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Turn a checkpoint into a bundle, and prove that it still behaves like the original.

    Args:
        source: A ``.gguf`` file, a folder with ``config.json`` and safetensors, or a hub id.
        out: Folder to make. It appears whole or not at all.
        precision: ``fp32``; ``fp16`` weights; ``int8``: 8-bit weights in blocks of 32; ``w8a8``: 8-bit weights and
            activations; ``int4``: 4-bit weights, fitted to the calibration text; ``auto``: chosen layer by layer for
            the fastest model within ``max_kl``.
        target: ``ort``: ONNX Runtime; ``tensorrt``: a graph of plain ONNX operators, which TensorRT compiles, and the
            plan that it was compiled to.
        calibration: Text that ``w8a8``, ``int4`` and ``auto`` are fitted to; UTF-8. The one that ships by default.
        adapter: Folder of a PEFT LoRA adapter, merged before quantising.
        kv: Of the KV cache: ``fp32`` by default, ``fp16`` or ``int8``; for ``tensorrt`` it is fp16 and no choice.
        max_kl: Largest mean KL divergence from the original, in nats a token, in place of the precision's own budget.
        via: ``own`` builder, ``optimum``, or ``auto``: Optimum for architectures that our own does not know.
        proof: Whether to compare the engine with the original on held-out text and greedy answers.
        tasks: Task files to ship; the built-in ones by default.
        force: Replace a bundle that lies at ``out``, which survives until the new one is whole; and ship an engine that
            is beyond its budget.
        capacity: For ``tensorrt``: tokens that a slot can hold; 2048 by default, or what the model was made for.
        slots: Likewise, rows that decode in one step of the plan; 4 by default.
        compute_capabilities: Likewise, of the GPUs that the plan is for (``8.9``). By default those that are here;
            where there are none, all from 8.0 on that TensorRT-RTX knows.
        plan: Likewise; without one, the device compiles it (``edge-autoglm rebuild``).
        lowering: Likewise, of the graph: ``native`` by default; ``decomposed`` is what TensorRT before 10.15 compiles,
            as that of JetPack 6.
        progress: Told of each stage.

    Raises:
        SourceError: The checkpoint or the adapter cannot be read, or is of a kind that cannot be built.
        TaskFileError: A task file is malformed.
        OverBudget: The engine differs too much from the original. No bundle was written.
        ExportError: Unknown option, unusable text, or the bundle cannot be written.
        MissingDependency: A package is needed, or TensorRT for a plan.
    """
    capabilities = tuple(compute_capabilities)
    options = ExportOptions(
        precision, target, kv, via, adapter, max_kl, proof, force, capacity, slots, capabilities, plan, lowering
    )
    compiler = _compiler(options)
    files = builtin_task_files() if tasks is None else list(tasks)
    Catalogue.load(files)
    text = calibration_text() if calibration is None else read_text_file(calibration)
    try:
        with BundleWriter(Path(out), overwrite=force) as writer:
            return _Export(writer, options, text, compiler, progress).run(str(source), files)
    except MemoryError as error:
        raise ExportError(
            f"there is not enough memory to export {source}", "Close other programs, or export on a larger machine."
        ) from error


def _compiler(options: ExportOptions) -> Compiler | None:
    """Looked for before anything that takes long."""
    if not options.compiles:
        return None
    sizes = StepSizes() if options.slots is None else StepSizes(rows=options.slots)
    try:
        compiler = Compiler.here(sizes, options.compute_capabilities)
        if options.lowering != "decomposed":
            compiler.check_native()
        return compiler
    except (MissingDependency, ExportError) as error:
        elsewhere = "Or leave out the plan (--no-plan), and build it on the device: edge-autoglm rebuild BUNDLE."
        raise type(error)(error.cause, f"{error.cure} {elsewhere}") from error


@dataclass(frozen=True, slots=True)
class _Export:
    writer: BundleWriter
    options: ExportOptions
    text: Text
    """That the calibrated precisions are fitted to."""
    compiler: Compiler | None
    progress: Progress

    def run(self, source: str, tasks: Sequence[Path]) -> Bundle:
        options = self.options
        with closing(open_source(source, options.adapter, self.progress)) as checkpoint:
            texts = checkpoint.tokenizer()
            route, built = self._built(checkpoint, texts)
            plans = self._plans(built)
            self._write_texts(texts, tasks)
            language = Language.of_files(texts)
            proven = self._proven(route, built, language) if options.proof else None
            if proven is not None and not options.force:
                refuse_export(proven, source)
            graph, notes = _GRAPHS[options.target], tuple(_notes(built, proven, plans))
            entry = EngineEntry(built.kind, graph, options.precision, options.kv_type, built.groups, notes)
            engine = dataclasses.replace(entry, plans=plans, columns=built.columns)
            return self.writer.commit(
                source=Path(checkpoint.location).name,
                model=built.model,
                engines=(engine,),
                verification={} if proven is None else proven.to_json(),
                progress=self.progress,
            )

    def _built(self, checkpoint: Checkpoint, texts: TokenizerFiles) -> tuple[Route, Built]:
        options, path = self.options, self.writer.path(_GRAPHS[self.options.target])
        if options.target == "tensorrt":
            own = own_route(checkpoint, texts, options, self.text)
            lowering = options.lowering or "native"
            return own, own.standard(path, lowering, options.precision, options.capacity, self.progress)
        route = choose_route(checkpoint, texts, options, self.text)
        return route, route.build(path, options.precision, options.kv_type, self.progress)

    def _plans(self, built: Built) -> tuple[PlanEntry, ...]:
        if self.compiler is None:
            return ()
        path = f"plans/{self.compiler.library.name}-{self.compiler.library.version}.plan"
        entry = self.compiler.compile(built.path, self.writer.path(path), None, self.progress)
        return (dataclasses.replace(entry, path=path),)

    def _proven(self, route: Route, built: Built, language: Language) -> Proof:
        options = self.options
        terms = Terms(options.precision, budget_of(options.precision, options.max_kl), heldout_text())
        if options.compares_with_itself:
            return prove_against_itself(built, language, terms, self.progress)
        # Staged like the bundle, so that nothing of it can survive an accident.
        aside = self.writer.path(_REFERENCE).parent
        return prove_against_original(aside, route, built, language, terms, self.progress)

    def _write_texts(self, texts: TokenizerFiles, tasks: Sequence[Path]) -> None:
        writer = self.writer
        writer.path("tokenizer.json").write_text(texts.tokenizer_json, encoding="utf-8")
        if texts.chat_template is not None:
            writer.path("chat_template.jinja").write_text(texts.chat_template, encoding="utf-8")
        for task in tasks:
            writer.path(f"prompts/{task.name}").write_bytes(task.read_bytes())


def _notes(built: Built, proven: Proof | None, plans: Sequence[PlanEntry]) -> Iterator[str]:
    yield from built.notes
    if built.kind == "standard" and proven is not None:
        yield "the figures of the proof are of this graph, run by ONNX Runtime on a CPU"
    for plan in plans:
        yield f"{plan.path} was compiled from this graph, and not run on the machine that compiled it"
