from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from edge_autoglm.errors import RequestError
from edge_autoglm.learn.ftrl import FTRLProximal
from edge_autoglm.learn.models.ftrl import FTRLModel
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.prompts import Catalogue, Variant
from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.swap.checks.answers import Probe, fault_of
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.health import HealthPolicy, HealthReport, check
from edge_autoglm.values import SamplingParams
from tests.checkpoints import CHAT_TEMPLATE, VOCAB_SIZE
from tests.runtime.tokenizers_for_tests import byte_fallback_json
from tests.swap.world import (
    EOS,
    TOKENIZER,
    HookedEngine,
    SteppedClock,
    TokenCounter,
    asking,
    first_generation,
    lookalike,
    make_catalogue,
    make_model,
    make_policy,
    next_generation,
    not_a_number,
    script,
    scripted,
    text_task,
)
from tests.waiting import GatedEngine, wait_until

UNTIMED = HealthPolicy(max_latency_ratio=None)
"""For scripted engines, whose passes are so short that the scheduler decides how long they take."""


NO_FILMS = "{% if 'film' in text %}{{ raise_exception('no films') }}{% endif %}Say: {{ text }}"


def checked(active: Generation, engine: Engine, policy: HealthPolicy = UNTIMED) -> HealthReport:
    return check(next_generation(active, model=make_model(engine)), active, policy)


@pytest.fixture(scope="module")
def active() -> Generation:
    return first_generation()


def test_a_model_that_speaks_like_the_active_one_passes(active: Generation) -> None:
    report = checked(active, lookalike())
    assert report.passed, report.reasons
    assert report.figures == {
        "answers_asked": 8.0,
        "answers_carried": 0.0,
        "answers_excused": 0.0,
        "answers_tolerated": 0.0,
        "mean_kl": 0.0,
        "kl_bound": 0.0,
        "unchanged_p": 1.0,
        "samples": 200.0,
    }


def test_a_new_policy_is_checked_without_asking_anything_twice() -> None:
    counter = TokenCounter()
    active = first_generation(make_model(HookedEngine(scripted(), counter)))
    candidate = next_generation(active, policy=make_policy(seed=1))
    counter.tokens = 0
    report = check(candidate, active, HealthPolicy())
    assert report.passed, report.reasons
    assert report.figures == {
        "answers_asked": 0.0,
        "answers_carried": 8.0,
        "answers_excused": 0.0,
        "answers_tolerated": 0.0,
        "shared_model": 1.0,
        "mean_kl": 0.0,
    }
    assert counter.tokens == 0


def test_a_policy_whose_numbers_are_not_finite_is_found(active: Generation) -> None:
    learner = FTRLProximal(bits=4)
    learner.load(np.array([3, 5]), np.array([math.nan, math.inf]), np.ones(2))
    policy = VariantPolicy(FTRLModel(learner)).freeze()
    report = check(next_generation(active, policy=policy), active, UNTIMED)
    assert report.reasons == ("policy: 2 of its numbers are not finite",)


def test_a_new_prompt_set_is_asked_what_is_new_in_it(active: Generation) -> None:
    catalogue = make_catalogue(asking("asked", "Say how it was."), asking("new", "How was it?"))
    report = check(next_generation(active, catalogue=catalogue), active, UNTIMED)
    assert report.passed, report.reasons
    assert (report.figures["answers_asked"], report.figures["answers_carried"]) == (2.0, 8.0)


def test_logits_that_are_no_numbers_are_found_by_both_kinds_of_task(active: Generation) -> None:
    report = checked(active, HookedEngine(lookalike(), not_a_number))
    assert len(report.reasons) == 8
    assert "task reply, variant asked, probe 1: the engine answered with a logit of nan" in report.reasons[2]
    assert "task mood, variant chat, probe 2: the engine answered with a logit of nan" in report.reasons[7]


