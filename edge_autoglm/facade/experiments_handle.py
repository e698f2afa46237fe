"""``Runtime.experiments``: comparing variants while the app runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_autoglm.errors import ExperimentError
from edge_autoglm.facade.experiments_watch import ExperimentsWatch
from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.experiments.registry import Experiments
from edge_autoglm.learn.experiments.results import ExperimentResult
from edge_autoglm.learn.learner import Learner
from edge_autoglm.values import Decision


class ExperimentsHandle:
    """Experiments of one runtime, from a watched file and from the app. Thread-safe.

    Args:
        learner: Remembers what they decided.
        file: To watch; ``None`` leaves all to the app.
        seed: Of the draws for requests without a session; ``None`` draws one.

    Raises:
        ExperimentError: The file is wrong.
    """

    def __init__(self, learner: Learner, file: str | Path | None, seed: int | None) -> None:
        self._learner = learner
        # The count of decisions keeps a restart from repeating the draws of the run before.
        drawn = None if seed is None else f"experiments:{seed}:{learner.decisions}"
        self._experiments = Experiments(learner.key, drawn)
        self._watch = None if file is None else ExperimentsWatch(Path(file), self._experiments.replace_file)

    def set(self, experiment: Experiment) -> None:
        """Begin or change an experiment, from the next request on; it wins over one of that name in the file.

        It is kept until it is removed or the runtime is closed; what it found out is kept with what was learnt.
        """
        self._experiments.set(experiment)

    def remove(self, name: str) -> None:
        """Take back what ``set`` set; the file's experiment of that name, if there is one, runs again.

        Raises:
            ExperimentError: The app set none of that name.
        """
        self._experiments.remove(name)

    def list(self) -> tuple[Experiment, ...]:
        """All, disabled ones too, in the order in which a request tries them."""
        self._follow()
        return self._experiments.list()

    def reload(self) -> None:
        """Read the file now, instead of within a second of the next request.

        Raises:
            ExperimentError: It is wrong, so that what it said before holds; or there is none.
        """
        if self._watch is None:
            raise ExperimentError("the runtime has no file of experiments", "Name it in RuntimeConfig.experiments.")
        self._watch.reload()

    def results(self, name: str | None = None) -> tuple[ExperimentResult, ...]:
        """What came out so far, over restarts too; the experiment with the newest decision last.

        Args:
            name: Only of this experiment: each version, and each change of variants or weights, is one result. Empty
                where it runs but has decided nothing yet.

        Raises:
            ExperimentError: There is no experiment of that name.
        """
        results = self._learner.experiments()
        if name is None:
            return results
        known = {result.name for result in results} | {experiment.name for experiment in self.list()}
        if name not in known:
            named = ", ".join(sorted(known)) or "none: there are none yet"
            raise ExperimentError(f"there is no experiment {name!r}", f"Name one of {named}.")
        return tuple(result for result in results if result.name == name)

    def decide(self, task: str, arms: Sequence[str], session: str | None) -> Decision | None:
        """The decision for a request; ``None`` where it takes part in no experiment."""
        self._follow()
        return self._experiments.decide(task, arms, session)

    def _follow(self) -> None:
        if self._watch is not None:
            self._watch.check()
