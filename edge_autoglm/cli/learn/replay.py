"""``edge-autoglm learn replay``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from edge_autoglm.cli.learn.plots import plot_values
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.evaluation.fixed import AlwaysPolicy, EvenPolicy
from edge_autoglm.learn.evaluation.interval import Interval
from edge_autoglm.learn.evaluation.logged import LoggedDecision
from edge_autoglm.learn.evaluation.replay import EvaluatedPolicy
from edge_autoglm.learn.evaluation.value import PolicyValue, evaluate
from edge_autoglm.learn.log import read_log
from edge_autoglm.learn.models.mixture import MixtureModel
from edge_autoglm.learn.policies import POLICIES, make_policy
from edge_autoglm.plotting import require_matplotlib
from edge_autoglm.values import Progress

_ALWAYS = "always:"
_EVEN = "even"


@click.command()
@click.argument("state", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "names",
    multiple=True,
    default=("mixture",),
    show_default=True,
    metavar="NAME",
    help="mixture, ridge, thompson or ftrl, learning as the log goes on; always:VARIANT; or even. May be repeated.",
)
@click.option("--task", help="Only this one; all by default.")
@click.option("--alpha", default=0.05, show_default=True, help="Probability that an interval is ever wrong.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Also draw the estimates over time (PNG)."
)
@json_option
def replay(
    state: Path, names: Sequence[str], task: str | None, alpha: float, plot: Path | None, json_file: Path | None
) -> None:
    """Say what other policies would have earned on the requests in the state folder STATE.

    Off-policy evaluation of the journal: decisions are weighted by how much more often the other policy would have made
    them. Intervals hold at every moment at once; wide ones mean that the log rarely did what the policy would do.
    "worth" is how many rewards of the policy's own choices would say as much.

    \b
    edge-autoglm learn replay state --policy mixture --policy always:plain --plot replay.png
    """
    if plot is not None:
        require_matplotlib()
    with progress_bars() as progress:
        log = _chosen_tasks(read_log(state, progress), task, state)
        values = {
            (each, name): _evaluate(log[each], name, alpha, progress, f"{each} {name}")
            for each in log
            for name in names
        }
    console.print(_table(values))
    if plot is not None:
        plot_values(values, plot)
        console.print(f"drawn: {plot}", markup=False)
    write_json(json_file, {"values": [_figures(*key, value) for key, value in values.items()]})


def _chosen_tasks(
    log: Mapping[str, Sequence[LoggedDecision]], task: str | None, state: Path
) -> dict[str, Sequence[LoggedDecision]]:
    """Tasks in which something was drawn and rewarded."""
    rewarded = {name: one for name, one in sorted(log.items()) if any(logged.reward is not None for logged in one)}
    chosen = {name: one for name, one in rewarded.items() if task in (None, name)}
    if not chosen:
        which = "no task" if task is None else f"no task {task!r}"
        raise PolicyError(
            f"{state}: {which} has decisions that a policy drew and that got a reward",
            f"Name one of {', '.join(rewarded)}." if rewarded else "Come back once feedback has come.",
        )
    return chosen


def _evaluate(log: Sequence[LoggedDecision], name: str, alpha: float, progress: Progress, stage: str) -> PolicyValue:
    def counted() -> Iterator[LoggedDecision]:
        for done, logged in enumerate(log, start=1):
            yield logged
            progress(stage, done, len(log))

    return evaluate(counted(), _policy(name, log), MixtureModel(), alpha)


def _policy(name: str, log: Sequence[LoggedDecision]) -> EvaluatedPolicy:
    if name == _EVEN:
        return EvenPolicy()
    if name.startswith(_ALWAYS):
        return AlwaysPolicy(name.removeprefix(_ALWAYS), {arm for logged in log for arm in logged.arms})
    if name == "river" or name not in POLICIES:
        learning = ", ".join(each for each in POLICIES if each != "river")
        raise PolicyError(f"there is no policy {name!r} to replay", f"Name {learning}, {_ALWAYS}VARIANT or {_EVEN}.")
    return make_policy(name, seed=0)


def _table(values: Mapping[tuple[str, str], PolicyValue]) -> Table:
    table = Table("task", "policy", "would earn (doubly robust)", "IPS", "the log", "rewards", "worth")
    for (task, name), value in values.items():
        estimates = _shown(value.dr), _shown(value.ips), f"{value.logged:.3f}"
        table.add_row(escape(task), escape(name), *estimates, str(value.n), f"{value.effective_sample_size:.0f}")
    return table


def _shown(interval: Interval) -> str:
    return f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _figures(task: str, name: str, value: PolicyValue) -> dict[str, Any]:
    return {
        "task": task,
        "policy": name,
        "rewards": value.n,
        "logged": value.logged,
        "effective_sample_size": value.effective_sample_size,
        "missing": dict(value.missing),
        "alpha": value.alpha,
        **{estimate: asdict(getattr(value, estimate)) for estimate in ("dr", "ips", "snips")},
    }
