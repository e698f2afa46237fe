"""A lock that is handed over in the order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType


class FairLock:
    """Use it in a ``with`` statement.

    ``threading.Lock`` goes to whoever asks first after its release, which is mostly the thread that just released it:
    one that runs step after step, such as the prefill of a standby generation, would keep all others waiting.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._mutex:
            if not self._held:
                self._held = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:  # Ctrl-C while waiting: the turn must not be lost
            self._give_up(turn)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()  # stays held, by the next one
            else:
                self._held = False

    def _give_up(self, turn: threading.Lock) -> None:
        with self._mutex:
            waiting = turn in self._waiting
            if waiting:
                self._waiting.remove(turn)
        if not waiting:
            self._pass_on()
