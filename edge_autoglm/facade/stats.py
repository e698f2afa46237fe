"""Figures of a runtime's caches and guard."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_autoglm.facade.guarding import GuardStats
from edge_autoglm.facade.response_cache import CacheStats
from edge_autoglm.runtime.kv.store import KVStats


@dataclass(frozen=True, slots=True)
class RuntimeStats:
    """What the caches hold, what they saved, and what the guard did.

    Attributes:
        kv: KV of resident prefixes and conversations, for the engine of the active generation.
        responses: Answers to exact repetitions.
        guard: What was refused, by task and reason.
    """

    kv: KVStats
    responses: CacheStats
    guard: GuardStats = field(default_factory=GuardStats)
