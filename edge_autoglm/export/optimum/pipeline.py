"""What the exporter calls for an architecture that it has no family file for."""

from __future__ import annotations

import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.errors import ExportError, MissingDependency
from edge_autoglm.export.sources.safetensors_folder import SafetensorsFolder
from edge_autoglm.values import Progress

PRECISIONS = ("fp32", "int8")
_STAGE = "optimum"
_STEPS = 2


@dataclass(frozen=True, slots=True)
class OptimumResult:
    """What was written, and facts of the model.

    Attributes:
        kind: Of the engine that runs the graph: ``ort``, or ``ort-past`` where the attention stayed as exported.
        family: ``model_type`` of the configuration.
        notes: What was fused and what was not, for people.
        vocab_size, hidden_size, layers, kv_heads, head_dim, context_length, parameters: As in ``ModelFacts``.
    """

    kind: str
    family: str
    vocab_size: int
    hidden_size: int
    layers: int
    kv_heads: int
    head_dim: int
    context_length: int
    parameters: int
    notes: tuple[str, ...]


def export_through_optimum(source: Path, graph: Path, precision: str, progress: Progress) -> OptimumResult:
    """Export a checkpoint with ``optimum-onnx`` and rewrite its graph for our engines.

    Args:
        source: Folder with ``config.json`` and safetensors.
        graph: The ``.onnx`` file to write; its weights go to ``<name>.data`` beside it, and a temporary folder of
            two to three times the size of the float32 weights lies there meanwhile.
        precision: ``fp32`` or ``int8``.
        progress: Stage ``optimum``: loaded and exported, rewritten and compared with the model.

    Raises:
        SourceError: The folder cannot be read, holds pickled weights only, or a model that cannot be exported.
        ExportError: Another precision, or no form of the graph answers as the model does.
        MissingDependency: The extra ``optimum`` or ``cpu`` is not installed.
    """
    if precision not in PRECISIONS:
        raise ExportError(
            f"precision {precision!r} is not there for models exported through Optimum",
            f"Use one of: {', '.join(PRECISIONS)}.",
        )
    SafetensorsFolder(source).close()
    try:
        from edge_autoglm.export.optimum.exporting import export_with_optimum
        from edge_autoglm.export.optimum.forms import Source
        from edge_autoglm.export.optimum.rewriting import rewrite
    except ImportError as error:
        raise MissingDependency(
            f"exporting this architecture needs the package {error.name}",
            'Install it: pip install "edge-autoglm[cpu,optimum]".',
        ) from error
    with tempfile.TemporaryDirectory(prefix="optimum-", dir=graph.parent) as scratch:
        progress(_STAGE, 0, _STEPS)
        folder = Path(scratch, "exported")
        folder.mkdir()
        exported = export_with_optimum(source, folder)
        gc.collect()  # torch's copy of the weights is held by reference cycles
        progress(_STAGE, 1, _STEPS)
        as_exported = Source(exported.graph, exported.heads, exported.context_length)
        rewritten = rewrite(as_exported, exported.reference, graph, precision, Path(scratch))
        progress(_STAGE, _STEPS, _STEPS)
    return OptimumResult(
        kind=rewritten.kind,
        family=exported.family,
        vocab_size=rewritten.head.vocab_size,
        hidden_size=exported.hidden_size,
        layers=rewritten.layers,
        kv_heads=rewritten.kv_heads,
        head_dim=rewritten.head_dim,
        context_length=exported.context_length,
        parameters=exported.parameters,
        notes=rewritten.notes,
    )
