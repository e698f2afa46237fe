"""Scripted engines that tell how they were used, or promise less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge_autoglm.runtime.engine import Chunk, EngineFacts, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine


class CountingEngine(ScriptedEngine):
    """Counts forward passes."""

    passes = 0

    def forward(self, chunks: Sequence[Chunk]) -> list[Logits]:
        """One pass more."""
        self.passes += 1
        return super().forward(chunks)


class RoundingEngine(CountingEngine):
    """Does not promise that a decode step gives the bits of a longer chunk."""

    @property
    def facts(self) -> EngineFacts:
        """Constant facts."""
        return replace(super().facts, exact_decode=False)
