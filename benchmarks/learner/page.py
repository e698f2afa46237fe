"""The page of all learner records: made from the records alone, so that it can be made again at any time."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learner import nulls, robust, run, speed
from benchmarks.learner.checks import Check, checks
from benchmarks.learner.plots import draw_boxes, draw_channels, draw_curves, draw_promotions
from benchmarks.learner.results import Results
from benchmarks.learner.settings import LINUCB, MAIN
from benchmarks.learner.units import FIXED, UNIFORM
from benchmarks.markdown import table

PAGE = "learner.md"
_INTRODUCTION = """\
# The learner beside Vowpal Wabbit and River

Made by `python -m benchmarks.learner page` from the records in this folder; do not edit. Errors are progressive: the
mean of 1 - reward over all steps, exploration included, where a contestant is told what its own choice earned and
nothing else. Every sample is in the records.
"""


def write_page(records: Path) -> Path:
    """Write the page and its pictures beside the records; the page's path.

    Raises:
        FileNotFoundError: There are no records of the learner.
    """
    found = {name: records / f"{name}.json" for name in _SECTIONS if (records / f"{name}.json").exists()}
    if not found:
        raise FileNotFoundError(f"{records} has none of {', '.join(_SECTIONS)}: measure first")
    parts = [_INTRODUCTION]
    for name, path in found.items():
        content = json.loads(path.read_text(encoding="utf-8"))
        parts.append("\n".join(_section(name, content, path)))
    page = records / PAGE
    page.write_text("\n".join(parts) + "\n", encoding="utf-8")
    return page


def recorded_checks(name: str, content: dict[str, Any]) -> list[Check]:
    """What the record of that name says of the promises."""
    if name == run.NAME:
        return list(checks(Results(content)))
    if name == robust.NAME:
        return list(robust.checks(content["figures"]["means"]))
    if name == speed.NAME:
        return list(speed.checks(content["samples"]))
    return list(nulls.checks(content["figures"]["summary"]))


def _section(name: str, content: dict[str, Any], path: Path) -> Iterator[str]:
    title, body = _SECTIONS[name]
    host = content["host"]
    yield f"## {title}"
    yield ""
    yield f"{host['cores']} cores of {host['cpu']}, {host['taken_at'][:10]}. Record: `{path.name}`."
    yield ""
    picture = path.with_suffix(".png")
    yield from body(content, picture)
    yield ""
    yield f"![{title}]({picture.name})"
    yield ""
    yield from _promises(recorded_checks(name, content))


def _streams(content: dict[str, Any], picture: Path) -> Iterator[str]:
    results = Results(content)
    yield f"{content['config']['seeds']} seeds. *best VW* is VW's best configuration on that stream, in hindsight."
    yield ""
    ours = list(results.family("ours"))
    others = [name for name in results.family("river") if name != LINUCB]
    rows = []
    for stream, about in results.streams.items():
        best_vw, error = results.best(stream, "vw")
        figures = [results.mean(stream, name) for name in (*ours, LINUCB)]
        least = min(results.mean(stream, name) for name in others)
        cells = [*map(_error, figures), f"{_error(error)} ({best_vw.removeprefix('vw ')})", _error(least)]
        rows.append([stream, str(about["steps"]), str(about["arms"]), *cells, _error(results.mean(stream, FIXED))])
    heads = ("stream", "steps", "arms", *ours, LINUCB, "best VW", "best context-free of River", FIXED)
    yield from table(heads, rows)
    yield ""
    yield f"All of VW's configurations and River's other bandits; choosing evenly is *{UNIFORM}*:"
    yield ""
    rest = [*results.family("vw"), *others, UNIFORM]
    yield from table(
        ("stream", *rest),
        [[stream, *(_error(results.mean(stream, name)) for name in rest)] for stream in results.streams],
    )
    if content["config"]["left_out"]:
        yield ""
        yield f"Without the sentiment stream: {content['config']['left_out']}."
    draw_curves(results, picture)


def _robust(content: dict[str, Any], picture: Path) -> Iterator[str]:
    config, means = content["config"], content["figures"]["means"]
    yield f"Error of the last quarter of the decisions, mean of {config['seeds']} seeds:"
    yield ""
    rows = [
        [stream, *(_error(means[f"{stream}/{channel}"]) for channel in config["channels"])]
        for stream in config["streams"]
    ]
    yield from table(("stream", *config["channels"]), rows)
    draw_channels(means, config["streams"], config["channels"], picture)


def _speed(content: dict[str, Any], picture: Path) -> Iterator[str]:
    config, samples = content["config"], content["samples"]
    features = f"{config['dense']} dense and {config['sparse']} sparse features"
    yield f"{config['arms']} arms, {features}, {config['rounds']} rounds:"
    yield ""
    medians = {name: statistics.median(values) for name, values in samples.items()}
    yield from table(
        ("contestant", "median, us", f"times {MAIN}"),
        [[name, f"{median:.0f}", f"{median / medians[MAIN]:.2f}"] for name, median in medians.items()],
    )
    draw_boxes(samples, picture, "microseconds of one choice and its feedback")


def _nulls(content: dict[str, Any], picture: Path) -> Iterator[str]:
    yield f"The gate looks after every one of up to {content['config']['steps']} feedbacks; canary {nulls.SHARE:.0%}:"
    yield ""
    rows = []
    for name, figures in content["figures"]["summary"].items():
        cells = [name, str(figures["runs"]), *(_share(figures.get(key)) for key in ("promoted", "covered"))]
        rows.append([*cells, "-" if figures.get("median") is None else f"{figures['median']:.0f}"])
    yield from table(("runs", "how many", "promoted", "interval held", "median feedbacks"), rows)
    draw_promotions(content["samples"], picture)


_SECTIONS: dict[str, tuple[str, Callable[[dict[str, Any], Path], Iterator[str]]]] = {
    run.NAME: ("Streams", _streams),
    robust.NAME: ("Feedback that is late, missing, wrong or hostile", _robust),
    speed.NAME: ("Cost of a decision", _speed),
    nulls.NAME: ("Promotion gate and off-policy intervals", _nulls),
}


def _promises(found: Sequence[Check]) -> Iterator[str]:
    broken = [check for check in found if not check.holds]
    yield f"{len(found) - len(broken)} of {len(found)} promises hold." + (" These do not:" if broken else "")
    yield ""
    yield from (f"- {line}" for line in spelled(broken))
    if broken:
        yield ""


def spelled(found: Iterable[Check]) -> Iterator[str]:
    """Checks as lines."""
    for check in found:
        sign = "<=" if check.holds else ">"
        yield f"{check.stream}: {check.found:.3f} {sign} {check.bound:.3f} ({check.what})"


def _error(value: float) -> str:
    return f"{value:.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
