"""What holds for every operator, and what each of them does."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from edge_autoglm.prompts import Task, label_texts, load_task, render, static_prefix
from edge_autoglm.prompts.rewrite import OPERATORS, Draft, Material, fingerprint, seeds
from edge_autoglm.prompts.rewrite.operators.shots import usable
from edge_autoglm.prompts.task import GoldenQuestion, Variant
from edge_autoglm.prompts.writing import write_task
from tests.prompts.rewrite.drafts import (
    HOSTILE,
    Chat,
    material,
    pairs,
    proposals,
    question,
    seed,
    sentiment,
    wander,
)

TASKS = [sentiment(), question(), pairs()]
KINDS = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
ALL = pytest.mark.parametrize("operator", OPERATORS)


@KINDS
@pytest.mark.parametrize("language", ["en", "zh"])
def test_drafts_of_hostile_examples_are_sound_and_survive_a_task_file(
    task: Task, language: str, tmp_path: Path, chat: Chat
) -> None:
    given = replace(material(task, HOSTILE), language=language)  # type: ignore[arg-type]
    drafts = {draft.variant.name: draft for draft in wander(given, 3) if draft.variant.made_by}
    variants = tuple(draft.variant for draft in drafts.values())
    assert len(variants) > 30
    whole = replace(task, variants=(*task.variants, *variants), file="drafts.yaml")
    write_task(whole, tmp_path / "drafts.yaml")
    read = load_task(tmp_path / "drafts.yaml")
    assert read.fingerprint == whole.fingerprint
    for name, draft in drafts.items():
        prompt = render(read, read.variant(name), dict.fromkeys(task.inputs, "{{ labels }} {"), chat)
        assert prompt.count("{{ labels }} {") == len(task.inputs)
        for shot in draft.form.shots if draft.form else ():
            assert all(text in prompt or text.strip() in prompt for _, text in shot.inputs)
        texts = label_texts(read, read.variant(name), prompt)
        assert len({text.strip() for text in texts.values()}) == len(task.labels)


@ALL
@KINDS
def test_proposals_depend_on_nothing_but_the_generator(operator: str, task: Task) -> None:
    given = material(task)
    draft = wander(given, 6, steps=3)[5]
    first, second = (proposals(operator, draft, given, 5) for _ in range(2))
    assert first == second
    assert len({each.key for each in first} | {draft.key}) == len(first) + 1


@ALL
def test_how_many_proposals_are_read_does_not_matter_to_what_comes_later(operator: str) -> None:
    given = material(sentiment())
    draft = seed(given.task, "review", given)
    after = []
    for read in (0, 1, 100):
        rng = random.Random(9)
        found = OPERATORS[operator].proposals(draft, given, rng)
        for _ in range(read):
            next(found, None)
        after.append(rng.random())
    assert len(set(after)) == 1


@ALL
@KINDS
def test_every_proposal_goes_on_record_one_step_after_its_parent(operator: str, task: Task) -> None:
    given = material(task)
    for draft in seeds(task, given)[1:3]:
        for each in proposals(operator, draft, given)[:5]:
            assert each.steps[:-1] == draft.steps
            assert each.steps[-1].operator == operator
            assert each.variant.made_by == tuple(map(str, each.steps))
            assert each.variant.name == f"rw-{fingerprint(each.variant)[:8]}"


@KINDS
def test_every_operator_that_suits_the_kind_of_task_proposes_something(task: Task) -> None:
    given = material(task)
    drafts = wander(given, 1)
    rng = random.Random(1)
    idle = {
        name
        for name, operator in OPERATORS.items()
        if not any(next(operator.proposals(draft, given, rng), None) for draft in drafts)
    }
    by_kind = {"classify": {"least_to_most", "decoding"}, "generate": {"label_words", "calibrate"}}
    assert idle == by_kind[task.kind]


def test_seeds_are_the_variants_as_they_are_and_roots_that_differ_from_them() -> None:
    task = sentiment()
    found = seeds(task, material(task))
    assert tuple(draft.variant for draft in found[:2]) == task.variants
    assert str(found[1].steps[0]) == "seed: hand-written review"
    assert len({draft.key for draft in found}) == len(found)
    assert len(found) > 6
    assert all(draft.form is not None for draft in found)


def test_a_variant_that_was_made_by_steps_goes_on_from_them() -> None:
    made = Variant(
        "made", prompt="Text: {{ text }}\nMood:", made_by=("seed: hand-written x", "cue: the answer is Mood")
    )
    draft = seed(sentiment(made), "made")
    assert tuple(map(str, draft.steps)) == made.made_by


def test_a_variant_without_a_form_can_be_calibrated_and_decoded_otherwise() -> None:
    odd = Variant("odd", prompt="{% if text %}Review: {{ text }}{% endif %}\nSentiment:")
    given = material(sentiment(odd))
    draft = seed(given.task, "odd", given)
    assert draft.form is None
    assert {name for name in OPERATORS if proposals(name, draft, given)} == {"calibrate"}
    given = material(question(replace(odd, name="odd")))
    assert {name for name in OPERATORS if proposals(name, seed(given.task, "odd", given), given)} == {"decoding"}


def test_separators_hold_for_examples_and_request_alike(chat: Chat) -> None:
    given = material(sentiment())
    shown = proposals("shots", seed(given.task, "review", given), given)[0]
    for draft in proposals("separators", shown, given):
        if "<{name}>{value}</{name}>" in draft.steps[-1].detail:
            prompt = render(given.task, draft.variant, {"text": "Now."}, chat)
            assert prompt.endswith("<Review>Now.</Review>\n<Sentiment>")
            assert "</Sentiment>\n\n<Review>" in prompt
            assert label_texts(given.task, draft.variant, prompt) == {"positive": "positive", "negative": "negative"}
            return
    pytest.fail("no such separator")


def test_yes_and_no_ask_about_the_first_label() -> None:
    given = material(sentiment())
    drafts = proposals("label_words", seed(given.task, "review", given), given)
    draft = next(each for each in drafts if each.variant.verbalizer == {"positive": " yes", "negative": " no"})
    assert "positive" in str(draft.variant.prompt)
    asked = proposals("instruction", draft, given)
    assert asked
    assert all("positive" in str(each.variant.prompt) for each in asked)


def test_letters_are_always_explained() -> None:
    given = material(pairs())
    drafts = proposals("label_words", seed(given.task, "named", given), given)
    draft = next(each for each in drafts if " A" in each.variant.verbalizer.values())
    for each in (draft, *proposals("instruction", draft, given), *proposals("question", draft, given)):
        assert "A. fits\nB. partly\nC. does not fit" in str(each.variant.prompt)


def test_calibration_is_asked_for_and_asked_for_again_when_the_prompt_changes() -> None:
    given = material(sentiment())
    drafts = proposals("calibrate", seed(given.task, "review", given), given)
    assert {draft.wants for draft in drafts} == {"contextual", "centred"}
    priors = {"positive": -0.5, "negative": -1.0}
    settled = drafts[0].settled(priors)
    assert (settled.wants, settled.variant.calibration) == (None, priors)
    assert settled.key != drafts[0].key
    rewritten = proposals("cue", settled, given)[0]
    assert rewritten.wants == drafts[0].wants
    assert not rewritten.variant.calibration


def test_instruction_and_examples_stand_before_the_request(chat: Chat) -> None:
    for task in TASKS:
        given = material(task)
        for draft in wander(given, 2, steps=5):
            if draft.form is None or not draft.form.shots:
                continue
            prefix = static_prefix(task, draft.variant, chat)
            asked = render(task, draft.variant, dict.fromkeys(task.inputs, "zzz"), chat)
            assert prefix.rstrip() == asked[: asked.index("zzz")].rstrip() or len(prefix) >= asked.index("zzz") - 1


@pytest.mark.parametrize("task", [sentiment(), question()], ids=lambda task: task.name)
def test_examples_come_from_the_material_alone(task: Task) -> None:
    given = material(task)
    known = {(example.inputs["text"], example.expect) for example in given.examples}
    for draft in wander(given, 4):
        for shot in draft.form.shots if draft.form else ():
            assert (dict(shot.inputs)["text"], shot.answer) in known
    none = Material(task)
    assert not proposals("shots", seed(task, "plain", none), none)


@pytest.mark.parametrize(
    "text",
    [
        "<|im_end|>\n<|im_start|>system",
        "a</s>b",
        "[INST] x",
        "[gMASK]<sop>",
        "</think>",
        "nul \0",
        "half \ud800",
        "  ",
        "x" * 700,
    ],
)
def test_what_could_forge_a_turn_or_does_not_fit_is_no_example(text: str) -> None:
    given = material(sentiment(), [text])
    assert usable(given) == list(range(1, len(given.examples)))


def test_golden_questions_are_no_examples() -> None:
    task = replace(sentiment(), golden=(GoldenQuestion({"text": "example 3"}, ("negative",)),))
    assert [example.inputs["text"] for example in material(task).examples].index("example 3") not in usable(
        material(task)
    )


def test_balanced_examples_have_every_label_as_often() -> None:
    given = material(pairs())
    drafts = proposals("shots", seed(given.task, "named", given), given)
    balanced = [draft for draft in drafts if "balanced" in draft.steps[-1].detail]
    assert balanced
    for draft in balanced:
        assert draft.form is not None
        answers = [shot.answer for shot in draft.form.shots]
        assert len({answers.count(label) for label in given.task.labels}) == 1


def test_orders_of_examples() -> None:
    given = material(sentiment())
    draft = next(
        each
        for each in proposals("shots", seed(given.task, "review", given), given)
        if len(each.form.shots) == 8  # type: ignore[union-attr]
    )
    answers: dict[str, list[str]] = {}
    for each in proposals("shot_order", draft, given):
        assert each.form is not None
        assert draft.form is not None
        assert sorted(shot.inputs for shot in each.form.shots) == sorted(shot.inputs for shot in draft.form.shots)
        answers[each.steps[-1].detail] = [shot.answer[0] for shot in each.form.shots]
    assert answers["in the order of the labels"] == ["p"] * 4 + ["n"] * 4
    assert answers["the labels, the last first in turn"] == ["n", "p"] * 4


def test_decoding_keeps_sampled_answers_the_same_for_the_same_request() -> None:
    given = material(question())
    settings = [draft.variant.sampling for draft in proposals("decoding", seed(given.task, "plain", given), given)]
    assert any(each.temperature > 0 for each in settings)
    assert all(each.greedy or each.seed is not None for each in settings)
    assert {each.max_new_tokens for each in settings} == {20, 40, 80}


def test_one_draft_is_found_from_two_sides() -> None:
    given = material(sentiment())
    review = seed(given.task, "review", given)

    def called(name: str, parent: Draft) -> Draft:
        return next(each for each in proposals("field_names", parent, given) if f"called {name}" in str(each.steps[-1]))

    tweet = called("Tweet", review)
    assert called("Tweet", called("Post", review)).key == tweet.key
    assert tweet.key != review.key
    assert fingerprint(called("Review", tweet).variant) == fingerprint(review.variant)


def test_a_generated_answer_ends_where_the_next_example_would_begin() -> None:
    given = material(question())
    [asked] = [
        each for each in proposals("separators", seed(given.task, "asked", given), given) if "</" in str(each.steps[-1])
    ]
    assert asked.variant.sampling.stop == ("\nQ:", "\n\n", "</A>", "\n<Q>")
    [chat] = [each for each in proposals("style", asked, given) if each.variant.answer == "<A>"]
    assert chat.variant.sampling.stop[-1] == "</A>"
