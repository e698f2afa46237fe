"""Who takes part: our bundles on each device, and what runs the same checkpoint otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.peers.lineup import OWN, Entry
from edge_autoglm import Bundle
from edge_autoglm.facade.device_choice import STANDARD

DEVICES = ("tensorrt", "cuda")
KINDS = ("edge_engine", "torch", "ort_genai")
"""Of `benchmarks.peers.worker.KINDS`."""
_ENGINE, _TORCH, _GENAI = KINDS
_BITS = {"fp32": 32, "fp16": 16, "int8": 8, "w8a8": 8, "int4": 4}


def form_of(bundle: Bundle) -> str:
    """Precision of a bundle's graph, and its lowering unless that is native."""
    import onnx

    entry = bundle.engine(STANDARD)
    graph = onnx.load(bundle.path(entry.graph), load_external_data=False).graph
    is_native = any(value.name == "write_indices" for value in graph.input)
    return entry.precision if is_native else f"{entry.precision} decomposed"


def entries(
    bundles: Sequence[Bundle], devices: Sequence[str], checkpoint: Path | None, genai: Path | None
) -> Iterator[Entry]:
    """The line-up.

    Args:
        bundles: Exported with ``--target tensorrt``.
        devices: Of ours.
        checkpoint: Hugging Face folder that the bundles were made from, for torch.
        genai: Folder that onnxruntime-genai's builder wrote from it with ``-p fp16 -e cuda``.
    """
    for bundle in bundles:
        precision, form = bundle.engine(STANDARD).precision, form_of(bundle)
        for device in devices:
            name = f"{OWN} {device} {form}"
            yield Entry(name, _ENGINE, str(bundle.root.resolve()), _BITS[precision], {"device": device})
    if checkpoint is not None:
        for name, graph in (("torch eager", False), ("torch graph", True)):
            yield Entry(name, _TORCH, str(checkpoint.resolve()), 16, {"device": "cuda", "graph": graph})
    if genai is not None:
        yield Entry("onnxruntime-genai", _GENAI, str(genai.resolve()), 16)
