from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_autoglm.errors import EngineError, MemoryBudgetExceeded, PromptTooLong, SwapError, TemplateError
from edge_autoglm.prompts import Variant
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.swap.build import build_generation
from edge_autoglm.values import Message
from tests.checkpoints import CHAT_TEMPLATE, VOCAB_SIZE
from tests.swap.world import (
    BUNDLE,
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
    assert third.model.kv is first.model.kv
    assert third.model.kv.stats.pinned_bytes == third.model.kv.stats.nbytes > 0


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


def test_prefixes_of_dropped_variants_may_be_evicted_once_their_generation_is_gone(engine: HookedEngine) -> None:
    first = first_generation(make_model(engine), make_catalogue(asking("asked", LONG)))
    second = next_generation(first, catalogue=make_catalogue(asking("asked", "Say how it was.")))
    fresh = first_generation(make_model(), make_catalogue(asking("asked", "Say how it was.")))
    kv, dropped = second.model.kv, first.resident["reply", "asked"]
    both = kv.stats.pinned_bytes
    first.retire()
    assert kv.stats.pinned_bytes == fresh.model.kv.stats.pinned_bytes < both
    assert kv.stats.nbytes == both, "evictable, not freed"
    assert kv.covered(dropped.prefix) == dropped.tokens
    second.retire()
    assert kv.stats.pinned_bytes == 0


def test_a_prompt_set_that_comes_back_finds_its_prefixes_held(engine: HookedEngine, counter: TokenCounter) -> None:
    first = first_generation(make_model(engine), make_catalogue(asking("asked", LONG)))
    second = next_generation(first, catalogue=make_catalogue(asking("asked", "Say how it was.")))
    first.retire()
    counter.tokens = 0
    third = next_generation(second, catalogue=make_catalogue(asking("asked", LONG)))
    assert counter.tokens == 0
    assert third.resident["reply", "asked"] == first.resident["reply", "asked"]


def test_prefixes_that_the_kv_budget_has_no_room_for_are_an_error_that_names_the_variant() -> None:
    engine = HookedEngine(scripted(), TokenCounter())
    kv = KVStore(engine.facts.fingerprint, 10 * engine.facts.kv_bytes_per_token)
    model = LanguageModel(engine, TOKENIZER, ChatTemplate(CHAT_TEMPLATE), [EOS], None, kv)
    with pytest.raises(MemoryBudgetExceeded, match=r"task reply, variant asked: .*budget"):
        first_generation(model)
    assert engine.closed == 1
    assert kv.stats.pinned_bytes == 0


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
    counter.tokens = 0
    prompt = second.model.encode_prompt("Say how it was.\nText: It was late.\nAnswer:")
    assert answer(second) == "fine"
    assert counter.tokens == len(prompt) - second.resident["reply", "asked"].tokens + len(TOKENIZER.encode("fine"))


def test_progress_counts_the_variants() -> None:
    steps: list[tuple[str, int, int]] = []
    first = first_generation()
    build_generation(
        2,
        BUNDLE,
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
