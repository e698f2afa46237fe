"""Figures of a runtime's caches and guard, and where its engine runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_autoglm.device.placement import Placement
from edge_autoglm.facade.guarding import GuardStats
from edge_autoglm.facade.response_cache import CacheStats
from edge_autoglm.runtime.kv.store import KVStats


@dataclass(frozen=True, slots=True)
class RuntimeStats:
    """Where the engine runs, what the caches hold, what they saved, and what the guard did.

    Attributes:
        kv: KV of resident prefixes and conversations, for the engine of the active generation.
        responses: Answers to exact repetitions.
        placement: Device and library of the active generation's engine, and why it is on no better one.
        guard: What was refused, by task and reason.
    """

    kv: KVStats
    responses: CacheStats
    placement: Placement
    guard: GuardStats = field(default_factory=GuardStats)
