"""What the measurements share: the model, the task with every hand-written variant, the snippets, scores on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.learner.snippets import DEVELOPMENT, REPORT, read_rows
from edge_autoglm import Bundle, RuntimeConfig
from edge_autoglm.device.threads import default_threads
from edge_autoglm.evolve.answers import Answer, answers
from edge_autoglm.evolve.scorer import Scorer
from edge_autoglm.evolve.store import ScoreStore
from edge_autoglm.facade.loading import load_model
from edge_autoglm.prompts import Task, Variant, load_task
from edge_autoglm.prompts.rewrite import Labelled
from edge_autoglm.runtime.model import LanguageModel

TASK = "sentiment"
LABELLED = 200
"""Snippets that a search is given: rows 1 to 200 of the development rows."""


@dataclass
class World:
    """A loaded model and one domain's snippets.

    Attributes:
        bundle: Whose model answers.
        model: Loaded once.
        task: With the variants of the built-in file and of the demo's second prompt set.
        folder: Of the snippets.
        store: Scores of earlier runs, so that nothing is scored twice; what a search is charged does not depend on it.
    """

    bundle: Bundle
    model: LanguageModel
    task: Task
    folder: Path
    store: ScoreStore

    def scorer(self, budget: int | None = None) -> Scorer:
        """One that counts from 0."""
        return Scorer(self.model, self.task, self.store, budget)

    def development(self, domain: str, begin: int = 0, end: int = LABELLED) -> list[Labelled]:
        """Rows for making prompts and choosing among them."""
        return self._rows(domain, DEVELOPMENT, end)[begin:]

    def report(self, domain: str, count: int) -> list[Labelled]:
        """Rows that nothing was chosen by."""
        return self._rows(domain, REPORT, count)

    def answers(self, scorer: Scorer, variant: Variant, examples: Sequence[Labelled]) -> tuple[Answer, ...]:
        """What a variant answers."""
        return answers(self.task, variant, examples, scorer.outcomes(variant, examples))

    def _rows(self, domain: str, split: str, count: int) -> list[Labelled]:
        rows = read_rows(self.folder, domain, split, count)
        return [Labelled({"text": text}, label) for text, label in zip(rows.texts, rows.labels, strict=True)]


@contextmanager
def opened(bundle: Path, folder: Path, scores: Path, threads: int | None = None) -> Iterator[World]:
    """Load the model; scores are kept in a folder."""
    base = Bundle.open(bundle)
    model = load_model(base, threads or default_threads(), RuntimeConfig())
    task = _task(base)
    try:
        with ScoreStore(scores, model.fingerprint, task.name, task.labels) as store:
            yield World(base, model, task, folder, store)
    finally:
        model.close()


def accuracy(found: Sequence[Answer]) -> float:
    """Share of right answers."""
    return sum(answer.text == answer.expect for answer in found) / len(found)


@contextmanager
def counted(what: str, total: int) -> Iterator[Progress]:
    """A bar over so many steps; advance it with ``advance(bar.task_ids[0])``."""
    with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        bar.add_task(what, total=total)
        yield bar


def _task(base: Bundle) -> Task:
    """The built-in task, and what the demo's second prompt set adds."""
    task = load_task(next(path for path in base.task_files() if path.stem == TASK))
    more = yaml.safe_load(files("edge_autoglm.data").joinpath("sentiment_more_variants.yaml").read_text("utf-8"))
    added = (Variant(each["name"], prompt=each["prompt"].removesuffix("\n")) for each in more)
    return replace(task, variants=(*task.variants, *added))
