from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.errors import RequestError
from edge_autoglm.learn.ftrl import FTRLProximal
from edge_autoglm.learn.models.ftrl import FTRLModel
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.prompts import Catalogue, Variant
from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.swap.answers import Probe, fault_of
from edge_autoglm.swap.comparison import latency_ratio, mean_kl
from edge_autoglm.swap.generation import Generation
from edge_autoglm.swap.health import HealthPolicy, HealthReport, check
from edge_autoglm.values import SamplingParams
from tests.checkpoints import VOCAB_SIZE
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
        "mean_kl": 0.0,
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
        "shared_model": 1.0,
        "mean_kl": 0.0,
    }
    # One pass, to see that the new slots work.
    assert counter.tokens == len(TOKENIZER.encode("It rained all day."))


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
    assert report.reasons[0].startswith("task reply, variant plain, probe 1: answers 'aaaaaaaa', the same token")
    assert len(report.reasons) == 4


def test_emphasis_that_ends_is_no_loop(active: Generation) -> None:
    report = checked(active, lookalike({"Answer:": "so so so so"}))
    assert report.passed, report.reasons


def spoken_by(steps: dict[tuple[int, ...], int], capacity: int = 512) -> str | None:
    """What is wrong with an answer in a vocabulary that has a token "oo"."""
    tokenizer = Tokenizer(byte_fallback_json())
    model = make_model(ScriptedEngine(tokenizer.vocab_size, capacity=capacity, script=steps), tokenizer)
    task = text_task()
    return fault_of(model, Probe(task, task.variants[0], 1, {"text": "It rained."}), 8)


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
    [reason] = checked(active, ScriptedEngine(VOCAB_SIZE + 1)).reasons
    assert "tokenizer or vocabulary are not those of the active generation" in reason


def test_another_tokenizer_needs_leave(active: Generation) -> None:
    stranger = Tokenizer(byte_fallback_json())
    a, b = stranger.token_id("a"), stranger.token_id("b")
    engine = ScriptedEngine(VOCAB_SIZE, script={(): a, (a,): b})
    candidate = next_generation(active, model=make_model(engine, stranger))
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
    assert "above max_kl 0.5" in reason
    lenient = HealthPolicy(max_kl=50.0, max_latency_ratio=None)
    assert checked(active, scripted(seed=5), lenient).passed


def test_mean_kl_is_the_divergence_from_the_active_distribution() -> None:
    one, other, texts = make_model(scripted(seed=1)), make_model(scripted(seed=2)), ["It rained", "What a film!"]

    def next_token(model_seed: int, text: str) -> npt.NDArray[np.float64]:
        [rows] = scripted(seed=model_seed).forward([Chunk(0, TOKENIZER.encode(text))])
        weights = np.exp(rows[-1].astype(np.float64))
        probabilities: npt.NDArray[np.float64] = weights / weights.sum()
        return probabilities

    pairs = [(next_token(1, text), next_token(2, text)) for text in texts]
    expected = np.mean([np.sum(p * np.log(p / q)) for p, q in pairs])
    assert mean_kl(one, other, texts) == pytest.approx(expected, rel=1e-12)
    assert mean_kl(other, one, texts) != pytest.approx(expected, rel=1e-3)


def test_tokens_that_only_the_candidate_rules_out_count_as_infinitely_unlike() -> None:
    def rules_out(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
        for rows in logits:
            rows[:, 7] = -math.inf
        return logits

    whole, cut = make_model(), make_model(HookedEngine(scripted(), rules_out))
    assert mean_kl(whole, cut, ["It rained"]) == math.inf
    assert 0 < mean_kl(cut, whole, ["It rained"]) < 0.1


@pytest.mark.parametrize(
    ("seconds", "passes"), [([0.29], True), ([0.31], False), ([0.1, 0.1, 0.1, 0.1, 0.1, 9.0], True)]
)
def test_latency_is_the_median_ratio_to_the_active_generation(seconds: list[float], passes: bool) -> None:
    clock = SteppedClock()
    active = first_generation(make_model(clock.engine(scripted(), [0.1])))
    candidate = next_generation(active, model=make_model(clock.engine(lookalike(), seconds)))
    report = check(candidate, active, HealthPolicy(), clock)
    assert report.passed is passes, report.reasons
    if not passes:
        assert report.reasons == ("latency: 3.1 times that of the active generation, above max_latency_ratio 3",)


def test_the_first_passes_which_allocate_are_not_counted() -> None:
    clock = SteppedClock()
    slow_at_first = clock.engine(scripted(), itertools.chain([9.0, 9.0], itertools.repeat(0.1)))
    engines = make_model(clock.engine(scripted(), itertools.repeat(0.1))), make_model(slow_at_first)
    assert latency_ratio(*engines, "It rained", 1, clock) == pytest.approx(1.0)


def test_neither_model_always_runs_first() -> None:
    order: list[str] = []

    def recording(name: str) -> LanguageModel:
        def record(chunks: Sequence[Chunk], logits: list[Logits]) -> list[Logits]:
            order.append(name)
            return logits

        return make_model(HookedEngine(scripted(), record))

    ticks = itertools.count()
    latency_ratio(recording("active"), recording("candidate"), "It rained", 4, lambda: float(next(ticks)))
    rounds = [tuple(order[begin : begin + 4 : 2]) for begin in range(4, len(order), 4)]
    assert sorted(rounds) == [("active", "candidate")] * 2 + [("candidate", "active")] * 2


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
    ],
)
def test_limits_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(RequestError, match=next(iter(setting))):
        HealthPolicy(**setting)  # type: ignore[arg-type]
