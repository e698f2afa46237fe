"""Where swaps are written down before they happen, so that a restart knows what to come up with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edge_autoglm.swap.generation import Generation


class Ledger(Protocol):
    """Told of every step that a restart depends on, in order, by one thread at a time; each call is durable."""

    def propose(self, candidate: Generation, parent: Generation) -> None:
        """A candidate is about to answer requests, some or all; keep what it is made of.

        Raises:
            EdgeAutoGLMError: It cannot be written down; the candidate does not go live.
        """

    def activate(self, number: int, metrics: Mapping[str, float]) -> None:
        """The proposed generation answers from now on; called before it does.

        Args:
            number: Of the generation.
            metrics: What its checks, shadow and canary measured.

        Raises:
            EdgeAutoGLMError: It cannot be written down; the candidate does not go live.
        """

    def give_up(self, number: int, reason: str, instead: int | None) -> None:
        """A generation is not to be used any more.

        Args:
            number: Proposed or active until now.
            reason: Why.
            instead: What answers from now on, where that changes.
        """


class NoLedger:
    """Of a runtime without a state folder: a restart begins with the bundle that it is given."""

    def propose(self, candidate: Generation, parent: Generation) -> None:
        """Nothing."""

    def activate(self, number: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def give_up(self, number: int, reason: str, instead: int | None) -> None:
        """Nothing."""
