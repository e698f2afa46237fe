"""Who is left at the end of a search: the best that was found, and the best hand-written variant beside it."""

from __future__ import annotations

from collections.abc import Mapping

from edge_autoglm.evolve.candidates import Candidate, Judge, Standing
from edge_autoglm.evolve.intervals import shown_better
from edge_autoglm.evolve.metrics import Metric
from edge_autoglm.evolve.search import Found
from edge_autoglm.prompts.rewrite import Draft, fingerprint
from edge_autoglm.prompts.task import PLAIN, Task, Variant


class Finalists:
    """The variants that go into the result, by their standing on the validation.

    A variant that a person wrote stands for itself: if only its scores were centred, that is a new variant. It gives
    way only to what is shown to be better: of very many prompts, some always look so.

    Args:
        task: As it was.
        metric: That the search went by.
        judge: Of the search; asked for what is missing, which is little.
        found: By the search.
        keep: New variants at most.
    """

    def __init__(self, task: Task, metric: Metric, judge: Judge, found: Found, keep: int) -> None:
        self._metric = metric
        self._judge = judge
        self._written = {fingerprint(variant): variant for variant in task.variants}
        self.count = max((judge.seen(each) for each in found.tried.values()), default=0)
        """Validation examples that the best were compared on."""
        self.plain = self._as_written(found, task.variant(PLAIN))
        self.hand_written_name, self.hand_written = self._best_written(task, found)
        self.evolved = self._evolved(found, keep)
        """Shown to be better than the best hand-written variant, the best first; may be none."""

    def _as_written(self, found: Found, variant: Variant) -> Standing:
        return self._judge.as_written(Candidate(Draft(variant, ())), self.count)

    def _best_written(self, task: Task, found: Found) -> tuple[str, Standing]:
        """Of those that got furthest in the race, the best; ``plain`` if none of them was in it."""
        raced: Mapping[str, Candidate] = {key: each for key, each in found.tried.items() if key in self._written}
        if not raced:
            return PLAIN, self.plain
        best = max(raced.values(), key=self._progress)
        return self._written[best.key].name, self._judge.as_written(best, self.count)

    def _progress(self, candidate: Candidate) -> tuple[float, ...]:
        seen = self._judge.seen(candidate)
        standing = self._judge.as_written(candidate, seen)
        return seen, standing.value, standing.confidence

    def _evolved(self, found: Found, keep: int) -> list[Standing]:
        raced = (each for each in found.tried.values() if self._judge.seen(each) == self.count)
        standings = [standing for each in raced if (standing := self._judge.standing(each, self.count)) is not None]
        new = [each for each in standings if each.draft.key not in self._written]
        ranked = sorted((each for each in new if each.value > self.hand_written.value), key=_rank, reverse=True)
        return [each for each in ranked if shown_better(self._metric, each.answers, self.hand_written.answers)][:keep]


def _rank(standing: Standing) -> tuple[float, float]:
    return standing.value, standing.confidence
