"""The store against a naive one: a list of token sequences, and those of its beginnings that are still held."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from edge_autoglm.errors import EngineError, MemoryBudgetExceeded
from edge_autoglm.runtime.kv.store import MIN_REST, KVStore, Pin
from tests.runtime.kv.kv_for_tests import ENGINE, TOKEN_BYTES, found, kv_of

Sequence = tuple[int, ...]
TOKENS = st.lists(st.integers(0, 2), max_size=12).map(tuple)


def beginnings(tokens: Sequence) -> set[Sequence]:
    return {tokens[:length] for length in range(1, len(tokens) + 1)}


class StoreMachine(RuleBasedStateMachine):
    """Every beginning of a held sequence is held: 8 bytes each, whichever sequences share it."""

    pins = Bundle("pins")

    @initialize(budget=st.one_of(st.integers(0, 20), st.just(10_000)))
    def begin(self, budget: int) -> None:
        self.budget = budget
        self.store = KVStore(ENGINE, budget * TOKEN_BYTES)
        self.seen: list[Sequence] = []
        self.pinned: list[Sequence] = []
        self.held: set[Sequence] = set()
        self.put_tokens = 0
        self.lookups = self.looked_up = self.skipped = 0

    def pinned_beginnings(self) -> set[Sequence]:
        return set().union(*map(beginnings, self.pinned))

    def fits(self, tokens: Sequence) -> bool:
        return len(self.pinned_beginnings() | beginnings(tokens)) <= self.budget

    def was_put(self, tokens: Sequence) -> None:
        self.seen.append(tokens)
        self.put_tokens += len(beginnings(tokens) - self.held)
        assert self.store.covered(tokens) == len(tokens)

    @rule(tokens=TOKENS, overlap=st.integers(0, 3), surplus=st.integers(0, 2))
    def put_any(self, tokens: Sequence, overlap: int, surplus: int) -> None:
        self.put(tokens, overlap, surplus)

    def put(self, tokens: Sequence, overlap: int, surplus: int) -> None:
        begin = max(self.store.covered(tokens) - overlap, 0)
        kept = self.store.put(tokens, kv_of([*tokens, *[9] * surplus], begin))
        # What is held already needs no room.
        assert kept == (beginnings(tokens) <= self.held or self.fits(tokens))
        if kept:
            self.was_put(tokens)

    @precondition(lambda self: self.seen)
    @rule(choice=st.integers(0, 10**6), length=st.integers(1, 12), more=TOKENS)
    def put_what_departs_from_another_one(self, choice: int, length: int, more: Sequence) -> None:
        self.put((*self.seen[choice % len(self.seen)][:length], *more), 0, 0)

    @rule(target=pins, tokens=TOKENS)
    def put_pinned(self, tokens: Sequence) -> tuple[Sequence, Pin] | None:
        try:
            pin = self.store.put_pinned(tokens, kv_of(tokens, self.store.covered(tokens)))
        except MemoryBudgetExceeded:
            assert not self.fits(tokens)
            return None
        self.was_put(tokens)
        self.pinned.append(tokens)
        return tokens, pin

    @rule(target=pins, tokens=TOKENS)
    def pin(self, tokens: Sequence) -> tuple[Sequence, Pin] | None:
        try:
            pin = self.store.pin(tokens)
        except EngineError:
            assert not beginnings(tokens) <= self.held
            return None
        assert beginnings(tokens) <= self.held
        self.pinned.append(tokens)
        return tokens, pin

    @rule(pinned=consumes(pins))
    def release(self, pinned: tuple[Sequence, Pin] | None) -> None:
        if pinned is not None:
            self.pinned.remove(pinned[0])
            pinned[1].release()
            pinned[1].release()

    @rule(prompt=TOKENS)
    def longest(self, prompt: Sequence) -> None:
        usable = beginnings(prompt[: max(len(prompt) - MIN_REST, 0)])
        expected = max(usable & self.held, key=len, default=())
        assert tuple(found(self.store, prompt)) == expected
        self.lookups += 1
        self.looked_up += len(prompt)
        self.skipped += len(expected)

    @invariant()
    def the_store_holds_what_its_figures_say(self) -> None:
        stats = self.store.stats
        self.held = set().union(*(beginnings(tokens[: self.store.covered(tokens)]) for tokens in self.seen))
        assert self.pinned_beginnings() <= self.held
        assert stats.nbytes == len(self.held) * TOKEN_BYTES <= stats.budget_bytes
        assert stats.pinned_bytes == len(self.pinned_beginnings()) * TOKEN_BYTES
        assert stats.evicted_tokens == self.put_tokens - len(self.held)
        assert stats.evictions <= stats.evicted_tokens
        if self.budget == 10_000:
            assert stats.evictions == 0
        assert (stats.lookups, stats.tokens_looked_up, stats.tokens_skipped) == (
            self.lookups,
            self.looked_up,
            self.skipped,
        )


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestStoreAgainstModel = StoreMachine.TestCase
