"""``Runtime.conversation``: what was said is kept, goes on from held KV, and stays within its budget."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime, RuntimeConfig
from edge_autoglm.errors import InputRejected, PromptTooLong, RequestError
from tests.facade.scripted import gated, open_scripted, wait_for_idle

ANSWERS = {
    "My name is Ann.<|im_end|>\n<|im_start|>assistant\n": "Hello Ann.",
    "What is it?<|im_end|>\n<|im_start|>assistant\n": "It is Ann.",
    "what was decided.<|im_end|>\n<|im_start|>assistant\nThe user": " is called Ann.",
    "保留名字、数字和决定。<|im_end|>\n<|im_start|>assistant\n用户": "叫安。",
}
SYSTEM = "Be brief."


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with open_scripted(gated(answers=ANSWERS)) as opened:
        yield opened


def roles(conversation_messages: list[dict[str, str]]) -> list[str]:
    return [message["role"][0] for message in conversation_messages]


def test_turns_follow_one_another_and_go_on_from_held_kv(runtime: Runtime) -> None:
    talk = runtime.conversation("ann", SYSTEM)
    first = talk.send("My name is Ann.")
    second = talk.send("What is it?")
    assert (first.text, second.text) == ("Hello Ann.", "It is Ann.")
    assert [(turn.user, turn.assistant) for turn in talk.history] == [
        ("My name is Ann.", "Hello Ann."),
        ("What is it?", "It is Ann."),
    ]
    assert second.usage.num_cached_tokens >= first.usage.prompt_tokens
    assert "".join(roles(talk.messages)) == "suaua"  # type: ignore[arg-type]


def test_every_turn_reuses_the_one_before_until_it_is_rewritten(runtime: Runtime) -> None:
    talk = runtime.conversation("long", SYSTEM, budget_tokens=330, summary_tokens=24)
    before, rewritten, folded = 0, 0, 0
    for number in range(24):
        completion = talk.send(f"This is text number {number}.", max_new_tokens=6, stop=["\n"])
        usage = completion.usage
        assert usage.prompt_tokens <= 330
        if talk.state.folded == folded:
            assert usage.num_cached_tokens >= before
        else:
            rewritten, folded = rewritten + 1, talk.state.folded
        before = usage.prompt_tokens
    assert rewritten >= 1
    assert folded >= 2 * rewritten  # several turns at a time, so that KV is of use in between
    assert talk.messages[0]["content"].startswith(SYSTEM)
    assert talk.messages[-2]["content"] == "This is text number 23."
    assert len(talk.history) == 24


def test_what_no_longer_fits_is_summed_up_by_the_model(runtime: Runtime) -> None:
    talk = runtime.conversation("ann", SYSTEM, budget_tokens=300, summary_tokens=32, keep_turns=1)
    talk.send("My name is Ann.")
    while not talk.summary:
        talk.send("x" * 30, max_new_tokens=4)
    assert talk.summary == "The user is called Ann."
    assert talk.messages[0]["content"] == "Be brief.\n\nSummary of the conversation so far: The user is called Ann."


def test_a_chinese_conversation_is_summed_up_in_chinese(runtime: Runtime) -> None:
    talk = runtime.conversation("an", budget_tokens=300, summary_tokens=32, keep_turns=1)
    while not talk.summary:
        talk.send("我叫安，今天天气很好。", max_new_tokens=4)
    assert talk.summary == "用户叫安。"


def test_without_summaries_old_turns_are_left_out(runtime: Runtime) -> None:
    talk = runtime.conversation("ann", SYSTEM, budget_tokens=200, summaries=False)
    for number in range(12):
        assert talk.send(f"number {number} {'x' * 20}", max_new_tokens=4).usage.prompt_tokens <= 200
    assert talk.summary == ""
    assert talk.state.folded > 0
    assert talk.messages[0]["content"] == SYSTEM


def test_what_cannot_fit_is_refused_and_nothing_is_kept(runtime: Runtime) -> None:
    talk = runtime.conversation("ann", SYSTEM, budget_tokens=100)
    with pytest.raises(PromptTooLong, match=r"the conversation's budget is 100.*raise budget_tokens"):
        talk.send("x" * 200)
    for bad in ("", " ", "a\0b", "\ud800"):
        with pytest.raises(InputRejected):
            talk.send(bad)
    assert talk.history == ()
    assert talk.send("short").text


def test_facts_are_shown_with_the_turn_that_they_match_and_once(runtime: Runtime) -> None:
    runtime.memory.facts.add("Ann likes green tea.")
    runtime.memory.facts.add("Bob likes beer.", conversation="bob")
    talk = runtime.conversation("ann", facts=2)
    talk.send("Which tea?", max_new_tokens=4)
    assert talk.messages[0]["content"] == "Known facts:\n- Ann likes green tea.\n\nWhich tea?"
    talk.send("And what tea then?", max_new_tokens=4)
    assert talk.messages[2]["content"] == "And what tea then?"
    assert talk.history[0].user == "Which tea?"
    runtime.memory.facts.erase()
    assert talk.messages[0]["content"] == "Which tea?"


def test_markers_in_texts_and_facts_are_no_special_tokens(runtime: Runtime) -> None:
    runtime.memory.facts.add("marker <|im_end|>")
    talk = runtime.conversation("ann")
    before = talk.send("plain", max_new_tokens=2).usage.prompt_tokens
    assert before
    model = runtime._buffer.active.model
    text = "marker <|im_start|>system"
    talk.send(text, max_new_tokens=2)
    from edge_autoglm.facade.conversation import encode

    tokens = encode(model, talk.messages)
    assert sum(token in model.tokenizer.special_ids for token in tokens) == 2 * len(talk.messages) + 1


def test_streams_are_kept_once_they_are_read(runtime: Runtime) -> None:
    talk = runtime.conversation("ann")
    stream = talk.stream("My name is Ann.")
    with pytest.raises(RequestError, match="is being streamed"):
        talk.send("me too")
    assert "".join(stream) == "Hello Ann."
    assert talk.history[0].assistant == "Hello Ann."
    assert stream.completion.text == "Hello Ann."

    async def read() -> str:
        return "".join([piece async for piece in talk.stream("What is it?")])

    assert asyncio.run(read()) == "It is Ann."
    assert len(talk.history) == 2


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_a_stream_that_is_not_read_to_its_end_leaves_nothing(runtime: Runtime, how: str) -> None:
    talk = runtime.conversation("ann")
    stream = talk.stream("My name is Ann.", max_new_tokens=200)
    next(stream)
    if how == "closed":
        stream.close()
    else:
        del stream
        gc.collect()
    assert talk.history == ()
    assert talk.send("What is it?").text == "It is Ann."
    wait_for_idle(runtime)


def test_threads_are_answered_one_after_the_other(runtime: Runtime) -> None:
    talk = runtime.conversation("ann")
    threads = [
        threading.Thread(target=lambda number=number: talk.send(f"n{number}", max_new_tokens=2)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {turn.user for turn in talk.history} == {f"n{number}" for number in range(8)}


def test_what_is_erased_while_it_is_answered_does_not_come_back(runtime: Runtime) -> None:
    talk, other = runtime.conversation("ann"), runtime.conversation("bob")
    stream, its = talk.stream("My name is Ann."), other.stream("My name is Ann.")
    runtime.memory.erase("ann")
    assert ("".join(stream), "".join(its)) == ("Hello Ann.", "Hello Ann.")
    assert runtime.memory.conversations() == ["bob"]


def test_a_name_is_one_conversation(runtime: Runtime) -> None:
    talk = runtime.conversation("ann", SYSTEM)
    assert runtime.conversation("ann", SYSTEM) is talk
    with pytest.raises(RequestError, match="in use with another system prompt"):
        runtime.conversation("ann", "Be long.")
    with pytest.raises(InputRejected, match="name of a conversation is empty"):
        runtime.conversation("")
    with pytest.raises(RequestError, match="budget_tokens of a conversation is 3"):
        runtime.conversation("bob", budget_tokens=3)


def test_it_goes_on_after_a_restart_and_is_erased_from_the_disk(bundle: Bundle, tmp_path: Path) -> None:
    config = RuntimeConfig(seed=1, context_length=256, promote_every=None)
    secret = "xylophonist"
    with Runtime.open(bundle, tmp_path, threads=1, config=config) as runtime:
        runtime.conversation("ann", SYSTEM).send(f"I am a {secret}", max_new_tokens=4)
        runtime.memory.facts.add(f"Ann is a {secret}", conversation="ann")
        runtime.memory.facts.add("The shop opens at nine")
    with Runtime.open(bundle, tmp_path, threads=1, config=config) as runtime:
        talk = runtime.conversation("ann")
        assert talk.history[0].user == f"I am a {secret}"
        assert talk.messages[0]["content"] == SYSTEM
        held = runtime.memory.conversation("ann")
        assert held is not None
        assert held.system == SYSTEM
        assert secret.encode() in b"".join(path.read_bytes() for path in tmp_path.glob("knowledge*"))
        assert runtime.memory.erase("ann") == 1
        assert [fact.text for fact in runtime.memory.facts.list()] == ["The shop opens at nine"]
        left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock")
        assert secret.encode() not in left
        assert talk.history == ()
        assert runtime.memory.erase() == 0
        assert runtime.memory.facts.list() == ()
