"""Runs a standard graph on ONNX Runtime's CPU as a TensorRT runner will run its engine.

The cache of a slot is a row of one array; tokens are right-padded to a bucket, and a step reads a bucket of columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest

Logits = npt.NDArray[np.float32]
CAPACITY = 64
_BUCKETS = (1, 8, 16, 32, 48, CAPACITY)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def bucket(size: int) -> int:
    """The smallest bucket that holds it."""
    return next(bound for bound in _BUCKETS if bound >= size)


class StandardRunner:
    """A graph of capacity `CAPACITY`, and the KV cache of its rows; skips the test where ONNX Runtime is too old.

    Args:
        graph: The ``.onnx`` file.
        rows: Of the cache.
    """

    def __init__(self, graph: Path, rows: int = 1) -> None:
        self._session = open_as_written(graph)
        self._cache = {
            tensor.name: np.zeros((rows, *tensor.shape[1:]), dtype=_TYPES[tensor.type])
            for tensor in self._session.get_inputs()
            if tensor.name.startswith("past_")
        }
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        self._names = [output.name for output in self._session.get_outputs()]
        self._lengths = [0] * rows

    def clear(self) -> None:
        """Empty the rows; what the cache holds stays, as it does on a device."""
        self._lengths = [0] * len(self._lengths)

    def forward(self, chunks: Sequence[Sequence[int]]) -> list[Logits]:
        """Append the tokens of a chunk to each of the first rows; logits ``[tokens, vocab]`` of each."""
        count, width = len(chunks), bucket(max(map(len, chunks)))
        starts = np.array(self._lengths[:count], dtype=np.int64)
        ids = np.zeros((count, width), dtype=np.int64)
        for row, chunk in enumerate(chunks):
            ids[row, : len(chunk)] = chunk
        positions = starts[:, None] + np.arange(width)
        live = bucket(int(positions.max()) + 1)
        chosen = [row * width + step for row, chunk in enumerate(chunks) for step in range(len(chunk))]
        logits = self._run(
            {
                "input_ids": ids,
                "position_ids": positions,
                "write_indices": starts,
                "attn_mask": np.arange(live) <= positions[:, None, :, None],
                "logits_at": np.array(chosen, dtype=np.int64),
            }
        )
        for row, chunk in enumerate(chunks):
            self._lengths[row] += len(chunk)
        return np.split(logits, np.cumsum([len(chunk) for chunk in chunks])[:-1])

    def in_chunks(self, ids: Sequence[int], ends: Sequence[int]) -> Logits:
        """Logits of every token of one row, emptied and then given the tokens up to each end."""
        self.clear()
        starts = [0, *ends[:-1]]
        return np.concatenate([self.forward([ids[i:j]])[0] for i, j in zip(starts, ends, strict=True)])

    def _run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> Logits:
        count, width = inputs["input_ids"].shape
        past = {name: cache[:count] for name, cache in self._cache.items()}
        feeds = {name: array for name, array in {**inputs, **past}.items() if name in self._inputs}
        outputs = dict(zip(self._names, self._session.run(None, feeds), strict=True))
        for name, cache in past.items():
            if (present := name.replace("past", "present")) in outputs:
                cache[:] = outputs[present]
            else:
                for row, column in enumerate(inputs["write_indices"]):
                    cache[row, :, column : column + width] = outputs[name.replace("past", "new")][row]
        logits: Logits = outputs["logits"]
        return logits


def opset(graph: Path) -> int:
    """Of a graph that has standard operators only."""
    [only] = onnx.load(graph, load_external_data=False).opset_import
    assert only.domain == ""
    return int(only.version)


def open_as_written(graph: Path | bytes) -> ort.InferenceSession:
    """A session that computes what the graph says.

    By default ONNX Runtime replaces quantised products by integer ones of its own, which saturate on older CPUs.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    source = graph if isinstance(graph, bytes) else str(graph)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "opset 24" in str(error).lower():
            pytest.skip(f"onnxruntime {ort.__version__} is too old for opset 24")
        raise
