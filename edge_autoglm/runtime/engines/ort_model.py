"""An ONNX Runtime session over a decoder graph: the weights, shared by every engine forked from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from edge_autoglm.errors import DamagedBundle
from edge_autoglm.runtime.engines.fair_lock import FairLock

_CACHE_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int8)": "int8"}


class OrtModel:
    """One loaded graph.

    Attributes:
        session: The session.
        lock: Held while it runs, so that a standby engine's prefill and the active engine's decode alternate step by
            step instead of fighting over the same cores; likewise those of two models, where they are given one lock.
        layers, kv_heads, head_dim, kv_dtype, vocab_size: Read from the graph's own inputs and outputs.
        forms: Of the graph's matrices (``int4``, ``int8``, ``w8a8``), as the exporter noted them.
        context_length: Positions for which the graph has rotary tables.
    """

    def __init__(
        self, graph: Path, fingerprint: str, context_length: int, threads: int, turns: FairLock | None = None
    ) -> None:
        self.fingerprint = fingerprint
        self.context_length = context_length
        self.lock = turns or FairLock()
        try:
            self.session = ort.InferenceSession(
                str(graph), session_options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types here
            raise DamagedBundle(
                f"{graph}: ONNX Runtime cannot load the graph: {_first_line(error)}",
                "Update ONNX Runtime (a KV cache in fp16 or int8 needs 1.32), or export the bundle again.",
            ) from error
        self.forms = frozenset(self.session.get_modelmeta().custom_metadata_map.get("forms", "").split(","))
        keys = [value for value in self.session.get_inputs() if value.name.startswith("past_key.")]
        self.layers = len(keys)
        _, self.kv_heads, _, self.head_dim = keys[0].shape
        self.kv_dtype = np.dtype(_CACHE_TYPES[keys[0].type])
        self.vocab_size = next(value for value in self.session.get_outputs() if value.name == "logits").shape[1]


def session_options(threads: int) -> ort.SessionOptions:
    """Settings under which every graph of ours runs, so that a calibration computes what the engine will."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Shapes change with every prefill chunk; a memory pattern kept for each would only grow.
    options.enable_mem_pattern = False
    # Threads go on spinning to the next step, and no longer: by default for some 50 ms. To stop them at the end of each
    # step (``session.force_spinning_stop``) makes decoding up to an eighth slower.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "5000")
    return options


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
