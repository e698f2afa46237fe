from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_autoglm.errors import EngineError, PromptTooLong, SwapError, TemplateError
from edge_autoglm.prompts import Variant
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.swap.build import build_generation
from edge_autoglm.values import Message
from tests.checkpoints import CHAT_TEMPLATE, VOCAB_SIZE
from tests.swap.world import (
    EOS,
    TOKENIZER,
    HookedEngine,
    TokenCounter,
    answer,
    asking,
    first_generation,
    make_catalogue,
    make_model,
    make_policy,
    next_generation,
    scripted,
)

LONG = "Say in one word how the day was, and be kind about it."


@pytest.fixture
def counter() -> TokenCounter:
    return TokenCounter()


@pytest.fixture
def engine(counter: TokenCounter) -> HookedEngine:
    return HookedEngine(scripted(), counter)


def test_a_request_finds_the_static_part_of_its_variant_resident(engine: HookedEngine, counter: TokenCounter) -> None:
    generation = first_generation(make_model(engine))
    resident = generation.resident["reply", "asked"]
    assert resident.tokens == counter.tokens - generation.resident["mood", "chat"].tokens
    assert TOKENIZER.decode(resident.prefix).startswith("Say how it was.\nText:")
    assert resident.nbytes == resident.tokens * engine.facts.kv_bytes_per_token

    counter.tokens = 0
    prompt = generation.model.encode_prompt("Say how it was.\nText: It was late.\nAnswer:")
    stream = generation.model.stream(prompt, generation.catalogue.task("reply").variant("asked").sampling)
    assert stream.read() == "fine"
    assert stream.usage.num_cached_tokens == resident.tokens
    assert counter.tokens == len(prompt) - resident.tokens + len(TOKENIZER.encode("fine"))


def test_a_variant_without_a_static_part_has_nothing_resident() -> None:
    plain = first_generation().resident["reply", "plain"]
    assert (plain.tokens, plain.nbytes) == (0, 0)


def test_a_new_policy_runs_no_forward_pass(engine: HookedEngine, counter: TokenCounter) -> None:
    first = first_generation(make_model(engine))
    counter.tokens = 0
    second = next_generation(first, policy=make_policy(seed=1))
    third = next_generation(second, policy=make_policy(seed=2))
    assert counter.tokens == 0
    assert third.resident == first.resident
    assert third.model.prefixes.nbytes == first.model.prefixes.nbytes > 0


class CountingChat(ChatTemplate):
    """Counts what it renders."""

    rendered = 0

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> str:
        self.rendered += 1
        return super().render(messages, add_generation_prompt)


def test_a_new_policy_renders_nothing() -> None:
    chat = CountingChat(CHAT_TEMPLATE)
    first = first_generation(LanguageModel(scripted(), TOKENIZER, chat, [EOS], None))
    assert chat.rendered > 0
    chat.rendered = 0
    next_generation(next_generation(first))
    assert chat.rendered == 0


def test_a_new_prompt_set_runs_over_what_is_new_in_it_only(engine: HookedEngine, counter: TokenCounter) -> None:
    first = first_generation(make_model(engine))
    counter.tokens = 0
    second = next_generation(first, catalogue=make_catalogue(asking("asked", "Say how it was."), asking("long", LONG)))
    # "Say " is what both variants begin with: it is resident already.
    assert 0 < counter.tokens < second.resident["reply", "long"].tokens
    assert second.resident["reply", "asked"] == first.resident["reply", "asked"]


def test_prefixes_of_dropped_variants_are_not_passed_on(engine: HookedEngine) -> None:
    first = first_generation(make_model(engine), make_catalogue(asking("asked", LONG)))
    second = next_generation(first, catalogue=make_catalogue(asking("asked", "Say how it was.")))
    fresh = first_generation(make_model(), make_catalogue(asking("asked", "Say how it was.")))
    assert second.model.prefixes.nbytes == fresh.model.prefixes.nbytes
    prompt = second.model.encode_prompt(f"{LONG}\nText: It was late.\nAnswer:")
    _, found = second.model.prefixes.longest(prompt) or (None, 0)
    assert TOKENIZER.decode(prompt[:found]) == "Say"


def test_another_model_shares_nothing() -> None:
    counter = TokenCounter()
    model = make_model(HookedEngine(scripted(seed=1), counter))
    second = next_generation(first_generation(), model=model)
    assert counter.tokens == sum(resident.tokens for resident in second.resident.values()) > 0


def test_prefixes_outlive_the_generation_that_computed_them(engine: HookedEngine, counter: TokenCounter) -> None:
    first = first_generation(make_model(engine))
    second = next_generation(first)
    first.retire()
    assert first.freed
    assert answer(second) == "fine"


def test_progress_counts_the_variants() -> None:
    steps: list[tuple[str, int, int]] = []
    first = first_generation()
    build_generation(
        2,
        "bundle",
        first.model.fork(1),
        first.catalogue,
        first.policy,
        first,
        "again",
        lambda stage, done, total: steps.append((stage, done, total)),
    )
    assert steps == [("prefixes", done, 4) for done in range(5)]


def test_a_variant_that_cannot_be_rendered_is_named_and_the_model_freed(engine: HookedEngine) -> None:
    broken = Variant("broken", prompt="{{ raise_exception('no such luck') }}")
    with pytest.raises(TemplateError, match=r"task reply, variant broken: .*no such luck"):
        first_generation(make_model(engine), make_catalogue(broken))
    assert engine.closed == 1


def test_a_static_part_beyond_the_slot_is_named() -> None:
    engine = ScriptedEngine(VOCAB_SIZE, capacity=32)
    with pytest.raises(PromptTooLong, match="task reply, variant asked: "):
        first_generation(make_model(engine), make_catalogue(asking("asked", LONG)))
    with pytest.raises(EngineError, match="closed"):
        engine.truncate(0, 0)


def test_the_model_of_the_active_generation_is_not_taken() -> None:
    first = first_generation()
    with pytest.raises(SwapError, match="given the model of generation 1"):
        next_generation(first, model=first.model)
    assert answer(first) == "fine"
