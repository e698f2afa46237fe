"""A learner's state at one place of the journal, ready to be written, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge_autoglm.learn.decisions import BookContents
from edge_autoglm.learn.learner_state import LearnerState, Waiting
from edge_autoglm.learn.models.base import ModelState, arrays_of, joined_arrays
from edge_autoglm.learn.rewards.sources import SourceCaps
from edge_autoglm.learn.segments import Position
from edge_autoglm.learn.snapshot_waiting import pack, unpack

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a learner knew at one place of the journal.

    Attributes:
        position: The place.
        policy: What was learnt.
        rates: How often feedback came.
        experiments: Their running figures.
        book: Decisions that waited, and ids.
        facts: All else, as JSON values.
    """

    position: Position
    policy: ModelState
    rates: ModelState
    experiments: ModelState
    book: BookContents[Waiting]
    facts: Mapping[str, Any]


def take_snapshot(state: LearnerState, position: Position) -> Snapshot:
    """Copy a state, so that it can go on changing; `to_model_state`, which takes longer, needs it no more."""
    policy = state.policy.state()
    arrays = {name: array.copy() for name, array in policy.arrays.items()}
    facts = {
        "tally": state.tally.state(),
        "caps": {task: caps.recent for task, caps in state.caps.items()},
        "merged": list(state.merged),
        "capped": state.capped,
    }
    learnt = ModelState(policy.facts, arrays)
    return Snapshot(position, learnt, state.rates.state(), state.experiments.state(), state.book.contents(), facts)


def to_model_state(snapshot: Snapshot) -> ModelState:
    """As facts and arrays."""
    waiting = pack(list(snapshot.book.pending.values()))
    book = snapshot.book
    facts = {
        "kind": "learner",
        "schema": SCHEMA_VERSION,
        "position": asdict(snapshot.position),
        "policy": snapshot.policy.facts,
        "rates": snapshot.rates.facts,
        "experiments": snapshot.experiments.facts,
        "waiting": waiting.facts,
        "ids": [book.heard, book.answered, book.expired, book.count],
        "state": snapshot.facts,
    }
    parts = {
        "policy": snapshot.policy,
        "rates": snapshot.rates,
        "experiments": snapshot.experiments,
        "waiting": waiting,
    }
    return ModelState(facts, joined_arrays(parts.items()))


def from_model_state(stored: ModelState) -> Snapshot:
    """What `to_model_state` was given.

    Raises:
        ValueError: It was written by another version of this package.
    """
    facts = stored.facts
    if (facts.get("kind"), facts.get("schema")) != ("learner", SCHEMA_VERSION):
        raise ValueError(f"it is of schema {facts.get('schema')!r}, not {SCHEMA_VERSION}")
    policy, rates, experiments, waiting = (
        # Snapshots of before experiments have none.
        ModelState(facts.get(name, {}), arrays_of(name, stored.arrays))
        for name in ("policy", "rates", "experiments", "waiting")
    )
    pending = {one.record.id: one for one in unpack(waiting)}
    position = Position(**facts["position"])
    return Snapshot(position, policy, rates, experiments, BookContents(pending, *facts["ids"]), facts["state"])


def load(state: LearnerState, snapshot: Snapshot) -> None:
    """Take over all but what the policy has learnt."""
    state.book.fill(snapshot.book)
    state.rates.restore(snapshot.rates)
    state.experiments.restore(snapshot.experiments)
    state.tally.restore(snapshot.facts["tally"])
    state.caps = {
        task: SourceCaps((source, weight) for source, weight in recent)
        for task, recent in snapshot.facts["caps"].items()
    }
    state.merged = dict.fromkeys(snapshot.facts["merged"])
    state.capped = snapshot.facts["capped"]
