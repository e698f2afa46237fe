"""Runs a graph as exported and reads values from its inside: masks and scales that its nodes compute at run time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edge_autoglm.export.optimum.sessions import open_session

Arrays = dict[str, npt.NDArray[Any]]


class Probe:
    """The exported graph with more outputs.

    Args:
        model: The ``.onnx`` file; a sibling of it is written and removed again.
        names: Values to read.
    """

    def __init__(self, model: Path, names: Sequence[str]) -> None:
        proto = onnx.load(model, load_external_data=False)
        present = {value.name for value in proto.graph.output}
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
        path = model.with_name(f"probe-{model.name}")
        try:
            path.write_bytes(proto.SerializeToString())
            self._session = open_session(path)
        finally:
            path.unlink(missing_ok=True)
        self._names = list(names)
        self._past = {
            value.name: (value.shape[1], value.shape[3])
            for value in self._session.get_inputs()
            if value.name.startswith("past_key_values.")
        }

    def run(self, tokens: npt.NDArray[np.int64], past: int) -> Arrays:
        """Values for tokens ``[B, S]`` behind ``past`` cached tokens whose keys and values are zero."""
        rows, count = tokens.shape
        feeds: Arrays = {
            "input_ids": tokens,
            "attention_mask": np.ones((rows, past + count), dtype=np.int64),
            "position_ids": np.tile(np.arange(past, past + count, dtype=np.int64), (rows, 1)),
        }
        for name, (heads, width) in self._past.items():
            feeds[name] = np.zeros((rows, heads, past, width), dtype=np.float32)
        wanted = {value.name for value in self._session.get_inputs()}
        feeds = {name: array for name, array in feeds.items() if name in wanted}
        return dict(zip(self._names, self._session.run(self._names, feeds), strict=True))
