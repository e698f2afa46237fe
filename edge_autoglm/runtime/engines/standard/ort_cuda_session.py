"""A session of ONNX Runtime's CUDA provider whose runs are CUDA graphs: hundreds of kernels, launched in one call.

How the provider does it (1.31.1):

- A graph belongs to the thread that captured it and to the run option ``gpu_graph_id``. So all runs are on one thread.
- The first run with an id is two ordinary ones, a capture, which computes nothing, and a launch of what was captured.
  Each later one is a launch and nothing else: it reads and writes the very addresses of the capture. So an id is of one
  binding, and is never given to another.
- Between runs the arena takes the memory of a capture for other runs. That is all right while runs of a session follow
  each other on its one stream, and the arena gives nothing back to the device.
- Graphs are freed with the session and not before. So only the first KV state has any, that in which requests run:
  every swap makes forks, for its checks, and theirs would pile up.
- A capture is in CUDA's mode ``global``: a call by any other thread that could wait for the device breaks it, unless
  that thread has said that other threads' captures are not its business (see `Cudart`). Opening a session waits for
  the device in any case.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

import onnxruntime as ort

from edge_autoglm.errors import EdgeAutoGLMError
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.standard.one_thread import OneThread

_log = logging.getLogger("edge_autoglm")

_REFUSED = "cannot use the graph capture feature"
"""ONNX Runtime's words where nodes of the model run elsewhere than on the GPU."""
_NO_GRAPH = -1
"""An id that ONNX Runtime takes for: neither capture nor launch."""

_device_wide = threading.Lock()
"""Held while a session of the process is opened, or captured from."""


class CudaSession:
    """An open session and the thread that it runs on.

    Args:
        open_session: Opens it, given whether with graphs.
        cudart: Of its device.

    Raises:
        EdgeAutoGLMError: What ``open_session`` raises.
    """

    def __init__(self, open_session: Callable[[bool], ort.InferenceSession], cudart: Cudart) -> None:
        self._thread = OneThread("edge-autoglm-cuda")
        self._ids = itertools.count(1)
        self._capturing = True
        self._claimed = False
        try:
            self._thread.call(cudart.make_current)
            self._session: Any = self._thread.call(lambda: self._open(open_session))
        except BaseException:
            self._thread.close()
            raise

    @property
    def session(self) -> Any:
        """The ``onnxruntime.InferenceSession``, for what it says of its graph; ``None`` once closed."""
        return self._session

    def claim_graphs(self) -> bool:
        """Whether steps of a KV state may be captured: ``True`` for the first that asks."""
        first, self._claimed = not self._claimed, True
        return first

    def run(self, binding: ort.IOBinding) -> None:
        """Run without a graph; done when this returns."""
        options = _options(_NO_GRAPH)
        self._thread.call(lambda: self._session.run_with_iobinding(binding, options))

    def capture(self, binding: ort.IOBinding) -> ort.RunOptions | None:
        """Run, and keep a graph of it: `launch` wants what this gives. ``None``: there is none, and nothing was run.

        Another time there may be one, where a session was just being opened; not where a capture has failed.
        """
        if not self._capturing:
            return None
        options = _options(next(self._ids))
        try:
            captured = self._thread.call(lambda: self._capture(binding, options))
        except Exception as error:  # ONNX Runtime raises a dozen unrelated types here
            self._no_graphs(str(error).strip())
            return None
        return options if captured else None

    def launch(self, binding: ort.IOBinding, graph: ort.RunOptions) -> None:
        """Run what `capture` captured, with that very binding; done when this returns."""
        self._thread.call(lambda: self._session.run_with_iobinding(binding, graph))

    def close(self) -> None:
        """Let go of the session, its weights and graphs, and end the thread. Idempotent."""
        self._thread.call(self._release)
        self._thread.close()

    def _open(self, open_session: Callable[[bool], ort.InferenceSession]) -> ort.InferenceSession:
        with _device_wide:
            try:
                return open_session(True)
            except EdgeAutoGLMError as error:
                if _REFUSED not in error.cause:
                    raise
                self._no_graphs(error.cause)
            return open_session(False)

    def _capture(self, binding: ort.IOBinding, options: ort.RunOptions) -> bool:
        if not _device_wide.acquire(blocking=False):  # a step does not wait for a model to load
            return False
        try:
            self._session.run_with_iobinding(binding, options)
        finally:
            _device_wide.release()
        return True

    def _release(self) -> None:
        self._session = None

    def _no_graphs(self, reason: str) -> None:
        self._capturing = False
        _log.warning("ONNX Runtime's steps run without CUDA graphs, and are slower for it: %s", reason)


def _options(graph_id: int) -> ort.RunOptions:
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph_id))
    return options
