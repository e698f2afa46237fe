"""Hashes that place features and arms in one weight table (the hashing trick, Weinberger et al. 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, 2**64 / golden ratio: Fibonacci hashing
_HALF = np.uint64(32)


def hash_name(name: str, key: bytes = b"") -> int:
    """32-bit hash of a feature's name, the same on every machine.

    Args:
        name: Of the feature.
        key: Up to 64 bytes. Without the key, the hash of a word that a user wrote cannot be told from a random number.

    >>> hash_name("length=5"), hash_name("length=5", key=b"secret")
    (1245028178, 232836438)
    """
    # A lone surrogate is a legal character of a str, so it must not stop a request.
    encoded = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(encoded, digest_size=4, key=key).digest(), "little")


@lru_cache(maxsize=1024)  # a pure function of its arguments, called with the same few tuples at every decision
def hash_arms(arms: tuple[str, ...], task: str = "") -> npt.NDArray[np.uint64]:
    """64-bit hash of each arm's name in its task, read-only, shape ``[arms]``."""
    key = hash_name(task).to_bytes(4, "little") if task else b""
    digests = b"".join(blake2b(arm.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest() for arm in arms)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64, copy=False)


def cross(arms: Sequence[str], indices: npt.NDArray[np.int64], task: str = "") -> npt.NDArray[np.int64]:
    """Indices of every feature of every arm, the arm's bias first.

    Args:
        arms: Names.
        indices: Of the request's features, shape ``[features]``.
        task: Whose arms they are; arms of two tasks share nothing.

    Returns:
        Well-mixed 32-bit numbers, shape ``[arms, 1 + features]``; a table of ``2**bits`` weights uses the low bits.
    """
    hashed = hash_arms(tuple(arms), task)
    crossed = np.empty((len(hashed), 1 + len(indices)), dtype=np.uint64)
    crossed[:, 0] = hashed
    np.bitwise_xor(hashed[:, None], indices.view(np.uint64), out=crossed[:, 1:])
    crossed *= _MULTIPLIER
    crossed >>= _HALF  # the high half of a product is the well-mixed one
    return crossed.view(np.int64)


def share_of(key: str, salt: str) -> float:
    """A number in 0..1 that is always the same for a key, and evenly spread and independent over keys and salts.

    >>> round(share_of("user 7", "canary 3"), 3), round(share_of("user 7", "canary 4"), 3)
    (0.506, 0.961)
    """
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, key=blake2b(salt.encode()).digest()).digest()
    return int.from_bytes(digest[:7], "little") / 2**56
