"""Whatever is cached, drafted or forced, the answer is the one that plain decoding gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.runtime.decoding.lookup import LookupDrafter
from edge_autoglm.runtime.decoding.sampling import Sampler
from edge_autoglm.runtime.decoding.step_cost import StepCost
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.requests.generate import Generation
from edge_autoglm.runtime.requests.output import GeneratedText, Output
from edge_autoglm.runtime.schedule.seat import Seat
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams
from tests.checkpoints import VOCAB_SIZE, tiny_tokenizer_json
from tests.runtime.requests.driving import Driven, drive, held_tokens

EOS = 2
TOKENIZER = Tokenizer(tiny_tokenizer_json())
PROMPT = TOKENIZER.encode("is this film good?")
ANSWER = TOKENIZER.encode(" good and great, the movie")


class PlannedDrafter:
    """Proposes what a test says, as far as there is room.

    Args:
        drafts: For each step, what to propose.
    """

    def __init__(self, drafts: Sequence[Sequence[int]]) -> None:
        self._drafts = list(drafts)
        self.rooms: list[int] = []
        self.pushed: list[int] = []

    def draft(self, room: int) -> list[int]:
        self.rooms.append(room)
        return list(self._drafts.pop(0))[:room] if self._drafts else []

    def push(self, token: int) -> None:
        self.pushed.append(token)


@dataclass
class Ran:
    """A generation that has ended."""

    answer: list[int]
    text: str
    pieces: list[str]
    output: Output
    asks: list[int]
    engine: ScriptedEngine
    held: list[int] = field(default_factory=list)


def scripted(answer: Sequence[int] = ANSWER, end: bool = True) -> ScriptedEngine:
    """Continues ``PROMPT`` by an answer, and then ends."""
    tokens = [*answer, *([EOS] if end else [])]
    script = {(*PROMPT, *answer[:n]): token for n, token in enumerate(tokens)}
    return ScriptedEngine(VOCAB_SIZE, slots=2, capacity=128, script=script)


def generate(
    engine: ScriptedEngine,
    kv: KVStore | None = None,
    drafter: PlannedDrafter | Callable[[Sequence[int]], LookupDrafter] | None = None,
    limit: int = 64,
    prompt: Sequence[int] = PROMPT,
    crowded: bool = False,
    **settings: Any,
) -> Ran:
    """Run one generation; ``settings`` are those of its ``Generation`` and of its sampling."""
    own = {
        name: settings.pop(name) for name in ("matcher", "keep_prompt", "keep_answer", "step_cost") if name in settings
    }
    params = SamplingParams(max_new_tokens=limit, **settings)
    output = Output(prompt_tokens=len(prompt))
    generation = Generation(
        kv=KVStore(engine.facts.fingerprint, 1 << 20) if kv is None else kv,
        tokens=prompt,
        sampler=Sampler(params, params.seed or 0, prompt),
        text=GeneratedText(TOKENIZER, params.stop),
        output=output,
        eos_token_ids={EOS},
        limit=limit,
        make_drafter=(lambda _: drafter) if isinstance(drafter, PlannedDrafter) else drafter,  # type: ignore[arg-type,return-value]
        **own,
    )
    driven: Driven[Output] = drive(generation.steps, engine, between=lambda seat, _: setattr(seat, "crowded", crowded))
    assert driven.result is output
    output.channel.end()
    pieces = list(output.channel._items)
    return Ran(generation._answer, "".join(pieces), pieces, output, driven.lengths, engine, list(held_tokens(engine)))


def test_the_answer_of_the_script_comes_token_by_token() -> None:
    ran = generate(scripted())
    assert ran.answer == [*ANSWER, EOS]
    assert ran.text == " good and great, the movie"
    assert ran.asks == [len(PROMPT), *[1] * len(ANSWER)]
    assert ran.held == [*PROMPT, *ANSWER]  # no pass behind the last token
    assert ran.output.finish_reason == "eos"
    assert ran.output.usage.new_tokens == len(ANSWER) + 1
    assert all(ran.pieces)


@pytest.mark.parametrize("limit", range(1, len(ANSWER) + 2))
def test_the_limit_ends_it(limit: int) -> None:
    ran = generate(scripted(), limit=limit)
    assert ran.answer == [*ANSWER, EOS][:limit]
    assert ran.output.finish_reason == ("eos" if limit > len(ANSWER) else "length")
    assert ran.asks == [len(PROMPT), *[1] * (limit - 1)]


RIGHT = [*ANSWER, EOS]


@pytest.mark.parametrize("length", range(1, 6))
@pytest.mark.parametrize("right", range(6))
@pytest.mark.parametrize("at", range(4))
def test_drafts_are_kept_as_far_as_they_are_right(length: int, right: int, at: int) -> None:
    """One draft, in the step that runs token ``at`` of the answer; its first ``right`` tokens are right."""
    right = min(right, length, len(ANSWER) - 1 - at)
    draft = [*RIGHT[at + 1 : at + 1 + right], *[7] * (length - right)]
    drafter = PlannedDrafter([*[()] * at, draft])
    ran = generate(scripted(), drafter=drafter)
    assert ran.answer == RIGHT
    assert ran.held == [*PROMPT, *ANSWER]
    assert (ran.output.drafted, ran.output.accepted) == (length, right)
    assert drafter.pushed == RIGHT  # it is made behind the first token, and told of it
    assert ran.asks == [len(PROMPT), *[1] * at, 1 + length, *[1] * (len(ANSWER) - 1 - at - right)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@settings(max_examples=40)
@given(data=st.data())
def test_no_drafts_change_an_answer(temperature: float, data: st.DataObject) -> None:
    chosen: dict[str, Any] = {"limit": 24, "temperature": temperature, "seed": 5, "repetition_penalty": 1.3}
    plain = generate(ScriptedEngine(VOCAB_SIZE), **chosen)
    drafts, done = [], 1
    while done < len(plain.answer):
        right = data.draw(st.integers(0, 6))
        drafts.append(
            [*plain.answer[done : done + right], *data.draw(st.lists(st.integers(0, VOCAB_SIZE - 1), max_size=3))]
        )
        done += 1 + right
    ran = generate(ScriptedEngine(VOCAB_SIZE), drafter=PlannedDrafter(drafts), **chosen)
    assert (ran.answer, ran.text, ran.held) == (plain.answer, plain.text, plain.held)
    assert ran.output.finish_reason == plain.output.finish_reason


@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_look_up_drafts_change_no_answer_and_save_steps(temperature: float) -> None:
    loop = TOKENIZER.encode(" a good film and a bad film is")
    engine = ScriptedEngine(VOCAB_SIZE, script={**dict(zip(((t,) for t in loop), loop[1:], strict=False)), (): loop[0]})
    settings: dict[str, Any] = {"limit": 60, "temperature": temperature, "seed": 1}
    plain = generate(engine, **settings)
    ran = generate(engine, drafter=lambda tokens: LookupDrafter(tokens, 16, 0.2, {EOS}), **settings)
    assert ran.answer == plain.answer
    assert ran.output.accepted > 20
    assert len(ran.asks) < 40 < len(plain.asks)


def test_no_draft_goes_beyond_the_limit() -> None:
    for limit in range(1, 8):
        drafter = PlannedDrafter([RIGHT[1:]] * 9)
        ran = generate(scripted(), drafter=drafter, limit=limit)
        assert ran.answer == RIGHT[:limit]
        assert ran.output.finish_reason == "length"
        assert drafter.rooms == ([limit - 2] if limit > 2 else [])
        assert ran.held == [*PROMPT, *RIGHT[: limit - 1]]


def test_a_slot_that_is_full_to_the_last_token_is_no_error() -> None:
    engine = ScriptedEngine(VOCAB_SIZE, capacity=len(PROMPT) + 6, script={(): ANSWER[0]})
    drafter = PlannedDrafter([[ANSWER[0]] * 9] * 9)
    ran = generate(engine, drafter=drafter, limit=6)
    assert ran.answer == [ANSWER[0]] * 6
    assert len(ran.held) == len(PROMPT) + 5


@pytest.mark.parametrize("behind", range(4))
def test_an_end_inside_a_draft_ends_the_answer(behind: int) -> None:
    at = len(ANSWER) - 3
    drafter = PlannedDrafter([*[()] * at, [*RIGHT[at + 1 :], *[7] * behind]])
    ran = generate(scripted(), drafter=drafter)
    assert ran.answer == RIGHT
    assert ran.held == [*PROMPT, *ANSWER]
    assert ran.output.finish_reason == "eos"
    assert ran.output.usage.new_tokens == len(RIGHT)
    assert ran.text == " good and great, the movie"


@pytest.mark.parametrize("stop", [" and", "d gr", ", ", "movie", "t"])
@pytest.mark.parametrize("length", [1, 2, 5, 9])
def test_a_stop_text_inside_a_draft_ends_the_answer_where_it_does_without(stop: str, length: int) -> None:
    plain = generate(scripted(), stop=(stop,))
    drafter = PlannedDrafter([RIGHT[n + 1 : n + 1 + length] for n in range(0, len(RIGHT), length + 1)])
    ran = generate(scripted(), drafter=drafter, stop=(stop,))
    assert (ran.answer, ran.text, ran.held) == (plain.answer, plain.text, plain.held)
    assert ran.text == " good and great, the movie".partition(stop)[0]
    assert (ran.output.finish_reason, plain.output.finish_reason) == ("stop", "stop")
    assert ran.output.usage.new_tokens == plain.output.usage.new_tokens


def test_what_was_held_back_for_a_stop_text_comes_at_the_end() -> None:
    ran = generate(scripted(), stop=("movies",))
    assert ran.text == " good and great, the movie"


def test_nothing_is_drafted_beside_others() -> None:
    drafter = PlannedDrafter([RIGHT[1:]])
    ran = generate(scripted(), drafter=drafter, crowded=True)
    assert ran.asks == [len(PROMPT), *[1] * len(ANSWER)]
    assert drafter.rooms == []


def test_steps_that_it_had_to_itself_tell_their_cost() -> None:
    class Observed(StepCost):
        def __init__(self) -> None:
            super().__init__()
            self.steps: list[int] = []

        def observe(self, drafted: int, seconds: float) -> None:
            assert seconds > 0
            self.steps.append(drafted)

    cost, crowded = Observed(), Observed()
    generate(scripted(), drafter=PlannedDrafter([(), RIGHT[2:4]]), step_cost=cost)
    generate(scripted(), step_cost=crowded, crowded=True)
    assert cost.steps == [0, 2, *[0] * (len(ANSWER) - 4)]
    assert crowded.steps == []


def test_a_prompt_starts_behind_what_is_held_of_it() -> None:
    engine = scripted()
    kv = KVStore(engine.facts.fingerprint, 1 << 20)
    first = generate(engine, kv, keep_prompt=True)
    second = generate(engine, kv)
    assert second.answer == first.answer
    assert second.output.usage.num_cached_tokens == len(PROMPT) - 2
    assert second.asks[0] == 2
    assert (first.output.usage.num_cached_tokens, kv.covered([*PROMPT, *ANSWER])) == (0, len(PROMPT))


@pytest.mark.parametrize("drafted", [False, True])
@pytest.mark.parametrize("settings", [{}, {"limit": 3}, {"stop": (" gr",)}])
def test_a_conversation_goes_on_behind_its_last_turn(drafted: bool, settings: dict[str, Any]) -> None:
    engine = scripted()
    kv = KVStore(engine.facts.fingerprint, 1 << 20)
    drafter = PlannedDrafter([RIGHT[1:4], RIGHT[5:7]]) if drafted else None
    first = generate(engine, kv, drafter, keep_prompt=True, keep_answer=True, **settings)
    turn = [*PROMPT, *first.answer[:-1], *TOKENIZER.encode(" is the text")]
    assert kv.covered(turn) == len(PROMPT) + len(first.answer) - 1
    fresh, cached = (
        generate(ScriptedEngine(VOCAB_SIZE), prompt=turn, limit=9),
        generate(engine, kv, prompt=turn, limit=9),
    )
    assert fresh.answer != []
    assert cached.output.usage.num_cached_tokens == len(PROMPT) + len(first.answer) - 1
    again = generate(engine, prompt=turn, limit=9)
    assert cached.answer == again.answer


def test_nothing_is_kept_unasked() -> None:
    engine = scripted()
    kv = KVStore(engine.facts.fingerprint, 1 << 20)
    generate(engine, kv)
    assert kv.stats.nbytes == 0


def test_a_store_without_room_changes_nothing() -> None:
    engine = scripted()
    ran = generate(engine, KVStore(engine.facts.fingerprint, 8), keep_prompt=True, keep_answer=True)
    assert ran.answer == RIGHT


def test_log_probabilities_of_each_token_drafted_or_not() -> None:
    plain = generate(scripted(), logprobs=2)
    ran = generate(scripted(), drafter=PlannedDrafter([RIGHT[1:4], [7, 7], RIGHT[6:8]]), logprobs=2)
    assert ran.output.logprobs == plain.output.logprobs
    assert [one.token for one in ran.output.logprobs] == RIGHT


def test_a_request_that_is_stopped_has_its_times() -> None:
    engine, output = scripted(), Output(prompt_tokens=len(PROMPT))
    params = SamplingParams()
    generation = Generation(
        kv=KVStore(engine.facts.fingerprint, 0),
        tokens=PROMPT,
        sampler=Sampler(params, 0, PROMPT),
        text=GeneratedText(TOKENIZER, ()),
        output=output,
        eos_token_ids={EOS},
        limit=9,
    )
    steps = generation.steps(Seat(engine, 0))
    next(steps)
    running = output.timings.total
    steps.close()
    assert output.total is not None
    assert output.timings.total == output.total >= running
    assert output.finish_reason is None
