"""Puts the report together; asks the model about the test examples, once, at the very end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from edge_autoglm.evolve.answers import Answer, answers
from edge_autoglm.evolve.candidates import Judge, Standing
from edge_autoglm.evolve.contributions import contributions
from edge_autoglm.evolve.finalists import Finalists
from edge_autoglm.evolve.intervals import Bounds, bounds, difference
from edge_autoglm.evolve.metrics import Metric
from edge_autoglm.evolve.report import EvolveReport, Figures, Origin, VariantReport
from edge_autoglm.evolve.scorer import Scorer
from edge_autoglm.evolve.search import Found
from edge_autoglm.evolve.settings import EvolveSettings
from edge_autoglm.evolve.splits import Splits
from edge_autoglm.prompts.task import PLAIN, Task, Variant


class ReportWriter:
    """Measures the variants of a result.

    Args:
        settings: Of the search.
        metric: That it went by.
        scorer: Asks the model.
        splits: Of the examples.
    """

    def __init__(self, settings: EvolveSettings, metric: Metric, scorer: Scorer, splits: Splits) -> None:
        self._settings = settings
        self._metric = metric
        self._scorer = scorer
        self._splits = splits

    def report(self, task: Task, finalists: Finalists, judge: Judge, found: Found, model: str) -> EvolveReport:
        """The report on a result.

        Args:
            task: The result.
            finalists: What is in it.
            judge: Of the search.
            found: By the search.
            model: Fingerprint.
        """
        searched = self._scorer.calls
        standings = self._standings(task, finalists)
        variants = self._variants(task, standings, finalists.hand_written_name)
        return EvolveReport(
            task=task.name,
            model=model,
            metric=self._metric.name,
            settings={**asdict(self._settings), "metric": self._metric.name},
            examples=self._examples(),
            calls={"budget": self._settings.budget, "search": searched, "total": self._scorer.calls},
            candidates=len(found.tried),
            variants=variants,
            hand_written=finalists.hand_written_name,
            generations=tuple(found.generations),
            operators=tuple(contributions(judge, found.tried, [each.draft for each in finalists.evolved])),
            unusable=tuple(judge.unusable.values()),
        )

    @staticmethod
    def _standings(task: Task, finalists: Finalists) -> dict[str, Standing]:
        """By the names that they have in the result, the evolved ones first."""
        new = task.variants[len(task.variants) - len(finalists.evolved) :]
        found = {variant.name: each for variant, each in zip(new, finalists.evolved, strict=True)}
        return {**found, finalists.hand_written_name: finalists.hand_written, PLAIN: finalists.plain}

    def _variants(self, task: Task, standings: dict[str, Standing], hand_written: str) -> tuple[VariantReport, ...]:
        validation = {name: standing.answers for name, standing in standings.items()}
        test = {name: self._tested(task, task.variant(name)) for name in standings} if self._splits.test else {}
        return tuple(
            VariantReport(
                name=name,
                origin=_origin(name, hand_written),
                validation=self._figures(name, validation, hand_written),
                test=self._figures(name, test, hand_written) if test else None,
                prompt_tokens=self._prompt_tokens(task.variant(name), len(validation[name])),
                static_tokens=self._scorer.static_tokens(task.variant(name)),
                made_by=task.variant(name).made_by,
            )
            for name in standings
        )

    def _tested(self, task: Task, variant: Variant) -> tuple[Answer, ...]:
        examples = self._splits.test
        return answers(task, variant, examples, self._scorer.outcomes(variant, examples))

    def _figures(self, name: str, found: dict[str, tuple[Answer, ...]], hand_written: str) -> Figures:
        def over(other: str) -> Bounds | None:
            return None if name == other else difference(self._metric, found[name], found[other])

        return Figures(bounds(self._metric, found[name]), over(PLAIN), over(hand_written))

    def _prompt_tokens(self, variant: Variant, count: int) -> float:
        outcomes = self._scorer.outcomes(variant, self._splits.validation[:count])
        return float(np.mean([outcome.prompt_tokens for outcome in outcomes]))

    def _examples(self) -> dict[str, int]:
        splits = self._splits
        sizes = {name: len(part) for name, part in _parts(splits)}
        return {**sizes, "repeated": splits.repeated, "contradictory": splits.contradictory}


def _parts(splits: Splits) -> Sequence[tuple[str, Sequence[object]]]:
    return ("train", splits.train), ("validation", splits.validation), ("test", splits.test)


def _origin(name: str, hand_written: str) -> Origin:
    if name == PLAIN:
        return "plain"
    return "hand-written" if name == hand_written else "evolved"
