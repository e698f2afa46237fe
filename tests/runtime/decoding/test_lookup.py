from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.decoding.lookup import LookupDrafter

COSTS = [0.15, 0.25, 0.5]


def gain(prompt: list[int], output: list[int], cost: float, assumed: float | None = None) -> float:
    """Tokens a cost unit, of a loop that verifies drafts of the given output; 1 without drafts.

    ``cost`` is what an extra token really costs, ``assumed`` what the drafter takes it to be.
    """
    drafter = LookupDrafter(prompt, max_draft=16, step_cost=cost if assumed is None else assumed)
    drafter.push(output[0])
    spent, done = 0.0, 1
    while done < len(output):
        draft = drafter.draft(len(output) - done - 1)
        accepted = 0
        while accepted < len(draft) and draft[accepted] == output[done + accepted]:
            accepted += 1
        spent += 1.0 + cost * len(draft)
        for token in output[done : done + accepted + 1]:
            drafter.push(token)
        done += accepted + 1
    return (len(output) - 1) / spent


def heldout_words() -> list[int]:
    text = resources.files("edge_autoglm.data").joinpath("heldout.txt").read_text("utf-8")
    pieces = re.findall(r" ?\w{1,6}|[^\w\s]|\s", text)
    ids: dict[str, int] = {}
    return [ids.setdefault(piece, len(ids)) for piece in pieces]


WORDS = heldout_words()
FREE = {begin: (WORDS[begin : begin + 300], WORDS[begin + 300 : begin + 600]) for begin in range(0, 9000, 1000)}


def extraction(begin: int, *, span: int) -> tuple[list[int], list[int]]:
    """A text as the prompt; the answer quotes spans of it, with three words of its own between them."""
    drawn = random.Random(begin)
    prompt = WORDS[begin : begin + 400]
    output: list[int] = []
    while len(output) < 150:
        at = drawn.randrange(len(prompt) - span)
        output += [drawn.randrange(20_000, 40_000) for _ in range(3)] + prompt[at : at + span]
    return prompt, output


@pytest.mark.parametrize("begin", FREE)
@pytest.mark.parametrize("cost", COSTS)
def test_free_text_loses_next_to_nothing(begin: int, cost: float) -> None:
    assert gain(*FREE[begin], cost) >= 0.98


@pytest.mark.parametrize("begin", range(0, 8000, 1000))
def test_text_that_copies_the_prompt_gains(begin: int) -> None:
    assert gain(*extraction(begin, span=40), 0.25) >= 1.8
    assert gain(*extraction(begin, span=15), 0.25) >= 1.3


def test_an_edited_copy_gains() -> None:
    prompt = WORDS[:300]
    edited = [token if at % 23 else 50_000 for at, token in enumerate(prompt)]
    assert gain(prompt, edited, 0.25) >= 1.8


@pytest.mark.parametrize("period", [1, 2, 5, 30])
def test_an_output_that_repeats_itself_gains(period: int) -> None:
    assert gain(WORDS[:200], (WORDS[200:230] + WORDS[1000 : 1000 + period] * 200)[:250], 0.25) >= 1.8


@pytest.mark.parametrize("alphabet", [2, 3, 5, 15, 60])
def test_chance_repetitions_cost_little(alphabet: int) -> None:
    drawn = random.Random(alphabet)
    tokens = [drawn.randrange(alphabet) for _ in range(800)]
    assert all(gain(tokens[:300], tokens[300:], cost) >= 0.95 for cost in COSTS)


@pytest.mark.parametrize("begin", FREE)
def test_a_cost_that_is_twice_the_assumed_one_does_little_harm(begin: int) -> None:
    assert gain(*FREE[begin], 0.5, assumed=0.25) >= 0.97


def drafts_while(drafter: LookupDrafter, output: list[int]) -> list[int]:
    """Length proposed before each token of the output."""
    lengths = []
    for token in output:
        lengths.append(len(drafter.draft(100)))
        drafter.push(token)
    return lengths


def test_a_copy_quickly_gets_long_drafts() -> None:
    drafter = LookupDrafter(WORDS[:300], 16, 0.25)
    lengths = drafts_while(drafter, [60_000, *WORDS[100:200]])
    assert max(lengths[:10]) >= 4
    assert min(lengths[30:]) >= 8


def test_it_falls_silent_and_comes_back() -> None:
    drawn = random.Random(0)
    prompt = [drawn.randrange(10) for _ in range(200)] + list(range(100, 200))
    drafter = LookupDrafter(prompt, 16, 0.25)
    noise = drafts_while(drafter, [drawn.randrange(10) for _ in range(400)])
    assert sum(noise[50:]) < 0.02 * len(noise)
    copied = drafts_while(drafter, list(range(100, 200)))
    assert min(copied[20:]) >= 6


