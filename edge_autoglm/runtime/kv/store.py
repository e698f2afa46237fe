"""KV of prompt beginnings that outlives a request, under a byte budget, so that later requests start behind it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_autoglm.errors import EngineError, MemoryBudgetExceeded
from edge_autoglm.runtime.engine import KVSegment
from edge_autoglm.runtime.kv.prefix_tree import Match, Node, PrefixTree, Tokens

MIN_REST = 2
"""Tokens to run behind a prefix at least: the last one gives the logits, and a chunk of one would be a decode step,
which may round differently from a prefill."""


@dataclass(frozen=True, slots=True)
class Hit:
    """The longest beginning of a prompt that is held; for ``Engine.copy_in``.

    Attributes:
        segments: From token 0 on; the last one may reach further than ``length``.
        length: Tokens to use.
    """

    segments: tuple[KVSegment, ...]
    length: int


@dataclass(frozen=True, slots=True)
class KVStats:
    """Figures of a store since it was made.

    Attributes:
        nbytes: Memory of all KV held.
        pinned_bytes: Of it, what is never evicted.
        budget_bytes: Upper bound of ``nbytes``.
        segments: Pieces that the KV is held in.
        lookups: Calls of ``longest``.
        hits: Those that found something.
        tokens_looked_up: Tokens of all prompts looked up.
        tokens_skipped: Those of them that needed no prefill.
        evictions: Segments that gave way to others.
        evicted_tokens: Their tokens.
    """

    nbytes: int
    pinned_bytes: int
    budget_bytes: int
    segments: int
    lookups: int
    hits: int
    tokens_looked_up: int
    tokens_skipped: int
    evictions: int
    evicted_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class HeldSegment:
    """One node of a store's tree, on its own.

    Attributes:
        tokens: Ids that the segment covers.
        segment: Their KV.
        parent: Index, in the same list, of the segment that comes before it; ``None`` if it begins at token 0.
    """

    tokens: Tokens
    segment: KVSegment
    parent: int | None


class Pin:
    """Keeps some KV in a store until ``release``."""

    def __init__(self, tree: PrefixTree, node: Node, lock: threading.Lock) -> None:
        self._tree = tree
        self._node: Node | None = node
        self._lock = lock

    def release(self) -> None:
        """Leave what is pinned no more by others to eviction. Idempotent."""
        with self._lock:
            node, self._node = self._node, None
            if node is not None:
                self._tree.unpin(node)


class KVStore:
    """The prefix tree of one engine; thread-safe, shared by all generations over it.

    Entries give way to new ones in the order of their last use, except for what is pinned. Bits are kept as they came:
    KV that a decode step wrote stays what a decode step wrote (see ``runtime/engine.py``).

    Args:
        fingerprint: Of the engine.
        budget_bytes: Most memory that the KV may take. What a running request still copies from does not count, nor do
            the copies that are made when a segment is split, before the whole one goes.

    Raises:
        EngineError: The budget is negative.
    """

    def __init__(self, fingerprint: str, budget_bytes: int) -> None:
        if budget_bytes < 0:
            raise EngineError(f"the KV budget is {budget_bytes} bytes", "Give 0 or more.")
        self._fingerprint = fingerprint
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._tree = PrefixTree()
        self._lookups = self._hits = self._looked_up = self._skipped = 0
        self._evictions = self._evicted_tokens = 0

    @property
    def fingerprint(self) -> str:
        """Of the engine whose KV it holds."""
        return self._fingerprint

    @property
    def stats(self) -> KVStats:
        """Figures up to now, of one moment."""
        with self._lock:
            return KVStats(
                nbytes=self._tree.nbytes,
                pinned_bytes=self._tree.pinned_nbytes,
                budget_bytes=self._budget,
                segments=len(self._tree),
                lookups=self._lookups,
                hits=self._hits,
                tokens_looked_up=self._looked_up,
                tokens_skipped=self._skipped,
                evictions=self._evictions,
                evicted_tokens=self._evicted_tokens,
            )

    def longest(self, tokens: Sequence[int]) -> Hit | None:
        """What is held of a prompt; part of a segment is used where the prompt departs from it.

        Returns:
            ``None`` if nothing can be skipped. At least ``MIN_REST`` tokens are left to run, or what stands behind
            virtual ones, which cannot run.
        """
        prompt = _array(tokens)
        usable = prompt[: max(len(prompt) - MIN_REST, np.count_nonzero(prompt < 0))]
        with self._lock:
            match = self._tree.match(usable)
            self._lookups += 1
            self._looked_up += len(prompt)
            if not match.length:
                return None
            self._hits += 1
            self._skipped += match.length
            self._tree.touch(match.path[-1])
            # Read while it is locked: another thread may split a node, and its segment with it.
            return Hit(tuple(node.segment for node in match.path), match.length)

    def covered(self, tokens: Sequence[int]) -> int:
        """How many leading tokens are held. Neither counts as a look-up nor leaves a rest to run."""
        with self._lock:
            return self._tree.match(_array(tokens)).length

    def put(self, tokens: Sequence[int], tail: KVSegment) -> bool:
        """Keep the KV of ``tokens`` until memory is wanted for KV used later.

        Args:
            tokens: From the beginning of a sequence on.
            tail: Covers those that are not held yet at least: ``tail.begin <= covered(tokens)``.

        Returns:
            Whether the tokens are held now. Not so if they need more than the budget leaves beside what is pinned, or
            if tokens before the tail were evicted meanwhile; nothing else is evicted for them then.

        Raises:
            EngineError: The tail is of another engine, or ends before the tokens do.
        """
        ids = self._checked(tokens, tail)
        with self._lock:
            return self._put(ids, tail)

    def put_pinned(self, tokens: Sequence[int], tail: KVSegment) -> Pin:
        """Keep the KV of ``tokens`` until the pin is released; arguments are those of ``put``.

        Raises:
            EngineError: See ``put``; or tokens before the tail were evicted meanwhile.
            MemoryBudgetExceeded: The budget leaves no room beside what is pinned. Nothing was evicted.
        """
        ids = self._checked(tokens, tail)
        with self._lock:
            if not self._put(ids, tail):
                raise self._refusal(ids, tail)
            return self._pin(ids)

    def pin(self, tokens: Sequence[int]) -> Pin:
        """Keep what is held of ``tokens`` until the pin is released. Pins nest, and share what they have in common.

        Raises:
            EngineError: Not all of the tokens are held.
        """
        ids = _array(tokens)
        with self._lock:
            covered = self._tree.match(ids).length
            if covered < len(ids):
                raise _not_covered(len(ids), covered)
            return self._pin(ids)

    def pinned(self) -> list[HeldSegment]:
        """Everything pinned, each segment behind the one that it continues."""
        with self._lock:
            nodes = list(self._tree.pinned())
            index: dict[Node | None, int] = {node: number for number, node in enumerate(nodes)}
            return [HeldSegment(node.tokens, node.segment, index.get(node.parent)) for node in nodes]

    def restore(self, held: Sequence[HeldSegment]) -> None:
        """Keep segments as ``put`` would, all of them or none.

        Args:
            held: As ``pinned`` gives them.

        Raises:
            EngineError: A segment is of another engine, or does not continue its parent.
            MemoryBudgetExceeded: They do not fit beside what is pinned.
        """
        paths = self._paths(held)
        with self._lock:
            needed, room = sum(entry.segment.nbytes for entry in held), self._budget - self._tree.pinned_nbytes
            if needed > room:
                raise self._too_much(needed)
            # Evictions begin with what was used before these, so that none of them gives way to another one.
            for path, entry in zip(paths, held, strict=True):
                self._put(path, entry.segment)

    def _paths(self, held: Sequence[HeldSegment]) -> list[Tokens]:
        """For each segment, all tokens up to its end."""
        paths: list[Tokens] = []
        for entry in held:
            parents = [] if entry.parent is None else paths[entry.parent : entry.parent + 1]
            path = np.concatenate([*parents, entry.tokens])
            begin = len(path) - len(entry.tokens)
            if entry.segment.begin != begin:
                raise _not_covered(entry.segment.begin, begin)
            paths.append(self._checked(path, entry.segment))
        return paths

    def _checked(self, tokens: Sequence[int] | Tokens, tail: KVSegment) -> Tokens:
        if tail.fingerprint != self._fingerprint:
            raise EngineError(
                f"a KV segment belongs to engine {tail.fingerprint}, the store to {self._fingerprint}",
                "Compute the prefix anew with this engine.",
            )
        if tail.end < len(tokens):
            raise EngineError(
                f"a KV segment that ends at token {tail.end} was offered for {len(tokens)} tokens",
                "Copy it out of a slot that holds exactly these tokens.",
            )
        return _array(tokens)

    def _put(self, tokens: Tokens, tail: KVSegment) -> bool:
        match = self._tree.match(tokens)
        if match.length < len(tokens) and not self._can_put(match, tokens, tail):
            return False
        node = self._tree.cut(tokens)
        self._tree.touch(node)  # what an entry continues must not be evicted for it
        if match.length < len(tokens):
            missing = tail.part(match.length, len(tokens))
            self._evict(self._budget - missing.nbytes)
            self._tree.append(node, tokens[match.length :], missing)
        return True

    def _can_put(self, match: Match, tokens: Tokens, tail: KVSegment) -> bool:
        """Whether the tail continues what is held, and the budget has room for it."""
        if tail.begin > match.length:
            return False
        return self._needed(match, tokens, tail) <= self._budget - self._tree.pinned_nbytes

    @staticmethod
    def _needed(match: Match, tokens: Tokens, tail: KVSegment) -> int:
        """Bytes of the tokens that are not pinned, held or not."""
        return (len(tokens) - match.pinned_length) * (tail.nbytes // tail.length)

    def _evict(self, nbytes: int) -> None:
        """Leave at most ``nbytes``."""
        while self._tree.nbytes > nbytes and (leaf := self._tree.oldest_leaf()):
            self._tree.remove(leaf)
            self._evictions += 1
            self._evicted_tokens += leaf.segment.length

    def _pin(self, tokens: Tokens) -> Pin:
        node = self._tree.cut(tokens)
        self._tree.pin(node)
        return Pin(self._tree, node, self._lock)

    def _refusal(self, tokens: Tokens, tail: KVSegment) -> EngineError:
        match = self._tree.match(tokens)
        if match.length < tail.begin:
            return _not_covered(tail.begin, match.length)
        return self._too_much(self._needed(match, tokens, tail))

    def _too_much(self, needed: int) -> MemoryBudgetExceeded:
        pinned = self._tree.pinned_nbytes
        return MemoryBudgetExceeded(
            f"KV to keep in memory needs {needed} bytes more than the {pinned} that are pinned, the budget is "
            f"{self._budget}",
            "Raise the KV budget, or keep fewer or shorter prompt beginnings resident.",
        )


def _array(tokens: Sequence[int] | Tokens) -> Tokens:
    return np.asarray(tokens, dtype=np.int64)


def _not_covered(wanted: int, held: int) -> EngineError:
    return EngineError(
        f"of {wanted} tokens whose KV is wanted, the store holds the first {held} only",
        "Copy the KV out from there on, and put it into the store again.",
    )
