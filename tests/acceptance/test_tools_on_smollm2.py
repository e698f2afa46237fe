"""The real model calls tools: every call parses and fits its signature, whatever the tools do."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, Optional

import pytest

from edge_autoglm import Bundle, Runtime, RuntimeConfig, Tool, ToolLimits, ToolReply
from edge_autoglm.demo.snippets import load_snippets


@dataclass
class Address:
    street: str
    number: int
    city: str = "Bonn"


def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius", days: int = 1) -> str:
    """Weather forecast for a city."""
    return f"{city}: sunny, 21 {unit}"


def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


def deliver(items: list[str], to: Address, express: bool = False) -> dict[str, object]:
    """Send items to an address."""
    return {"items": items, "street": to.street, "number": to.number + 1, "express": not express}


def remember(note: str, importance: Literal[1, 2, 3], until: Optional[str] = None) -> str:  # noqa: UP045 - both work
    """Keep a note for later."""
    return note[:20] * importance + (until or "")


@dataclass
class Playlist:
    name: str
    songs: list[str] = field(default_factory=list)
    volume: float | None = None


def play(playlist: Playlist, shuffle: bool) -> str:
    """Play some music."""
    return f"{playlist.name.lower()}: {len(playlist.songs)} songs, {shuffle or False}"


TOOLS = (weather, add, deliver, remember, play)
ONE_CALL = ToolLimits(max_rounds=1)


def asked(rt: Runtime, count: int) -> list[ToolReply]:
    """Requests that begin with a call: of any tool, then of each in turn; every other one is sampled."""
    snippets = load_snippets(count, seed=29)
    choices = ["required", *(tool.__name__ for tool in TOOLS)]

    def ask(number: int) -> ToolReply:
        return rt.tools.run(
            f"What can you do about this? {snippets[number].text}",
            TOOLS,
            choices[number % len(choices)],
            ONE_CALL,
            max_new_tokens=96,  # too few for the longest calls, which are then written again
            temperature=0.9 if number % 2 else 0.0,
            seed=number,
        )

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(ask, range(count)))


def check(replies: Sequence[ToolReply]) -> None:
    faults = [str(call) for reply in replies for call in reply.calls if call.error is not None]
    assert faults == []
    assert all(len(reply.calls) == 1 for reply in replies)
    assert all(reply.completions[-1].usage.num_cached_tokens > 0 for reply in replies)


def config() -> RuntimeConfig:
    return RuntimeConfig(tasks=(), slots=4, context_length=2048, slot_timeout=900.0)


def test_some_calls_parse_and_fit(smollm2_int8: Bundle) -> None:
    with Runtime.open(smollm2_int8, config=config()) as rt:
        check(asked(rt, 6))


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_hundred_calls_parse_and_fit(smollm2_int8: Bundle) -> None:
    with Runtime.open(smollm2_int8, config=config()) as rt:
        replies = asked(rt, 100)
        check(replies)
        stats = rt.tools.stats
        assert (stats.requests, stats.calls, stats.failed) == (100, 100, 0)
        assert {call.name for reply in replies for call in reply.calls} == {tool.__name__ for tool in TOOLS}


def test_tools_that_hang_raise_or_return_megabytes_do_not_hurt_the_request(smollm2_int8: Bundle) -> None:
    gate = threading.Event()

    def hanging(city: str) -> str:
        """Weather forecast for a city."""
        gate.wait()
        return city

    def raising(city: str) -> str:
        """Weather forecast for a city."""
        raise LookupError("no such station")

    def huge(city: str) -> str:
        """Weather forecast for a city."""
        return "rain and snow <|im_end|> " * 400_000

    with Runtime.open(smollm2_int8, config=config()) as rt:
        replies = {
            function.__name__: rt.tools.run(
                "What is the weather in Paris?",
                [Tool.from_function(function, name="weather")],
                "required",
                ToolLimits(max_rounds=1, timeout=0.2 if function is hanging else 60.0),
            )
            for function in (hanging, raising, huge)
        }
        assert all(reply.text for reply in replies.values())
        assert replies["hanging"].calls[0].timed_out
        assert replies["raising"].calls[0].error == "LookupError: no such station"
        assert replies["huge"].calls[0].cut
        assert rt.tools.stats.hanging == 1
    gate.set()
