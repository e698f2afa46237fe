"""How long a matrix product takes on this machine in each of the stored forms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from onnx import TensorProto

from edge_autoglm.export.calibration.layer_runner import open_session
from edge_autoglm.export.graph.builder import GraphBuilder
from edge_autoglm.export.graph.linear import project
from edge_autoglm.export.graph.weight_file import InlineWeights
from edge_autoglm.export.quantize.forms import FormName
from edge_autoglm.export.weights import Array, Linear, Matrix
from edge_autoglm.values import Progress

PROMPT_TOKENS = 256
NEW_TOKENS = 64
"""The request that a model is made fast for."""

_REPEATS = 15

Stored = Callable[[Array, FormName], Matrix]


@dataclass(frozen=True, slots=True)
class ProductTime:
    """Seconds that a product takes with the inputs of a whole prompt, and with that of one token."""

    prompt: float
    token: float

    @property
    def request(self) -> float:
        """Of a matrix within a layer."""
        return self.prompt + NEW_TOKENS * self.token

    @property
    def request_of_head(self) -> float:
        """Of the head, which runs on the last token of a prompt only."""
        return (1 + NEW_TOKENS) * self.token


def product_times(
    shapes: Iterable[tuple[int, int]], forms: Sequence[FormName], stored: Stored, threads: int, progress: Progress
) -> Mapping[tuple[int, int], Mapping[FormName, ProductTime]]:
    """Time products with matrices ``[out, in]``.

    Forms are timed in turn, so that whatever else the machine does falls on all of them alike.

    Args:
        shapes: Of the matrices.
        forms: To compare.
        stored: Lays a matrix out; how its levels are chosen makes no difference to the time.
        threads: Of the engine.
        progress: Stage ``kernels``, in shapes.
    """
    distinct = sorted(set(shapes))
    times = {}
    for index, shape in enumerate(distinct):
        progress("kernels", index, len(distinct))
        times[shape] = _time_shape(shape, forms, stored, threads)
    progress("kernels", len(distinct), len(distinct))
    return times


def _time_shape(
    shape: tuple[int, int], forms: Sequence[FormName], stored: Stored, threads: int
) -> dict[FormName, ProductTime]:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(shape, dtype=np.float32)
    sessions = {}
    for form in forms:
        graph = GraphBuilder(InlineWeights())
        graph.input("x", TensorProto.FLOAT, ["S", shape[1]])
        project(graph, "y", "x", Linear(stored(weight, form)))
        graph.output_of("y")
        sessions[form] = open_session(graph.serialize("product"), threads, spin=True)
    prompt = rng.standard_normal((PROMPT_TOKENS, shape[1]), dtype=np.float32)
    samples: dict[FormName, dict[int, list[float]]] = {form: {1: [], PROMPT_TOKENS: []} for form in forms}
    for _ in range(_REPEATS):
        for form, session in sessions.items():
            for rows, taken in samples[form].items():
                for _ in range(1 if rows > 1 else 5):  # a single row is over too soon to be timed well
                    started = time.perf_counter()
                    session.run(["y"], {"x": prompt[:rows]})
                    taken.append(time.perf_counter() - started)
    return {form: ProductTime(median(taken[PROMPT_TOKENS]), median(taken[1])) for form, taken in samples.items()}
