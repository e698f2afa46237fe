"""The result goes live: a bundle with the new prompt set is taken by a runtime that answers meanwhile."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

from edge_autoglm import Bundle, EvolveSettings, PromptOptimizer, Runtime, RuntimeConfig, Swapped
from edge_autoglm.errors import EvolveError, ExportError, UnknownTask
from edge_autoglm.evolve.files import write_report
from edge_autoglm.plotting import require_matplotlib
from edge_autoglm.prompts import load_task

SETTINGS = EvolveSettings(budget=500, children=4, seed=1)


@pytest.fixture(scope="module")
def learnable(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels that the scores of a hand-written variant give once they are centred, and not before."""
    texts = [f"{word} day {number}." for number in range(20) for word in ("It was", "Such a film on", "What a")]
    with Runtime.open(bundle, threads=1, config=RuntimeConfig(seed=1, context_length=1024)) as runtime:
        scores = [runtime.run("mood", {"text": text}, variant="plain").scores for text in texts]
    margins = [each["good"] - each["bad"] for each in scores]
    middle = statistics.median(margins)
    rows = [f"{text}\t{'good' if margin > middle else 'bad'}" for text, margin in zip(texts, margins, strict=True)]
    path = tmp_path_factory.mktemp("learnable") / "labelled.tsv"
    path.write_text("\n".join(["text\texpect", *rows]) + "\n")
    return path


def test_an_evolved_prompt_set_is_swapped_in_and_answers(bundle: Bundle, learnable: Path, tmp_path: Path) -> None:
    evolved = PromptOptimizer(bundle, "mood", SETTINGS, threads=1).evolve(learnable, tmp_path / "search")
    assert evolved.report.found
    name = evolved.report.found[0].name
    better = evolved.make_bundle(tmp_path / "better.bundle")
    assert [path.name for path in better.task_files()] == ["echo.yaml", "mood.yaml"]
    graph = bundle.engine("ort").graph
    assert os.path.samefile(bundle.path(graph), better.path(graph))
    mood = load_task(better.task_files()[1])
    assert (str(mood.version), mood.variant(name).made_by) == ("1.5.0", evolved.task.variant(name).made_by)
    with Runtime.open(bundle, threads=1, config=RuntimeConfig(seed=1, context_length=1024)) as runtime:
        assert runtime.swap(tmp_path / "better.bundle") == Swapped(2)
        reply = runtime.run("mood", {"text": "It was day 3."}, variant=name)
        assert (reply.variant, reply.generation) == (name, 2)
        assert reply.label in ("good", "bad")
        assert runtime.run("mood", {"text": "x"}, variant="plain").variant == "plain"


def test_a_reply_is_what_the_search_measured(bundle: Bundle, learnable: Path, tmp_path: Path) -> None:
    settings = EvolveSettings(budget=500, children=4, seed=1, keep=1)
    evolved = PromptOptimizer(bundle, "mood", settings, threads=1).evolve(learnable)
    best = evolved.report.found[0]
    evolved.make_bundle(tmp_path / "better.bundle")
    rows = [line.split("\t") for line in learnable.read_text().splitlines()[1:]]
    with Runtime.open(tmp_path / "better.bundle", threads=1, config=RuntimeConfig(seed=1, context_length=1024)) as rt:
        right = [rt.run("mood", {"text": text}, variant=best.name).label == expect for text, expect in rows]
    # Of the 60: those that it was chosen by, those that it was judged by, and 12 that it was written from.
    assert best.test is not None
    known = 30 * best.validation.value.estimate + 18 * best.test.value.estimate
    assert known - 1e-9 <= sum(right) <= known + 12 + 1e-9


def test_unknown_tasks_and_taken_paths_are_refused(bundle: Bundle, labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownTask, match="mood"):
        PromptOptimizer(bundle, "moods")
    with pytest.raises(EvolveError, match="no metric"):
        PromptOptimizer(bundle, "mood", EvolveSettings(metric="contains"))
    evolved = PromptOptimizer(bundle, "mood", SETTINGS, threads=1).evolve(labelled)
    with pytest.raises(ExportError):
        evolved.make_bundle(bundle.root)


def test_report_and_picture_are_written(bundle: Bundle, labelled: Path, tmp_path: Path) -> None:
    evolved = PromptOptimizer(bundle, "mood", SETTINGS, threads=1).evolve(labelled)
    write_report(evolved.report, tmp_path / "out")
    assert "## What each operator contributed" in (tmp_path / "out" / "report.md").read_text()
    pytest.importorskip("matplotlib")
    from edge_autoglm.evolve.plot import plot_report

    require_matplotlib()
    plot_report(evolved.report, tmp_path / "search.png")
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
