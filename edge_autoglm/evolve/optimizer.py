"""The public `PromptOptimizer`: from labelled examples to a better prompt set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.device.threads import default_threads
from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.candidates import Judge
from edge_autoglm.evolve.examples import read_examples
from edge_autoglm.evolve.finalists import Finalists
from edge_autoglm.evolve.metrics import Metric, metric
from edge_autoglm.evolve.prompt_set import derive_bundle, with_evolved, write_prompt_set
from edge_autoglm.evolve.report import EvolveReport
from edge_autoglm.evolve.report_writer import ReportWriter
from edge_autoglm.evolve.scorer import Scorer
from edge_autoglm.evolve.search import Search
from edge_autoglm.evolve.settings import EvolveSettings
from edge_autoglm.evolve.splits import LEAST_VALIDATION, Splits, split
from edge_autoglm.evolve.store import ScoreStore
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.device_choice import AUTO
from edge_autoglm.facade.loading import load_model
from edge_autoglm.prompts.catalogue import Catalogue
from edge_autoglm.prompts.rewrite import Labelled, Material
from edge_autoglm.prompts.task import Task
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.urgency import UNHURRIED, Urgency
from edge_autoglm.swap.soft_prompts import hold_soft_prompts
from edge_autoglm.values import Progress, silent


@dataclass(frozen=True)
class Evolved:
    """What a search found.

    Attributes:
        task: The new prompt set: hand-written variants, then the evolved ones. The task as it was, if none was better.
        report: Figures.
        base: The bundle that it was made for.
    """

    task: Task
    report: EvolveReport
    base: Bundle

    def write(self, folder: str | Path) -> Path:
        """Write the task file into a folder."""
        return write_prompt_set(self.task, Path(folder))

    def make_bundle(self, out: str | Path, progress: Progress = silent) -> Bundle:
        """A bundle with this prompt set, for ``Runtime.swap``; the model's files are shared with the base."""
        return derive_bundle(self.base, self.task, Path(out), progress)


class PromptOptimizer:
    """Searches for prompts that answer a task better than those that the bundle has, on the user's own examples.

    Args:
        bundle: Whose model answers, and whose task is improved.
        task: Its name.
        settings: Of the search.
        threads: Of an engine on the CPU; by default what the system grants.
        device: Where to run it; see ``Runtime.open``.
        model: One that is loaded already, such as a fork of a live one: it is asked with what time others leave, and
            not closed. ``None`` loads the bundle's.

    Example:
        >>> optimizer = PromptOptimizer("smollm2.bundle", "sentiment")  # doctest: +SKIP
        >>> evolved = optimizer.evolve("labelled.tsv", "search")
        >>> evolved.make_bundle("better.bundle")
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        task: str,
        settings: EvolveSettings | None = None,
        *,
        threads: int | None = None,
        device: str = AUTO,
        model: LanguageModel | None = None,
    ) -> None:
        self._bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self._task = Catalogue.load(self._bundle.task_files()).task(task)
        self._settings = settings or EvolveSettings()
        self._metric = metric(self._settings.metric, self._task.kind)
        self._threads = threads
        self._device = device
        self._model = model

    @property
    def task(self) -> Task:
        """As the bundle has it."""
        return self._task

    def evolve(
        self,
        examples: str | Path | Sequence[Labelled],
        folder: str | Path | None = None,
        progress: Progress = silent,
    ) -> Evolved:
        """Split the examples, search, and judge what was found on those that were put aside.

        It may be interrupted and killed at any time: with the same folder, settings and examples it goes on where it
        was, and comes to the result that it would have come to in one piece.

        Args:
            examples: Labelled: a TSV, CSV or JSONL file, or in memory.
            folder: For the scores; made where it does not exist. ``None`` keeps them in memory.
            progress: Stage ``scored``, in prompts.

        Raises:
            ExamplesFileError: The file is wrong; file and line are named.
            EvolveError: There are too few examples, or the budget is too small for them.
            StateError: The folder cannot be used.
        """
        given = read_examples(Path(examples), self._task) if isinstance(examples, (str, Path)) else examples
        settings = self._settings
        splits = split(given, settings.shares, settings.seed, self._task.labels)
        with self._opened() as model, self._store(model, folder) as store:
            scorer = Scorer(model, self._task, store, settings.budget, self._urgency, told=_counted(progress, settings))
            task, report = evolve_task(model, self._task, scorer, splits, settings, self._metric)
        return Evolved(task, report, self._bundle)

    @property
    def _urgency(self) -> Urgency:
        return Urgency() if self._model is None else UNHURRIED

    @contextmanager
    def _opened(self) -> Iterator[LanguageModel]:
        if self._model is not None:
            yield self._model
            return
        model = load_model(self._bundle, self._threads or default_threads(), RuntimeConfig(), device=self._device)
        try:
            hold_soft_prompts(model, self._bundle, Catalogue([self._task]), None)
            yield model
        finally:
            model.close()

    def _store(self, model: LanguageModel, folder: str | Path | None) -> ScoreStore:
        task = self._task
        return ScoreStore(None if folder is None else Path(folder), model.fingerprint, task.name, task.labels)


def evolve_task(
    model: LanguageModel, task: Task, scorer: Scorer, splits: Splits, settings: EvolveSettings, metric: Metric
) -> tuple[Task, EvolveReport]:
    """Search, and judge what was found.

    Args:
        model: That the scorer asks.
        task: To be improved.
        scorer: Fresh, with the budget of the settings.
        splits: Of the examples.
        settings: Of the search.
        metric: That they name.

    Returns:
        The task with what was found, and the report.

    Raises:
        EvolveError: The budget is too small for so many examples.
    """
    judge = Judge(scorer, task, metric, splits.validation, None if model.chat is None else model.chat.render)
    material = Material(task, splits.train, settings.language)
    found = Search(settings, material, judge, scorer, _search_budget(task, splits, settings)).run()
    finalists = Finalists(task, metric, judge, found, settings.keep)
    evolved = with_evolved(task, finalists.evolved, metric.name)
    writer = ReportWriter(settings, metric, scorer, splits)
    return evolved, writer.report(evolved, finalists, judge, found, model.fingerprint)


def _search_budget(task: Task, splits: Splits, settings: EvolveSettings) -> int:
    """What the search may spend, so that the end is paid for: the test, ``plain`` and the best hand-written variant."""
    reserved = len(splits.test) * (2 + settings.keep) + 2 * len(splits.validation)
    least = LEAST_VALIDATION * len(task.variants)
    if settings.budget < reserved + least:
        cause = f"a budget of {settings.budget} prompts is too small: judging the result takes {reserved} of it"
        raise EvolveError(cause, f"Give at least {reserved + least}, or fewer examples.")
    return settings.budget - reserved


def _counted(progress: Progress, settings: EvolveSettings) -> Callable[[int], None]:
    return lambda calls: progress("scored", calls, settings.budget)
