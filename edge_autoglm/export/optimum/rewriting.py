"""From a graph as exported to one that our engines run: rewritten, compared with the model, quantised, saved."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge_autoglm.errors import ExportError
from edge_autoglm.export.graph.weight_file import WeightFile
from edge_autoglm.export.optimum.check import Reference, check_equal
from edge_autoglm.export.optimum.forms import Rewritten, Source, rewrite_in_place, rewrite_past
from edge_autoglm.export.optimum.ir_tools import clean
from edge_autoglm.export.optimum.lowering import quantize
from edge_autoglm.export.optimum.mismatch import NoMatch
from edge_autoglm.export.optimum.saving import WeightStore, save


def rewrite(source: Source, reference: Reference, graph: Path, precision: str, scratch: Path) -> Rewritten:
    """Write ``graph`` and its weights beside it.

    The in-place form is taken if it can be had and answers as the model does, else the other one.

    Args:
        source: As exported.
        reference: What the model answers.
        graph: The ``.onnx`` file to write.
        precision: ``fp32`` or ``int8``.
        scratch: Existing folder on the same file system, for the float32 weights while they are quantised.

    Raises:
        ExportError: No form answers as the model does.
        UnsupportedModel: The cache of the graph is of an unknown form.
    """
    rewritten, written = _first_that_is_equal(source, reference, graph.name, scratch)
    if precision == "fp32":
        for file in (written, _weights(written)):
            os.replace(file, graph.with_name(file.name))
        return rewritten
    with WeightFile(_weights(graph)) as weights:
        store = WeightStore(weights, graph.parent)
        notes = quantize(rewritten.model.graph, store)
        clean(rewritten.model)
        save(rewritten.model, graph, store)
    return replace(rewritten, notes=(*rewritten.notes, *notes))


def _first_that_is_equal(source: Source, reference: Reference, name: str, scratch: Path) -> tuple[Rewritten, Path]:
    try:
        return _written_and_checked(lambda: rewrite_in_place(source), reference, scratch / "in-place" / name)
    except NoMatch as mismatch:
        reason = str(mismatch)
    try:
        return _written_and_checked(lambda: rewrite_past(source, reason), reference, scratch / "past" / name)
    except NoMatch as mismatch:
        raise ExportError(
            f"the graph that Optimum exported cannot be run as it is: {mismatch}",
            "Export with a family of the exporter's own, or report the architecture.",
        ) from mismatch


def _written_and_checked(make: Callable[[], Rewritten], reference: Reference, path: Path) -> tuple[Rewritten, Path]:
    rewritten = make()
    path.parent.mkdir()
    with WeightFile(_weights(path)) as file:
        save(rewritten.model, path, WeightStore(file, path.parent))
    difference = check_equal(path, reference)
    note = f"logits in float32: within {difference:.0e} of the original's, of the largest one"
    return replace(rewritten, notes=(*rewritten.notes, note)), path


def _weights(graph: Path) -> Path:
    return graph.with_name(f"{graph.name}.data")
