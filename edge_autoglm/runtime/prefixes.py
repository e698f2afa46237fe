"""KV of prompt beginnings that stays in memory, so that a request starts behind them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import EngineError
from edge_autoglm.runtime.engine import EngineFacts, KVPrefix

MIN_REST = 2
"""Tokens to run behind a prefix at least: the last one gives the logits, and a chunk of one would be a decode step,
which may round differently from a prefill."""


@dataclass(frozen=True, slots=True)
class _Resident:
    tokens: npt.NDArray[np.int64]
    kv: KVPrefix


class ResidentPrefixes:
    """The resident prefixes of one engine. Readers never wait: the set is replaced as a whole.

    Args:
        facts: Of the engine.
    """

    def __init__(self, facts: EngineFacts) -> None:
        self._fingerprint = facts.fingerprint
        self._own: tuple[_Resident, ...] = ()
        self._lent: tuple[_Resident, ...] = ()
        self._writing = threading.Lock()

    def __len__(self) -> int:
        return len(self._own)

    @property
    def nbytes(self) -> int:
        """Memory held by the prefixes of its own (those that another set shares are counted there)."""
        return sum(resident.kv.nbytes for resident in self._own)

    def add(self, tokens: Sequence[int], kv: KVPrefix) -> None:
        """Keep the KV of ``tokens``. What it covers already is dropped, and it is dropped if covered itself.

        Raises:
            EngineError: The KV is of another engine, or of another number of tokens.
        """
        if kv.fingerprint != self._fingerprint or kv.length != len(tokens):
            raise EngineError(
                f"KV of {kv.length} tokens by engine {kv.fingerprint} was offered as {len(tokens)} tokens of engine "
                f"{self._fingerprint}",
                "Copy it out of a slot that holds exactly these tokens.",
            )
        self._keep(_Resident(_array(tokens), kv))

    def longest(self, tokens: Sequence[int]) -> tuple[KVPrefix, int] | None:
        """The prefix that shares most leading tokens with a prompt.

        Tokens are compared one by one; part of a prefix is used where the prompt departs from it.

        Returns:
            The prefix and how many of its tokens to use, or ``None``. At least ``MIN_REST`` tokens are left to run.
        """
        prompt = _array(tokens)
        best, length = None, 0
        for resident in (*self._own, *self._lent):
            shared = min(_shared(resident.tokens, prompt), len(prompt) - MIN_REST)
            if shared > length:
                best, length = resident.kv, shared
        return None if best is None else (best, length)

    def adopt(self, tokens: Sequence[int]) -> bool:
        """Whether ``tokens`` are covered; a shared prefix that covers them becomes one of its own."""
        wanted = _array(tokens)
        for resident in (*self._own, *self._lent):
            if _shared(resident.tokens, wanted) == len(wanted):
                self._keep(resident)
                return True
        return False

    def share(self, other: ResidentPrefixes) -> int:
        """Make the prefixes of another engine with the same weights usable here, without a copy.

        They are lent: only those that ``adopt`` asks for are passed on in turn, so that prefixes of prompts long gone
        do not travel from generation to generation. ``release_shared`` ends the loan.

        Returns:
            How many there are; 0 if the engines differ.
        """
        if other._fingerprint != self._fingerprint:
            return 0
        with self._writing:
            self._lent = other._own
        return len(self._lent)

    def release_shared(self) -> None:
        """Forget the lent prefixes that were not adopted."""
        with self._writing:
            self._lent = ()

    def _keep(self, new: _Resident) -> None:
        with self._writing:
            if any(_covers(resident, new) for resident in self._own):
                return
            self._own = (*(resident for resident in self._own if not _covers(new, resident)), new)


def _array(tokens: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.asarray(tokens, dtype=np.int64)


def _shared(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> int:
    """Number of equal leading tokens."""
    length = min(len(left), len(right))
    differ = left[:length] != right[:length]
    return int(differ.argmax()) if differ.any() else length


def _covers(long: _Resident, short: _Resident) -> bool:
    return _shared(long.tokens, short.tokens) == len(short.tokens)
