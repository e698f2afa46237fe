"""What TensorRT says while it parses, builds and runs.

TensorRT has one logger a process: that of the first builder or runtime that still lives. It ignores any other. So a
library has one here, which plans that are built and engines that run share.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from edge_autoglm.device.tensorrt_import import TensorRT

_log = logging.getLogger("edge_autoglm")

_ERROR, _WARNING, _INFO = 1, 2, 3
"""``ILogger.Severity``; 0 is an error of TensorRT itself, 4 is for its developers."""
_KEPT_ERRORS, _KEPT_REMARKS = 8, 400
_EXPECTED = "has Int64 binding"
"""Ends a warning about each int64 input. The standard graph's are int64, and so is what is bound to them."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said while somebody listened.

    Attributes:
        errors: The first ones, a line each: the cause comes before what failed because of it.
        remarks: The last ones at level INFO.
    """

    errors: list[str] = field(default_factory=list)
    remarks: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_REMARKS))


class TensorRTLog:
    """Errors and remarks go to who listens; warnings, and errors that nobody hears, to Python's logging.

    Safe to use from several threads. Who builds while an engine runs may hear of both.

    Args:
        library: Whose log it is.

    Attributes:
        logger: The ``ILogger`` that builders, parsers and runtimes are given.
    """

    def __init__(self, library: TensorRT) -> None:
        self._listeners: tuple[Heard, ...] = ()
        self.logger = _logger(library.module, self)

    @contextmanager
    def listening(self) -> Iterator[Heard]:
        """Hear what is said until the block ends."""
        heard = Heard()
        self._listeners += (heard,)
        try:
            yield heard
        finally:
            self._listeners = tuple(other for other in self._listeners if other is not heard)

    def take(self, severity: int, text: str) -> None:
        """Pass on one message."""
        listeners = self._listeners
        if severity <= _ERROR:
            for heard in listeners:
                if len(heard.errors) < _KEPT_ERRORS:
                    heard.errors.append(" ".join(text.split()))
            if not listeners:
                _log.error("TensorRT: %s", text)
        elif severity == _WARNING:
            _log.log(logging.DEBUG if _EXPECTED in text else logging.WARNING, "TensorRT: %s", text)
        elif severity == _INFO:
            for heard in listeners:
                heard.remarks.append(text)


@cache
def tensorrt_log(library: TensorRT) -> TensorRTLog:
    """The log of a library, for as long as the process lives."""
    return TensorRTLog(library)


def _logger(module: Any, log: TensorRTLog) -> Any:
    base: Any = module.ILogger

    class Logger(base):  # type: ignore[misc]  # known when the library is imported
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            log.take(int(severity), text)

    return Logger()
