"""From a checkpoint to a graph with its weights, a layer at a time."""

from __future__ import annotations

from pathlib import Path

from edge_autoglm.export.checkpoint import Checkpoint
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.decoder import DecoderGraph
from edge_autoglm.export.graph.weight_file import WeightFile
from edge_autoglm.export.quantize.plain import PlainQuantizer, dense, half, int8_blocks
from edge_autoglm.export.quantize.quantizer import Quantizer
from edge_autoglm.export.spec import DecoderSpec
from edge_autoglm.export.weights import Linear, WeightReader
from edge_autoglm.values import Progress


def write_graph(
    path: Path, checkpoint: Checkpoint, spec: DecoderSpec, quantizer: Quantizer, progress: Progress
) -> None:
    """Write ``path`` and, beside it, its weights.

    Args:
        path: Of the ``.onnx`` file.
        checkpoint: Where the weights come from; one layer of it is in memory at a time.
        spec: Its description.
        quantizer: Of the precision that is wanted.
        progress: Stage ``weights``, in layers, the embedding and the head counting as one each.
    """
    weights, steps = WeightReader(checkpoint, spec), spec.layers + 2
    with WeightFile(path.with_name(f"{path.name}.data")) as file:
        graph = GraphBuilder(file)
        decoder = DecoderGraph(graph, spec)
        decoder.start(quantizer.table(weights.embedding()))
        for layer in range(spec.layers):
            progress("weights", layer + 1, steps)
            decoder.layer(layer, quantizer.layer(layer, weights.layer(layer)))
        progress("weights", spec.layers + 1, steps)
        decoder.finish(weights.final_norm(), None if spec.tied_head else Linear(quantizer.head(weights.head())))
        graph.save(path, spec.family)
    progress("weights", steps, steps)


def make_quantizer(precision: str) -> Quantizer:
    """The quantiser of a precision."""
    return PlainQuantizer({"fp32": dense, "fp16": half, "int8": int8_blocks}[precision])
