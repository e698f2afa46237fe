"""Who builds the graph: our own builder for the families that it describes, Optimum for everything else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_autoglm.bundle import ModelFacts
from edge_autoglm.device.threads import default_threads
from edge_autoglm.errors import ExportError, MissingDependency, UnknownArchitecture, UnsupportedModel
from edge_autoglm.export.checkpoint import Checkpoint, TokenizerFiles
from edge_autoglm.export.families import describe
from edge_autoglm.export.options import CALIBRATED, ExportOptions
from edge_autoglm.export.proof.budgets import budget_of
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.standard.lowering import LoweringName
from edge_autoglm.export.texts import Text
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.values import Progress

if TYPE_CHECKING:
    from edge_autoglm.export.build import Build, Calibration

_CALIBRATION_WINDOWS = {"w8a8": 16, "int4": 40, "auto": 40}
"""What 4 bits lose depends on the fit, and the fit on the number of tokens; 8 bits have less to lose."""
_FEWEST_WINDOWS = 8
"""Enough for the ranges of a KV cache."""
_WINDOW_TOKENS = 512
_CAPACITY = 2048
"""Tokens that a slot of a standard graph can hold, for models that were made for as many."""


@dataclass(frozen=True, slots=True)
class Built:
    """A graph on disk.

    Attributes:
        path: The ``.onnx`` file, its weights beside it.
        kind: Of the engine that runs it.
        model: Facts of the model.
        groups: How each group of weights is stored.
        notes: For people.
        columns: Of a slot's KV cache, where the graph fixes them.
    """

    path: Path
    kind: str
    model: ModelFacts
    groups: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    columns: int = 0


class Route(Protocol):
    """Builds graphs of one checkpoint."""

    def build(self, path: Path, precision: str, kv: str, progress: Progress) -> Built:
        """Write ``path`` and its weights beside it.

        Raises:
            SourceError: The checkpoint cannot be read, or does not hold what its configuration says.
            ExportError: This route does not have that precision or KV cache.
            MissingDependency: A package is needed.
        """
        ...


def open_source(source: str, adapter: Path | None, progress: Progress) -> Checkpoint:
    """Open a checkpoint, with an adapter merged into it where there is one.

    Raises:
        SourceError: One of them cannot be read, or they do not belong together.
        MissingDependency: A package is needed.
    """
    checkpoint = open_checkpoint(source, progress)
    if adapter is None:
        return checkpoint
    from edge_autoglm.export.adapters import AdaptedCheckpoint, open_adapter

    try:
        return AdaptedCheckpoint(checkpoint, open_adapter(adapter))
    except BaseException:
        checkpoint.close()
        raise


def choose_route(checkpoint: Checkpoint, texts: TokenizerFiles, options: ExportOptions, calibration: Text) -> Route:
    """Our own builder where it knows the architecture or is asked for by name; Optimum else.

    Raises:
        UnsupportedModel: Neither can build it.
    """
    if options.via == "optimum":
        return _OptimumRoute(checkpoint, texts, None)
    try:
        return own_route(checkpoint, texts, options, calibration)
    except UnknownArchitecture as unknown:
        if options.via == "own" or options.adapter is not None or not Path(checkpoint.location).is_dir():
            raise
        return _OptimumRoute(checkpoint, texts, unknown)


def own_route(checkpoint: Checkpoint, texts: TokenizerFiles, options: ExportOptions, calibration: Text) -> OwnRoute:
    """Our own builder.

    Raises:
        UnsupportedModel: It does not know the architecture, or what is special about the model.
    """
    max_kl = budget_of(options.precision, options.max_kl).max_kl
    return OwnRoute(checkpoint, texts, describe(checkpoint), calibration, max_kl)


@dataclass(frozen=True, slots=True)
class OwnRoute:
    """Builds graphs with our own builder. Implements `Route`, and builds the standard graph too.

    Attributes:
        checkpoint: What to build from.
        texts: Its text side.
        spec: Its description.
        text: That the calibrated precisions are fitted to.
        max_kl: Budget of ``auto``, in nats a token.
    """

    checkpoint: Checkpoint
    texts: TokenizerFiles
    spec: DecoderSpec
    text: Text
    max_kl: float

    def build(self, path: Path, precision: str, kv: str, progress: Progress) -> Built:
        """See `Route`."""
        calibration = self._calibration(precision) if precision in CALIBRATED or kv == "int8" else None
        build = self._graph(path, kv, calibration, progress)
        if calibration is not None and precision in CALIBRATED:
            groups = build.calibrated(precision, calibration).groups()
        else:
            build.plain(precision)
            groups = {"all matrices": precision}
        return Built(path, "ort", _facts(self.checkpoint, self.texts, self.spec), groups)

    def standard(
        self, path: Path, lowering: LoweringName, precision: str, capacity: int | None, progress: Progress
    ) -> Built:
        """Write the standard graph, for TensorRT, and its weights beside it.

        Args:
            path: Of the graph.
            lowering: Likewise.
            precision: Any but ``auto``.
            capacity: Tokens that a slot can hold; 2048 by default, or what the model was made for.
            progress: Stage ``weights``.

        Raises:
            ExportError: The model was made for fewer tokens.
            SourceError: As of `Route.build`.
            MissingDependency: As of `Route.build`.
        """
        longest = self.spec.context_length
        if capacity is not None and capacity > longest:
            raise ExportError(
                f"capacity is {capacity}, and the model was made for {longest} tokens", f"Give {longest} or fewer."
            )
        calibration = self._calibration(precision) if precision in CALIBRATED else None
        build = self._graph(path, "fp32", calibration, progress)
        from edge_autoglm.export.standard.dialect import StandardDialect

        columns = StepSizes().columns(capacity or min(_CAPACITY, longest))
        groups = build.standard(StandardDialect(lowering, precision, columns))
        notes = () if lowering == "native" else (f"the graph is {lowering}: TensorRT before 10.15 compiles it, too",)
        return Built(path, "standard", _facts(self.checkpoint, self.texts, self.spec), groups, notes, columns)

    def _graph(self, path: Path, kv: str, calibration: Calibration | None, progress: Progress) -> Build:
        try:
            from edge_autoglm.export.build import Build
        except ImportError as error:
            raise MissingDependency(
                f"exporting needs the package {error.name}", 'Install it: pip install "edge-autoglm[cpu,export]".'
            ) from error
        return Build(path, self.checkpoint, self.spec, kv, progress, calibration)

    def _calibration(self, precision: str) -> Calibration:
        from edge_autoglm.export.build import Calibration

        length = min(_WINDOW_TOKENS, self.spec.context_length)
        count = _CALIBRATION_WINDOWS.get(precision, _FEWEST_WINDOWS)
        windows = Language.of_files(self.texts).windows(self.text, count, length, at_least=_FEWEST_WINDOWS)
        return Calibration(np.array(windows, dtype=np.int64), default_threads(), self.max_kl)


@dataclass(frozen=True, slots=True)
class _OptimumRoute:
    checkpoint: Checkpoint
    texts: TokenizerFiles
    unknown: UnknownArchitecture | None
    """Why our own builder does not do it; ``None`` if it was not asked."""

    def build(self, path: Path, precision: str, kv: str, progress: Progress) -> Built:
        from edge_autoglm.export.optimum.pipeline import export_through_optimum

        folder = Path(self.checkpoint.location)
        if not folder.is_dir():
            raise UnsupportedModel(
                f"{folder} is a single file, and Optimum exports folders with config.json and safetensors",
                "Give the folder or the hub id of the model that this file was made from.",
            )
        if kv != "fp32":
            raise ExportError(f"kv {kv!r} is not there for models exported through Optimum", "Use fp32.")
        try:
            result = export_through_optimum(folder, path, precision, progress)
        except MissingDependency as error:
            if self.unknown is None:
                raise
            cure = f"{self.unknown.cure} Or let Optimum export it. {error.cure}"
            raise UnknownArchitecture(self.unknown.cause, cure) from error
        notes = result.notes if self.unknown is None else (self._why(), *result.notes)
        return Built(path, result.kind, _facts(self.checkpoint, self.texts, result), {"weights": precision}, notes)

    def _why(self) -> str:
        [architecture, *_] = self.checkpoint.config.get("architectures") or ["(none named)"]
        return f"exported through Optimum, because the exporter has no family for {architecture}"


class _Described(Protocol):
    """What both routes know of a model, under the same names."""

    @property
    def family(self) -> str: ...
    @property
    def parameters(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def context_length(self) -> int: ...


def _facts(checkpoint: Checkpoint, texts: TokenizerFiles, model: _Described) -> ModelFacts:
    return ModelFacts(
        name=str(checkpoint.config.get("_name_or_path") or Path(checkpoint.location).name.removesuffix(".gguf")),
        family=model.family,
        parameters=model.parameters,
        vocab_size=model.vocab_size,
        hidden_size=model.hidden_size,
        layers=model.layers,
        kv_heads=model.kv_heads,
        head_dim=model.head_dim,
        context_length=model.context_length,
        eos_token_ids=texts.eos_token_ids,
        bos_token=texts.bos_token,
        eos_token=texts.eos_token,
        add_bos=texts.add_bos,
    )
