"""Calls of tools under a time limit: what hangs is left behind, what is huge is cut, what raises is said."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable

_ERROR_CHARS = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Finished:
    """How a call ended.

    Attributes:
        text: The result, or its beginning; ``None`` if there is none.
        error: Why there is none.
        seconds: Until then.
        cut: Whether there was more of it.
        timed_out: Whether it was given up.
        refused: Whether it was not started.
    """

    text: str | None
    error: str | None
    seconds: float
    cut: bool = False
    timed_out: bool = False
    refused: bool = False


class ToolWorkers:
    """Runs each call in a daemon thread of its own. Thread-safe.

    A thread cannot be ended from outside: one that hangs is left behind, and takes what it takes until it ends or the
    process does. How many of them there may be is bounded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hanging: set[threading.Thread] = set()

    @property
    def hanging(self) -> int:
        """Calls that were given up and still run."""
        with self._lock:
            self._hanging = {thread for thread in self._hanging if thread.is_alive()}
            return len(self._hanging)

    def run(self, function: Callable[[], object], timeout: float, chars: int, most: int) -> Finished:
        """Call a function and wait for its result as text.

        Args:
            function: The call.
            timeout: Seconds.
            chars: Of the result to keep.
            most: Hanging calls at which this one is refused.
        """
        if self.hanging >= most:
            return Finished(None, f"not started: {most} earlier calls still hang", 0.0, refused=True)
        started = time.perf_counter()
        call = _Call(function, chars)
        thread = threading.Thread(target=call.run, name="edge-autoglm-tool", daemon=True)
        try:
            thread.start()
            thread.join(timeout)
        except RuntimeError as error:  # the system refuses a thread
            return Finished(None, f"not started: {error}", 0.0, refused=True)
        finally:
            if thread.is_alive():
                with self._lock:
                    self._hanging.add(thread)
        seconds = time.perf_counter() - started
        if call.outcome is None:
            return Finished(None, f"no result within {timeout:g} s", seconds, timed_out=True)
        text, reason, cut = call.outcome
        return Finished(text, reason, seconds, cut)


class _Call:
    """What runs in the thread: the function, and turning what it returns or raises into text."""

    def __init__(self, function: Callable[[], object], chars: int) -> None:
        self._function = function
        self._chars = chars
        self.outcome: tuple[str | None, str | None, bool] | None = None

    def run(self) -> None:
        try:
            text = _text(self._function())
            self.outcome = (_clean(text[: self._chars]), None, len(text) > self._chars)
        except BaseException as error:  # SystemExit too: a tool does not end the app
            self.outcome = (None, _reason(error), False)


def _text(value: object) -> str:
    """A text as it is, anything else as JSON; what JSON has no form for as Python writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_as_json)


def _as_json(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return repr(value)


def _clean(text: str) -> str:
    """Without halves of surrogate pairs, which no tokenizer takes, and without NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _reason(error: BaseException) -> str:
    try:
        return _clean(f"{type(error).__name__}: {error}"[:_ERROR_CHARS])
    except BaseException:  # its own text raises
        return type(error).__name__