def test_what_was_long_ago_counts_no_more() -> None:
    drawn = random.Random(0)
    drafter = LookupDrafter(list(range(100, 200)), 16, 0.25)
    drafts_while(drafter, [drawn.randrange(10) for _ in range(2000)])
    short_copies = [token for at in range(100, 200, 4) for token in (at + 1000, *range(at, at + 4))]
    assert sum(drafts_while(drafter, short_copies)[60:]) > 0


def test_a_match_grows_with_every_copied_token() -> None:
    drawn = random.Random(0)
    drafter = LookupDrafter(list(range(100, 200)), 16, 0.25)
    drafts_while(drafter, [drawn.randrange(10) for _ in range(400)])
    assert min(drafts_while(drafter, list(range(100, 120)))[8:]) >= 4


def test_a_copied_loop_is_drafted_beyond_its_last_token() -> None:
    drafter = LookupDrafter([9], 16, 0.1)
    for token in [1, 2, 3] * 12:
        drafter.push(token)
    draft = drafter.draft(8)
    assert len(draft) == 8
    assert draft == ([1, 2, 3] * 3)[:8]


def common_suffix(tokens: list[int], end: int) -> int:
    """How many tokens before ``end`` equal the last ones."""
    length = 0
    while length < end and tokens[end - 1 - length] == tokens[-1 - length]:
        length += 1
    return length


def copies_of_longest_matches(tokens: list[int], length: int) -> Iterator[list[int]]:
    lengths = {end: common_suffix(tokens, end) for end in range(1, len(tokens))}
    longest = max(lengths.values(), default=0)
    for end, common in lengths.items():
        if common == longest > 0:
            extended = list(tokens)
            for offset in range(length):
                extended.append(extended[end + offset])
            yield extended[len(tokens) :]


@given(st.lists(st.integers(0, 3), max_size=9), st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_drafts_are_copied_from_behind_a_longest_match(prompt: list[int], output: list[int]) -> None:
    drafter = LookupDrafter(prompt, max_draft=5, step_cost=0.0)
    for done, token in enumerate(output, start=1):
        drafter.push(token)
        draft = drafter.draft(4)
        assert not draft or draft in copies_of_longest_matches(prompt + output[:done], len(draft))


def test_the_longest_match_wins_over_a_later_one_and_the_later_one_among_equals() -> None:
    prompt = [1, 2, 3, 50, 9, 2, 3, 60, 8, 2, 3, 70, 7, 1]
    assert LookupDrafter([*prompt, 2, 3], 1, 0.0).draft(1) == [50]
    assert LookupDrafter([*prompt, 5, 2, 3], 1, 0.0).draft(1) == [70]


def in_a_copy(max_draft: int, cost: Callable[[int], float] | float, end_tokens: tuple[int, ...] = ()) -> LookupDrafter:
    """A drafter that has seen 40 tokens copied."""
    drafter = LookupDrafter(range(100), max_draft, cost, end_tokens)
    for token in range(40):
        drafter.push(token)
    return drafter


@pytest.mark.parametrize("room", [-1, 0, 1, 3, 7, 50])
def test_a_draft_fits_the_room_and_the_limit(room: int) -> None:
    assert in_a_copy(7, 0.1).draft(room) == list(range(40, 40 + max(0, min(room, 7))))


def test_nothing_is_proposed_behind_an_end_token() -> None:
    assert in_a_copy(16, 0.1, end_tokens=(43, 45)).draft(16) == [40, 41, 42, 43]


def test_the_dearer_a_token_the_shorter_the_draft() -> None:
    lengths = [len(in_a_copy(64, cost).draft(64)) for cost in (0.05, 0.15, 0.25, 0.5, 0.8, 2.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 16
    assert lengths[-1] == 0


def test_a_cost_in_steps_is_filled_up() -> None:
    # As kernels that work in tiles of 8 rows: the step's own token and 7 drafted ones cost the same as 1.
    assert len(in_a_copy(15, lambda k: 1.2 if k <= 7 else 2.4).draft(15)) == 7


def test_an_empty_prompt_proposes_nothing_before_something_repeats() -> None:
    drafter = LookupDrafter([], 4, 0.1)
    assert drafter.draft(4) == []
    drafter.push(1)
    assert drafter.draft(4) == []


def test_a_draft_of_no_tokens_is_refused() -> None:
    with pytest.raises(RequestError, match="max_draft is 0"):
        LookupDrafter([1], 0, 0.25)


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0])
def test_impossible_costs_are_refused(cost: float) -> None:
    with pytest.raises(RequestError, match="cost"):
        LookupDrafter([1], 2, cost)
