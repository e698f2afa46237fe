"""The search: seeds race, the best are rewritten, the rewrites race against them, until the budget is spent."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.candidates import Candidate, Field, Judge
from edge_autoglm.evolve.racing import race, rounds_of
from edge_autoglm.evolve.scorer import Scorer
from edge_autoglm.evolve.settings import EvolveSettings
from edge_autoglm.evolve.splits import LEAST_VALIDATION
from edge_autoglm.prompts.calibration import CONTENT_FREE
from edge_autoglm.prompts.rewrite import OPERATORS, Draft, Material, seeds

_TRIES = 30
"""Proposals that may be looked at for one new draft before a generation makes do with fewer."""

_WALK = 4
"""Steps of a random rewrite, at most."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of a search, for the report.

    Attributes:
        number: 0 for the seeds.
        candidates: That raced in it.
        calls: Scored prompts after it.
        best: Value of the best one, on as many examples as the race got to.
        count: Those examples.
    """

    number: int
    candidates: int
    calls: int
    best: float
    count: int


@dataclass(slots=True)
class Found:
    """What a search came to.

    Attributes:
        best: The best candidates, in that order.
        tried: All candidates that were scored, by key.
        generations: What happened.
    """

    best: list[Candidate]
    tried: dict[str, Candidate] = field(default_factory=dict)
    generations: list[Generation] = field(default_factory=list)


class Search:
    """One run of a strategy.

    Args:
        settings: Which one, and its sizes.
        material: What operators may use; its examples are no part of what candidates are judged by.
        judge: Measures candidates.
        scorer: Whose calls count.
        budget: Calls at which to end.
    """

    def __init__(
        self,
        settings: EvolveSettings,
        material: Material,
        judge: Judge,
        scorer: Scorer,
        budget: int,
    ) -> None:
        self._settings = settings
        self._material = material
        self._judge = judge
        self._scorer = scorer
        self._budget = budget
        self._rng = random.Random(settings.seed)
        self._found = Found([])
        self._tried: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()

    def run(self) -> Found:
        """Search until the budget is spent or nothing new comes up.

        Raises:
            EvolveError: The budget is too small to compare anything.
        """
        drafts = seeds(self._material.task, self._material)
        roots = [Candidate(draft) for draft in drafts if _stands_alone(draft)]
        if self._settings.strategy == "random":
            self._check_budget(self._judge.size + len(CONTENT_FREE))
            self._draw_at_random(roots)
            return self._found
        first_look = len(roots) * LEAST_VALIDATION
        self._check_budget(first_look)
        self._compete(roots, 0, max(self._spendable // 3, first_look))
        number = 0
        while self._grow(number := number + 1):
            pass
        self._compete(self._found.best, number, self._left)
        return self._found

    def _check_budget(self, needed: int) -> None:
        if self._left < needed:
            cause = f"{self._left} prompts of the budget are left to search with, a first comparison takes {needed}"
            raise EvolveError(cause, f"Raise --budget by {needed - self._left} or more, or give fewer examples.")

    @property
    def _left(self) -> int:
        return self._budget - self._scorer.calls

    @property
    def _spendable(self) -> int:
        """Without what it takes to compare the best on all examples at the end."""
        return self._left - self._settings.width * self._judge.size

    def _grow(self, number: int) -> bool:
        """One generation; whether there was anything to spend and to spend it on."""
        most = self._spendable // (self._settings.first_look * rounds_of(self._settings.children, self._settings.width))
        children = list(self._children(self._found.best, number, min(self._settings.children, most)))
        before = self._scorer.calls
        if children:
            self._compete([*self._found.best, *children], number, self._spendable)
        return self._scorer.calls > before

    def _compete(self, candidates: Sequence[Candidate], number: int, most: int) -> None:
        width = self._settings.width
        planned = rounds_of(len(candidates), width) * len(candidates) * self._settings.first_look
        budget = most if len(candidates) <= width else min(planned, most)
        order = range(len(candidates))
        ranking = race(Field(self._judge, candidates), order, self._judge.size, budget, width)
        self._found.tried |= {each.key: each for each in candidates if self._judge.seen(each)}
        if ranking.count:  # else there was no budget to compare them, and the best stay what they were
            self._found.best = [candidates[arm] for arm in ranking.arms]
            self._tried.update(each.operator for each in candidates if each.generation == number)
            self._kept.update(each.operator for each in self._found.best if each.generation == number)
            self._note(number, len(candidates), ranking.count)

    def _note(self, number: int, candidates: int, count: int) -> None:
        best = self._judge.value(self._found.best[0], count)[0]
        self._found.generations.append(Generation(number, candidates, self._scorer.calls, best, count))

    def _children(self, parents: Sequence[Candidate], number: int, count: int) -> Iterator[Candidate]:
        """New drafts, each one step from a parent; the parents take turns."""
        known = set(self._found.tried)
        for turn in range(count if parents else 0):
            parent = parents[turn % len(parents)]
            draft = self._new_draft(parent.draft, known)
            if draft is not None:
                known.add(draft.key)
                yield Candidate(draft, parent.key, number)

    def _new_draft(self, parent: Draft, known: set[str]) -> Draft | None:
        looked_at = 0
        while looked_at < _TRIES:
            [operator] = self._rng.choices(list(OPERATORS.values()), self._weights())
            looked_at += 1
            for draft in operator.proposals(parent, self._material, self._rng):
                # Centred scores are tried with every draft anyway.
                if draft.key not in known and draft.wants != "centred" and _stands_alone(draft):
                    return draft
                looked_at += 1
        return None

    def _weights(self) -> list[float]:
        """Operators whose rewrites went on are drawn more often: the mean of a Beta(1, 2) prior and what was seen."""
        return [(self._kept[name] + 1) / (self._tried[name] + 3) for name in OPERATORS]

    def _draw_at_random(self, roots: Sequence[Candidate]) -> None:
        """Rewrites of random length from random seeds, each scored on every validation example."""
        size, stuck = self._judge.size, 0
        while stuck < _TRIES:
            drawn = self._walk(self._rng.choice(roots))
            if drawn.key in self._found.tried:
                stuck += 1
                continue
            if self._judge.missing(drawn, size) > self._left:
                break
            stuck = 0
            self._found.tried[drawn.key] = drawn
            self._judge.value(drawn, size)
            self._found.best = self._best_of([*self._found.best, drawn])
            self._note(len(self._found.tried), 1, size)

    def _best_of(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        ranked = sorted(candidates, key=lambda each: self._judge.value(each, self._judge.size), reverse=True)
        return ranked[: max(self._settings.beam, self._settings.keep)]

    def _walk(self, root: Candidate) -> Candidate:
        steps, current = self._rng.randint(0, _WALK), root
        for _ in range(steps):
            draft = self._new_draft(current.draft, {current.key})
            if draft is None:
                break
            current = Candidate(draft, current.key, len(self._found.tried))
        return current


def _stands_alone(draft: Draft) -> bool:
    """Whether it needs no examples or passages that only a runtime's stores have."""
    return draft.variant.shots is None and draft.variant.passages is None
