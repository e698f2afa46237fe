"""Figures of a runtime's caches."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.facade.response_cache import CacheStats
from edge_autoglm.runtime.kv.store import KVStats


@dataclass(frozen=True, slots=True)
class RuntimeStats:
    """What the caches hold, and what they saved.

    Attributes:
        kv: KV of resident prefixes and conversations, for the engine of the active generation.
        responses: Answers to exact repetitions.
    """

    kv: KVStats
    responses: CacheStats
