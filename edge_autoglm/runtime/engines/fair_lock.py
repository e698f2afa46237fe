"""A lock that is handed over in the order of arrival."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType

_RECENT = 0.25
"""Seconds for which a user counts as one after its last turn: a stream's decode steps follow each other faster."""


class FairLock:
    """Use it in a ``with`` statement.

    ``threading.Lock`` goes to whoever asks first after its release, which is mostly the thread that just released it:
    one that runs step after step, such as the prefill of a standby generation, would keep all others waiting.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiting: deque[_Turn] = deque()
        self._last_turns: dict[int, float] = {}

    def note(self, user: object) -> None:
        """Say whose turn it is; the lock is held."""
        now = time.monotonic()
        self._last_turns = {each: at for each, at in self._last_turns.items() if now - at < _RECENT}
        self._last_turns[id(user)] = now

    def shared(self, user: object) -> bool:
        """Whether anybody else had a turn just now."""
        now, turns = time.monotonic(), self._last_turns
        return any(now - at < _RECENT for each, at in turns.items() if each != id(user))

    def __enter__(self) -> None:
        turn = _Turn()
        try:
            with self._mutex:
                if not self._held:
                    self._held = turn.granted = True
                    return
                self._waiting.append(turn)
            turn.come.wait()
        except BaseException:  # Ctrl-C while waiting: the turn must not be lost
            self._give_up(turn)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._mutex:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            turn = self._waiting.popleft()
            turn.granted = True  # stays held, by the next one
            turn.come.set()
        else:
            self._held = False

    def _give_up(self, turn: _Turn) -> None:
        with self._mutex:
            if turn.granted:
                self._pass_on()
            elif turn in self._waiting:
                self._waiting.remove(turn)


class _Turn:
    """A place in the queue."""

    def __init__(self) -> None:
        self.come = threading.Event()
        self.granted = False
