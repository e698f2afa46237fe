"""Which variant answers a request: the caller's choice, an experiment's draw, or the frozen policy's choice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from edge_autoglm.device.conditions import Conditions
from edge_autoglm.facade.asked import Asked, Context
from edge_autoglm.facade.experiments_handle import ExperimentsHandle
from edge_autoglm.learn.context import featurise
from edge_autoglm.learn.context.words import word_hashes
from edge_autoglm.learn.explain import explain
from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.policy import FrozenPolicy
from edge_autoglm.prompts import Task, Variant, check_inputs
from edge_autoglm.values import Decision, Explanation


@dataclass(frozen=True, slots=True)
class Choice:
    """A decision with what the learner needs to know of it later."""

    decision: Decision
    variant: Variant
    arms: tuple[str, ...]
    features: Features
    explain: Callable[[], Explanation]


class Describer:
    """Says what a choice needs to know of a request: its features, and whether an experiment decides. Thread-safe.

    Args:
        key: Under which words are hashed.
        forbidden: Features that the app does not want used; see ``featurise``.
        experiments: Those of the runtime.
    """

    def __init__(self, key: bytes, forbidden: Collection[str], experiments: ExperimentsHandle) -> None:
        self.experiments = experiments
        self._key = key
        self._forbidden = frozenset(forbidden)
        self._conditions = Conditions()

    def features(self, task: str, inputs: Mapping[str, str], context: Context | None) -> Features:
        """Of a request that is made now."""
        return featurise(
            task,
            inputs,
            context,
            self._key,
            device=self._conditions.now(),
            now=datetime.now(),
            forbidden=self._forbidden,
        )

    def words(self, inputs: Mapping[str, str]) -> dict[int, str]:
        """What the hashed features of a request's words stand for."""
        return word_hashes(inputs.values(), self._key)


def choose(policy: FrozenPolicy, task: Task, asked: Asked, describer: Describer) -> Choice:
    """Pick a variant: the caller's, else that of the experiment that the request takes part in, else the policy's.

    Args:
        policy: Of the generation that answers.
        task: What is asked for.
        asked: The request; its inputs are checked here, so that a bad request draws nothing from the policy.
        describer: Makes the features, and knows the experiments.

    Raises:
        InputRejected: The inputs or the context are unusable.
        UnknownVariant: The task has no such variant.
    """
    check_inputs(task, asked.inputs)
    features = describer.features(task.name, asked.inputs, asked.context)
    arms = tuple(candidate.name for candidate in task.variants)
    decision = _decision(policy, task, arms, features, asked, describer)
    named = asked.variant is not None

    def explained() -> Explanation:
        return explain(policy, decision, arms, features, named, describer.words(asked.inputs))

    return Choice(decision, task.variant(decision.arm), arms, features, explained)


def _decision(
    policy: FrozenPolicy, task: Task, arms: tuple[str, ...], features: Features, asked: Asked, describer: Describer
) -> Decision:
    if asked.variant is not None:
        return forced(task.variant(asked.variant).name)
    return describer.experiments.decide(task.name, arms, asked.session) or policy.pull(arms, features)
