"""CUDA graphs of steps: the hundreds of kernels of a step are launched in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engines.cuda.cudart import Cudart

_log = logging.getLogger("edge_autoglm")


class Graphs:
    """Captures graphs from a stream and launches them there; captures no more once that has failed.

    Args:
        cudart: Of the stream's device.
        stream: Of all steps.
    """

    def __init__(self, cudart: Cudart, stream: int) -> None:
        self._cudart = cudart
        self._stream = stream
        self._capturing = True

    def capture(self, enqueue: Callable[[], None]) -> int | None:
        """A graph of what a function enqueues, with every shape and address frozen; ``None`` where there can be none.

        TensorRT wants the same to have run uncaptured before.
        """
        if not self._capturing:
            return None
        try:
            return self._cudart.capture(self._stream, enqueue)
        except EngineError as error:
            self._capturing = False
            _log.warning("TensorRT's steps run without CUDA graphs, and are slower for it: %s", error.cause)
            return None

    def launch(self, graph: int) -> None:
        """Enqueue all that is in a graph."""
        self._cudart.launch(graph, self._stream)

    def destroy(self, graph: int) -> None:
        """Free a graph that does not run."""
        self._cudart.destroy_graph(graph)
