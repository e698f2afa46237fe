"""A generation that is to be kept, and its record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone

from edge_autoglm.bundle import Bundle
from edge_autoglm.learn.snapshot_format import encode
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.store.reading import KeptGenerations
from edge_autoglm.swap.store.record import GenerationRecord, Standing
from edge_autoglm.swap.store.version import FIRST, change_between, next_version


@dataclass(frozen=True, slots=True)
class NewGeneration:
    """What is to be kept of a generation.

    Attributes:
        number: Above all that were used.
        bundle: Its files are taken over.
        policy: ``FrozenPolicy.state`` as a file; ``None`` where the policy cannot be written down.
        reason: Why it was built.
    """

    number: int
    bundle: Bundle
    policy: bytes | None
    reason: str

    @classmethod
    def of(cls, generation: Generation) -> NewGeneration:
        """Of a generation that was built."""
        policy = encode(generation.policy.state()) if generation.policy.can_snapshot else None
        return cls(generation.number, generation.bundle, policy, generation.reason)

    @property
    def policy_digest(self) -> str | None:
        """SHA-256 of the policy's file."""
        return None if self.policy is None else hashlib.sha256(self.policy).hexdigest()


def new_record(kept: KeptGenerations, new: NewGeneration, parent: int | None) -> GenerationRecord:
    """Its record, as proposed, with a version that is above those of its kind.

    Args:
        kept: What is there already.
        new: The generation.
        parent: Number of the one that it was built on; where that is not kept, the active one or the newest is
            compared with.
    """
    newest = kept.records.get(max(kept.records, default=0))
    before = (None if parent is None else kept.records.get(parent)) or kept.active or newest
    identity = (new.bundle.fingerprint, new.bundle.digest)
    if before is None:
        version = FIRST
    else:
        change = change_between((before.engine_fingerprint, before.bundle_digest), identity)
        version = next_version(before.version, change, (record.version for record in kept.records.values()))
    return GenerationRecord(
        number=new.number,
        version=version,
        parent=parent,
        reason=new.reason,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        bundle_digest=new.bundle.digest,
        engine_fingerprint=new.bundle.fingerprint,
        policy_digest=new.policy_digest,
        metrics={},
        standing=Standing.PROPOSED,
        standing_reason="",
    )
