"""Answers to exactly repeated, deterministic requests."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real

from edge_autoglm.errors import RequestError

_ENTRY_BYTES = 320
"""Memory of an entry besides its value: key, digest, size, place in the ordered dictionary; measured: 250-312."""


@dataclasses.dataclass(frozen=True, slots=True)
class CacheKey:
    """Names one request; from `ResponseCache.key`."""

    generation: int
    digest: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class CacheStats:
    """Counts since the cache was made; ``entries`` and ``nbytes`` are those held now."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    """Answers that made room for others."""
    entries: int = 0
    nbytes: int = 0


class ResponseCache:
    """Least recently used answers within a byte budget. Thread-safe.

    Only for requests whose answer their content determines: greedy decoding, label scoring. An answer belongs to the
    generation that gave it and is never returned for another.

    Texts of requests are not kept: a key is a BLAKE2b digest of 256 bits under a key of this object's own. Two
    requests share one with a probability of about ``n**2 / 2**257`` over ``n`` requests, and as the key is secret and
    random, nobody can search for such a pair.

    Args:
        budget_bytes: Of all entries together; 0 turns the cache off.

    Raises:
        RequestError: The budget is negative.
    """

    def __init__(self, budget_bytes: int) -> None:
        if budget_bytes < 0:
            raise RequestError(f"the response cache's budget is {budget_bytes} bytes", "Give 0 (off) or more.")
        self._budget = budget_bytes
        self._secret = os.urandom(32)
        self._lock = threading.Lock()
        self._entries: OrderedDict[CacheKey, tuple[object, int]] = OrderedDict()
        self._nbytes = 0
        self._hits = self._misses = self._evictions = 0

    @property
    def enabled(self) -> bool:
        """Whether anything can be kept: there is no need to make keys otherwise."""
        return self._budget > 0

    @property
    def stats(self) -> CacheStats:
        """A consistent snapshot."""
        with self._lock:
            return CacheStats(self._hits, self._misses, self._evictions, len(self._entries), self._nbytes)

    def key(self, generation: int, kind: str, *parts: object) -> CacheKey:
        """The key of a request.

        Args:
            generation: Number of the generation that answers.
            kind: Of request; each kind has parts of its own.
            parts: All that determines the answer: ``None``, booleans, numbers, texts, bytes, and sequences, mappings
                and dataclasses of such. Mappings in another order are other ones: sort what has no order.

        Raises:
            RequestError: A part is of another type, which has no canonical form.
        """
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for piece in _canonical((kind, parts)):
            digest.update(piece)
        return CacheKey(generation, digest.digest())

    def get(self, key: CacheKey) -> object | None:
        """The answer, if it is still held; it then is the most recently used one."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: CacheKey, value: object, nbytes: int) -> None:
        """Keep an answer; the least recently used ones make room. One that is larger than the budget is not kept.

        Args:
            key: Its request.
            value: Immutable, as every hit returns this very object.
            nbytes: Memory that it holds, for instance from `held_bytes`.
        """
        size = nbytes + _ENTRY_BYTES
        with self._lock:
            self._remove(key)
            if size > self._budget:
                return
            while self._nbytes + size > self._budget:
                self._remove(next(iter(self._entries)))
                self._evictions += 1
            self._entries[key] = value, size
            self._nbytes += size

    def _remove(self, key: CacheKey) -> None:
        _, size = self._entries.pop(key, (None, 0))
        self._nbytes -= size


def held_bytes(value: object) -> int:
    """Memory that a value of plain types and dataclasses holds; what occurs twice in it counts twice."""
    size = sys.getsizeof(value)
    if isinstance(value, Mapping):
        return size + sum(held_bytes(key) + held_bytes(item) for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return size + sum(map(held_bytes, value))
    if dataclasses.is_dataclass(value):
        return size + sum(held_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    return size


def _canonical(value: object) -> Iterator[bytes]:
    """An encoding in which no value is the beginning of another: each says its type and its size before its content."""
    if value is None or isinstance(value, bool):
        yield b"%r;" % value
    elif isinstance(value, Integral):
        yield b"i%d;" % int(value)
    elif isinstance(value, Real):
        yield b"f" + struct.pack(">d", value)
    elif isinstance(value, str):
        # Lone surrogates have no UTF-8, and a pair of them is another text than the character they would make.
        yield from _sized(b"s", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        yield from _sized(b"b", value)
    else:
        yield from _canonical_group(value)


def _canonical_group(value: object) -> Iterator[bytes]:
    members: list[object]
    if isinstance(value, Mapping):
        # In its own order: that of a JSON schema's properties is the order in which the model is made to answer.
        kind, members = "mapping", [part for item in value.items() for part in item]
    elif isinstance(value, Sequence):
        kind, members = "sequence", list(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        members = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        raise RequestError(
            f"a request with a {type(value).__name__} cannot be cached",
            "Give texts, numbers, and sequences, mappings and dataclasses of them.",
        )
    yield from _sized(b"g", kind.encode())
    yield b"%d;" % len(members)
    for member in members:
        yield from _canonical(member)


def _sized(tag: bytes, content: bytes) -> tuple[bytes, bytes]:
    return tag + b"%d;" % len(content), content