def test_a_model_that_breaks_down_after_the_prompt_is_found(active: Generation) -> None:
    def breaks_down(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
        return not_a_number(chunks, logits) if all(len(chunk.tokens) == 1 for chunk in chunks) else logits

    report = checked(active, HookedEngine(lookalike(), breaks_down))
    assert report.reasons
    assert all("task reply" in reason and "logit of nan" in reason for reason in report.reasons)


def test_a_model_that_loops_is_found(active: Generation) -> None:
    letter = TOKENIZER.encode("a")[0]
    looping = ScriptedEngine(VOCAB_SIZE, script={(): letter})
    report = checked(active, looping)
    assert report.reasons[0].startswith(
        "task reply, variant plain, probe 1: answers 'aaaaaaaaaaaaaaaa', the same token"
    )
    assert len(report.reasons) == 4


def test_emphasis_that_ends_is_no_loop(active: Generation) -> None:
    report = checked(active, lookalike({"Answer:": "so so so so"}))
    assert report.passed, report.reasons


def spoken_by(steps: dict[tuple[int, ...], int], capacity: int = 512) -> str | None:
    """What is wrong with an answer in a vocabulary that has a token "oo"."""
    tokenizer = Tokenizer(byte_fallback_json())
    model = make_model(ScriptedEngine(tokenizer.vocab_size, capacity=capacity, script=steps), tokenizer)
    task = text_task()
    fault = fault_of(model, Probe(task, task.variants[0], 1, {"text": "It rained."}), 8)
    return None if fault is None else fault.cause


def test_a_repetition_that_ends_is_no_loop() -> None:
    oo = Tokenizer(byte_fallback_json()).token_id("oo")
    assert spoken_by({(oo,) * 6: EOS, (): oo}) is None
    assert spoken_by({(): oo}) == "answers 'oooooooooooooooo', the same token over and over"


def test_an_answer_that_a_full_slot_cuts_short_is_no_loop() -> None:
    oo = Tokenizer(byte_fallback_json()).token_id("oo")
    length = len(Tokenizer(byte_fallback_json()).encode("It rained."))
    assert spoken_by({(): oo}, capacity=length + 3) is None
    assert spoken_by({(): oo}, capacity=length + 4) is not None


def test_a_model_that_answers_nothing_is_found(active: Generation) -> None:
    report = checked(active, ScriptedEngine(VOCAB_SIZE, script={(): EOS}))
    assert report.reasons[0] == "task reply, variant plain, probe 1: answers nothing (ended by eos)"


def test_one_weak_answer_among_many_is_another_models_due(active: Generation) -> None:
    catalogue = make_catalogue(asking("asked", "Say how it was."), asking("other", "How was it?", "Reply:"))
    active = first_generation(make_model(scripted({"Answer:": "fine", "Reply:": "well"})), catalogue)
    ends_at_once = tuple(TOKENIZER.encode("What a film!\nReply:"))
    engine = ScriptedEngine(
        VOCAB_SIZE, slots=2, script={**script({"Answer:": "fine", "Reply:": "well"}), ends_at_once: EOS}
    )
    candidate = next_generation(active, model=make_model(engine))
    report = check(candidate, active, UNTIMED)
    assert report.passed, report.reasons
    assert report.figures["answers_tolerated"] == 1.0
    [reason] = check(candidate, active, HealthPolicy(max_latency_ratio=None, max_weak=0.0)).reasons
    assert reason == "task reply, variant other, probe 2: answers nothing (ended by eos)"


def test_a_template_that_refuses_a_probe_is_named(active: Generation) -> None:
    picky = Variant(
        "picky", prompt="{% if 'film' in text %}{{ raise_exception('no films') }}{% endif %}Say: {{ text }}"
    )
    report = check(next_generation(active, catalogue=make_catalogue(picky)), active, UNTIMED)
    assert len(report.reasons) == 1
    assert report.reasons[0].startswith("task reply, variant picky, probe 2: ")
    assert "no films" in report.reasons[0]


def test_a_fault_that_the_active_generation_has_as_well_is_excused() -> None:
    picky = Variant(
        "picky", prompt="{% if 'film' in text %}{{ raise_exception('no films') }}{% endif %}Say: {{ text }}"
    )
    active = first_generation(catalogue=make_catalogue(picky))
    report = checked(active, lookalike())
    assert report.passed, report.reasons
    assert report.figures["answers_excused"] == 1.0


def test_a_model_that_answers_broken_characters_is_found(active: Generation) -> None:
    [half] = TOKENIZER.encode("é")[:1]
    report = checked(active, ScriptedEngine(VOCAB_SIZE, script={(): half}))
    assert report.reasons[0] == "task reply, variant plain, probe 1: answers bytes that are no characters"


def test_another_vocabulary_needs_leave(active: Generation) -> None:
    reasons = checked(active, ScriptedEngine(VOCAB_SIZE + 1)).reasons
    assert any("tokenizer or vocabulary are not those of the active generation" in reason for reason in reasons)


def test_another_tokenizer_needs_leave(active: Generation) -> None:
    stranger = Tokenizer(byte_fallback_json())
    a, b = stranger.token_id("a"), stranger.token_id("b")
    engine = ScriptedEngine(VOCAB_SIZE, script={(): a, (a,): b, (a, b): EOS})
    chat = ChatTemplate("{% for turn in messages %}{{ turn.content }}</s>{% endfor %}")
    candidate = next_generation(active, model=LanguageModel(engine, stranger, chat, [EOS], None))
    [reason] = check(candidate, active, UNTIMED).reasons
    assert "tokenizer or vocabulary are not those of the active generation" in reason
    report = check(candidate, active, HealthPolicy(max_kl=None, max_latency_ratio=None))
    assert report.passed, report.reasons
    assert "mean_kl" not in report.figures


def test_a_label_that_cannot_be_said_is_found(active: Generation) -> None:
    def dumb(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
        for rows in logits:
            rows[:, TOKENIZER.encode(" bad")] = -math.inf
        return logits

    report = checked(active, HookedEngine(lookalike(), dumb))
    assert "task mood, variant plain, probe 1: label bad has log-probability -inf" in report.reasons


def test_a_model_that_speaks_otherwise_is_found(active: Generation) -> None:
    [reason] = checked(active, scripted(seed=5)).reasons
    assert "output distribution: mean KL" in reason
    assert "above max_kl 0.3" in reason
    lenient = HealthPolicy(max_kl=50.0, max_latency_ratio=None)
    assert checked(active, scripted(seed=5), lenient).passed


@pytest.mark.parametrize(("seconds", "passes"), [([0.24], True), ([0.26], False)])
def test_a_slow_model_is_found(seconds: list[float], passes: bool) -> None:
    clock = SteppedClock()
    active = first_generation(make_model(clock.engine(scripted(), [0.1])))
    candidate = next_generation(active, model=make_model(clock.engine(lookalike(), seconds)))
    report = check(candidate, active, HealthPolicy(), clock)
    assert report.passed is passes, report.reasons
    if not passes:
        assert report.reasons == (
            "latency: a prefill takes 2.6 and a decode step 2.6 times as long as the active generation's, "
            "above max_latency_ratio 2.5",
        )


def test_a_check_leaves_all_slots_of_the_active_generation_to_the_requests() -> None:
    engine = GatedEngine(VOCAB_SIZE, slots=2, script=script({"Answer:": "fine"}))
    engine.open_gate()
    active = first_generation(make_model(engine))
    candidate = next_generation(active, model=make_model(lookalike()))
    engine.hold()
    streams = [active.model.stream([5, 6, 7], SamplingParams(max_new_tokens=3)) for _ in range(2)]
    wait_until(lambda: active.model.scheduler.busy == 2)
    report = check(candidate, active, UNTIMED)
    assert report.passed, report.reasons
    assert active.model.scheduler.busy == 2, "no pass of the active generation was needed"
    engine.open_gate()
    for stream in streams:
        assert stream.read()


def test_catalogues_without_probes_are_compared_on_common_texts() -> None:
    active = first_generation(catalogue=Catalogue([]))
    assert checked(active, lookalike()).passed
    assert not checked(active, scripted(seed=5)).passed


@pytest.mark.parametrize(
    "setting",
    [
        {"max_kl": -0.1},
        {"max_kl": math.nan},
        {"max_latency_ratio": 0.0},
        {"max_latency_ratio": math.nan},
        {"max_probes": 0},
        {"new_tokens": 3},
        {"latency_rounds": 0},
        {"alpha": 0.0},
        {"alpha": math.nan},
        {"samples": 19},
        {"max_golden_drop": 1.1},
        {"max_golden_drop": math.nan},
        {"golden_tokens": 0},
        {"max_golden": 0},
        {"max_weak": -0.1},
        {"max_weak": math.nan},
    ],
)
def test_limits_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(RequestError, match=next(iter(setting))):
        HealthPolicy(**setting)  # type: ignore[arg-type]


def leaning(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
    """A little more probability for every other token: a KL of 0.02."""
    for rows in logits:
        rows[:, ::2] += 0.4
    return logits


def test_a_model_that_claims_the_weights_of_the_active_one_must_not_differ_at_all(active: Generation) -> None:
    pretender = make_model(HookedEngine(scripted(), leaning))
    assert pretender.fingerprint == active.model.fingerprint
    policy = HealthPolicy(max_latency_ratio=None, samples=1000)
    [reason] = check(next_generation(active, model=pretender), active, policy).reasons
    assert reason.startswith(
        "output distribution: it claims the weights of the active generation, but 1000 next tokens"
    )
    assert check(next_generation(active, model=make_model()), active, policy).passed


def test_how_much_another_model_may_differ_is_up_to_the_policy(active: Generation) -> None:
    other = HookedEngine(lookalike(), leaning)
    assert checked(active, other, HealthPolicy(max_latency_ratio=None, samples=1000)).passed
    exact = HealthPolicy(max_latency_ratio=None, samples=1000, max_kl=0.0)
    [reason] = checked(active, other, exact).reasons
    assert reason.startswith("output distribution: max_kl is 0, but 1000 next tokens tell them apart")
    assert checked(active, lookalike(), exact).passed


def test_the_bound_and_not_the_estimate_has_to_be_below_the_limit(active: Generation) -> None:
    other = HookedEngine(lookalike(), leaning)
    figures = checked(active, other).figures
    assert 0 < figures["mean_kl"] < figures["kl_bound"]
    between = (figures["mean_kl"] + figures["kl_bound"]) / 2
    assert not checked(active, other, HealthPolicy(max_latency_ratio=None, max_kl=between)).passed
    above = figures["kl_bound"] * 1.001
    assert checked(active, other, HealthPolicy(max_latency_ratio=None, max_kl=above)).passed


def test_another_chat_template_must_not_change_what_chats_are_answered(active: Generation) -> None:
    source = CHAT_TEMPLATE.replace("<|im_start|>assistant\\n", "<|im_start|>user: the movie is ")
    shouting = LanguageModel(lookalike(), TOKENIZER, ChatTemplate(source), [EOS], None)
    report = check(next_generation(active, model=shouting), active, UNTIMED)
    assert report.figures["mean_kl"] == 0.0
    assert report.figures["chat_kl"] > 0.3
    [reason] = report.reasons
    assert reason.startswith("chat template: answers to chats differ by a mean KL of")
    same_words = LanguageModel(lookalike(), TOKENIZER, ChatTemplate(CHAT_TEMPLATE + "{# a comment #}"), [EOS], None)
    assert check(next_generation(active, model=same_words), active, UNTIMED).passed
