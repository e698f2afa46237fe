"""A whole search on a scripted model: it finds what there is to find, keeps its budget, and repeats itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve import EvolveSettings, Shares
from edge_autoglm.evolve.metrics import metric
from edge_autoglm.evolve.optimizer import evolve_task
from edge_autoglm.evolve.page import page
from edge_autoglm.evolve.prompt_set import write_prompt_set
from edge_autoglm.evolve.report import EvolveReport
from edge_autoglm.evolve.scorer import Scorer
from edge_autoglm.evolve.settings import STRATEGIES
from edge_autoglm.evolve.splits import split
from edge_autoglm.evolve.store import SCORES, ScoreStore
from edge_autoglm.prompts import Task, load_task
from edge_autoglm.prompts.rewrite import Labelled
from edge_autoglm.runtime.model import LanguageModel
from tests.evolve.world import knowing_model, mood_examples, mood_task
from tests.swap.world import make_model, scripted, text_task

EXAMPLES = mood_examples(40)
SMALL = EvolveSettings(budget=500, children=6, seed=2)


def _evolve(
    model: LanguageModel,
    task: Task,
    settings: EvolveSettings = SMALL,
    folder: Path | None = None,
    examples: list[Labelled] = EXAMPLES,
) -> tuple[Task, EvolveReport]:
    splits = split(examples, settings.shares, settings.seed, task.labels)
    with ScoreStore(folder, model.fingerprint, task.name, task.labels) as store:
        scorer = Scorer(model, task, store, settings.budget)
        return evolve_task(model, task, scorer, splits, settings, metric(settings.metric, task.kind))


@pytest.fixture
def model() -> LanguageModel:
    return knowing_model(EXAMPLES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_finds_the_prompt_that_works(model: LanguageModel, strategy: str) -> None:
    settings = EvolveSettings(strategy=strategy, budget=500, children=6, seed=2)  # type: ignore[arg-type]
    task, report = _evolve(model, mood_task(), settings)
    best = report.variants[0]
    assert (best.origin, best.validation.value.estimate) == ("evolved", 1.0)
    assert best.test is not None
    assert best.test.value.estimate == 1.0
    assert best.test.over_plain is not None
    assert best.test.over_plain.estimate > 0
    assert report.calls["total"] <= 500
    assert [variant.name for variant in task.variants[:2]] == ["plain", "ask"]
    assert task.variant(best.name).made_by == best.made_by != ()
    assert str(task.version) == "0.1.0"


def test_the_result_is_a_sound_task_file(model: LanguageModel, tmp_path: Path) -> None:
    task, _ = _evolve(model, mood_task())
    assert load_task(write_prompt_set(task, tmp_path)).fingerprint == task.fingerprint


def test_the_same_settings_give_the_same_report(model: LanguageModel) -> None:
    one, same = (_evolve(model, mood_task())[1].to_json() for _ in range(2))
    assert one == same


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_search_that_was_killed_comes_to_the_same_result(model: LanguageModel, tmp_path: Path, share: float) -> None:
    whole, report = _evolve(model, mood_task(), folder=tmp_path)
    content = (tmp_path / SCORES).read_bytes()
    (tmp_path / SCORES).write_bytes(content[: int(len(content) * share)])
    fresh = knowing_model(EXAMPLES)
    again, repeated = _evolve(fresh, mood_task(), folder=tmp_path)
    assert again == whole
    assert json.dumps(repeated.to_json(), default=str) == json.dumps(report.to_json(), default=str)
    assert sorted((tmp_path / SCORES).read_bytes().split(b"\n")) == sorted(content.split(b"\n"))


def test_prompts_are_written_from_the_training_part_alone(model: LanguageModel) -> None:
    settings = EvolveSettings(budget=900, seed=2)
    splits = split(EXAMPLES, settings.shares, settings.seed, ("good", "bad"))
    hidden = [each.inputs["text"] for each in (*splits.validation, *splits.test)]
    asked: list[str] = []
    real = model.submit_score

    def listening(tokens, labels, urgency=None):  # type: ignore[no-untyped-def]
        asked.append(model.tokenizer.decode(list(tokens)))
        return real(tokens, labels, urgency)

    model.submit_score = listening  # type: ignore[method-assign]
    _evolve(model, mood_task(), settings)
    assert any(sum(each.inputs["text"] in prompt for each in splits.train) > 1 for prompt in asked)
    assert all(sum(text in prompt for text in hidden) <= 1 for prompt in asked)
    tests = [any(each.inputs["text"] in prompt for each in splits.test) for prompt in asked]
    assert not any(tests[: tests.index(True)])
    assert all(tests[tests.index(True) :])


def test_where_nothing_is_better_the_task_stays_as_it_is() -> None:
    task = mood_task()
    rewritten, _ = _evolve(knowing_model(EXAMPLES), task)
    best = mood_task(rewritten.variants[-1])
    again, report = _evolve(knowing_model(EXAMPLES), best, EvolveSettings(budget=500, children=2, seed=2))
    if not report.found:
        assert again is best
        assert "stays as it is" in page(report)
    else:  # equally right, and surer
        assert report.found[0].validation.value.estimate == 1.0


def test_texts_are_evolved_too() -> None:
    model = make_model(scripted({"Answer:": " fine", "\n": " no"}, slots=4))
    examples = [Labelled({"text": f"Question {number}"}, "fine") for number in range(30)]
    _, report = _evolve(model, text_task(), EvolveSettings(budget=300, children=4, seed=1), examples=examples)
    assert report.metric == "token_f1"
    assert report.calls["total"] <= 300
    assert "# reply" in page(report)


def test_a_budget_that_cannot_pay_for_the_end_is_refused(model: LanguageModel) -> None:
    with pytest.raises(EvolveError, match=r"a budget of 60 prompts is too small.*Give at least"):
        _evolve(model, mood_task(), EvolveSettings(budget=60))


def test_without_a_test_part_the_page_says_so(model: LanguageModel) -> None:
    _, report = _evolve(model, mood_task(), EvolveSettings(budget=400, children=4, shares=Shares(0.3, 0.7, 0.0)))
    assert report.variants[0].test is None
    assert "There are no test examples" in page(report)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_small_budget_is_kept_or_refused(model: LanguageModel, strategy: str) -> None:
    outcomes = set()
    for budget in range(100, 340, 40):
        settings = EvolveSettings(strategy=strategy, budget=budget, children=4, seed=1)  # type: ignore[arg-type]
        try:
            _, report = _evolve(model, mood_task(), settings)
        except EvolveError:
            outcomes.add("refused")
        else:
            assert report.calls["total"] <= budget
            outcomes.add("kept")
    assert outcomes == {"refused", "kept"}


@pytest.mark.parametrize("wrong", [{"strategy": "hope"}, {"budget": 0}, {"children": 0}])
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(EvolveError):
        EvolveSettings(**wrong)  # type: ignore[arg-type]
