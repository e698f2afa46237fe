"""Drafts that compete: where each came from, and how good it is on the examples seen so far."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from edge_autoglm.errors import PromptError
from edge_autoglm.evolve.answers import Answer, Outcome, answers
from edge_autoglm.evolve.metrics import Metric, confidence
from edge_autoglm.evolve.racing import Value
from edge_autoglm.evolve.scorer import Scorer
from edge_autoglm.prompts.calibration import centred_priors, content_free_inputs, contextual_priors
from edge_autoglm.prompts.render import ChatRenderer
from edge_autoglm.prompts.rewrite import Draft, Labelled, Step
from edge_autoglm.prompts.task import Task

_log = logging.getLogger(__name__)

CENTRED = Step("calibrate", "centred on the examples by which prompts are chosen")
"""What is done to the scores of every draft, and kept where it helps."""

_UNUSABLE: Value = (-math.inf, -math.inf)


@dataclass(frozen=True)
class Candidate:
    """A draft with its place in the search.

    Attributes:
        draft: See `Draft`.
        parent: Key of the draft that it was made from by one step; empty for a root.
        generation: In which it came up; 0 for the seeds.
    """

    draft: Draft
    parent: str = ""
    generation: int = 0

    @cached_property
    def key(self) -> str:
        """Of its draft."""
        return self.draft.key

    @property
    def operator(self) -> str:
        """Name of its last step's operator."""
        return self.draft.steps[-1].operator if self.draft.steps else "seed"


@dataclass(frozen=True)
class Standing:
    """How good a candidate is on the first examples of the validation.

    Attributes:
        draft: Settled: what it would be in a task file.
        value: Of the metric.
        confidence: See `metrics.confidence`.
        answers: That these were measured on.
    """

    draft: Draft
    value: float
    confidence: float
    answers: tuple[Answer, ...]


class Judge:
    """Measures candidates on a growing part of the validation examples; what was measured is not measured again.

    Args:
        scorer: Asks the model.
        task: Whose variants they are.
        metric: What is to be large.
        examples: The validation examples, in the order in which candidates see them.
        chat: The model's chat template, if it has one.
    """

    def __init__(
        self, scorer: Scorer, task: Task, metric: Metric, examples: Sequence[Labelled], chat: ChatRenderer | None
    ) -> None:
        self._scorer = scorer
        self._task = task
        self._metric = metric
        self._examples = tuple(examples)
        self._chat = chat
        self._known: dict[tuple[str, int], Standing] = {}
        self._furthest: dict[str, int] = {}
        self._unusable: dict[str, str] = {}
        self._silent: dict[str, list[Labelled]] = {}
        self._centring_gains: dict[str, float] = {}

    @property
    def centring_gains(self) -> list[float]:
        """What centring the scores gave each candidate to which that can be done, where it was measured last."""
        return list(self._centring_gains.values())

    @property
    def size(self) -> int:
        """Validation examples."""
        return len(self._examples)

    @property
    def unusable(self) -> dict[str, str]:
        """Why drafts could not be asked, by key: too long for a slot, say."""
        return dict(self._unusable)

    def seen(self, candidate: Candidate) -> int:
        """On how many examples a candidate was measured at most."""
        return self._furthest.get(candidate.key, 0)

    def missing(self, candidate: Candidate, count: int) -> int:
        """Prompts that have to be scored for ``standing(candidate, count)``."""
        if candidate.key in self._unusable or not count:
            return 0
        variant = candidate.draft.variant
        asked = self._scorer.missing(variant, self._examples[:count])
        return asked + self._scorer.missing(variant, self._without_content(candidate))

    def value(self, candidate: Candidate, count: int) -> Value:
        """For ranking; of candidates that are equally good, the surer one is the better."""
        found = self.standing(candidate, count)
        return _UNUSABLE if found is None else (found.value, found.confidence)

    def standing(self, candidate: Candidate, count: int) -> Standing | None:
        """How good a candidate is on the first ``count`` examples; ``None`` if it cannot be asked."""
        key = candidate.key
        if key in self._unusable:
            return None
        if (key, count) not in self._known:
            try:
                self._known[key, count] = self._measure(candidate, count)
            except PromptError as error:  # one draft that does not fit must not end a search of hours
                _log.warning("a draft is left out: %s", error)
                self._unusable[key] = str(error)
                return None
            self._furthest[key] = max(count, self._furthest.get(key, 0))
        return self._known[key, count]

    def as_written(self, candidate: Candidate, count: int) -> Standing:
        """The same without a change to its scores.

        Raises:
            PromptError: It cannot be asked.
        """
        examples = self._examples[:count]
        return self._standing(candidate.draft, examples, self._scorer.outcomes(candidate.draft.variant, examples))

    def _measure(self, candidate: Candidate, count: int) -> Standing:
        draft, examples = candidate.draft, self._examples[:count]
        outcomes = self._scorer.outcomes(draft.variant, examples)
        if draft.wants == "contextual":
            silent = self._scorer.outcomes(draft.variant, self._without_content(candidate))
            forms = [draft.settled(contextual_priors(self._task.labels, _rows(silent)))]
        else:
            forms = self._centred(draft, outcomes)
        found = [self._standing(form, examples, outcomes) for form in forms]
        if len(found) > 1:
            self._centring_gains[candidate.key] = found[1].value - found[0].value
        return max(found, key=lambda each: (each.value, each.confidence))

    def _centred(self, draft: Draft, outcomes: Sequence[Outcome]) -> list[Draft]:
        """The draft as it is, and with its scores centred on these examples, whose labels are not looked at for it.

        That costs no prompt, so it is always tried.
        """
        if not self._task.labels or draft.variant.calibration:
            return [draft]
        settled = draft.settled(centred_priors(self._task.labels, _rows(outcomes)))
        return [settled] if draft.wants else [draft, _stepped(settled, CENTRED)]

    def _standing(self, draft: Draft, examples: Sequence[Labelled], outcomes: Sequence[Outcome]) -> Standing:
        found = answers(self._task, draft.variant, examples, outcomes)
        return Standing(draft, self._metric.measure(found), confidence(found), found)

    def _without_content(self, candidate: Candidate) -> list[Labelled]:
        if candidate.draft.wants != "contextual":
            return []
        if candidate.key not in self._silent:
            inputs = content_free_inputs(self._task, candidate.draft.variant, self._chat)
            self._silent[candidate.key] = [Labelled(each, "") for each in inputs]
        return self._silent[candidate.key]


class Field:
    """Candidates by number, for a race; see `Contest`."""

    def __init__(self, judge: Judge, candidates: Sequence[Candidate]) -> None:
        self._judge = judge
        self._candidates = candidates

    def missing(self, arm: int, count: int) -> int:
        """Prompts to score."""
        return self._judge.missing(self._candidates[arm], count)

    def value(self, arm: int, count: int) -> Value:
        """Metric, then confidence."""
        return self._judge.value(self._candidates[arm], count)


def _rows(outcomes: Sequence[Outcome]) -> list[tuple[float, ...]]:
    return [outcome.logprobs for outcome in outcomes]


def _stepped(draft: Draft, step: Step) -> Draft:
    made_by = (*draft.variant.made_by, str(step))
    return replace(draft, variant=replace(draft.variant, made_by=made_by), steps=(*draft.steps, step))
