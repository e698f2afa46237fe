"""Semantic versions of generations: what changed shows in the number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

_PATTERN = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class Change(IntEnum):
    """What a generation changes; the place of the version's part that counts it."""

    ENGINE = 0
    PROMPTS = 1
    POLICY = 2


class Version(NamedTuple):
    """``MAJOR.MINOR.PATCH``: engine, prompts, policy.

    >>> Version.parse("1.4.2") < Version(1, 10, 0)
    True
    """

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """From its text.

        Raises:
            ValueError: It is not three numbers with dots between them.
        """
        found = _PATTERN.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not a version such as 1.4.2")
        return cls(*map(int, found.groups()))

    def __str__(self) -> str:
        return ".".join(map(str, self))


FIRST = Version(1, 0, 0)


def change_between(old: tuple[str, str], new: tuple[str, str]) -> Change:
    """What changed, from the fingerprint of the engine and the digest of the whole bundle, before and after."""
    if old[0] != new[0]:
        return Change.ENGINE
    return Change.POLICY if old[1] == new[1] else Change.PROMPTS


def next_version(parent: Version, change: Change, used: Iterable[Version]) -> Version:
    """The version of a generation built on ``parent``; above those in use that change the same thing.

    >>> str(next_version(Version(1, 2, 3), Change.PROMPTS, []))
    '1.3.0'
    >>> str(next_version(Version(1, 2, 3), Change.POLICY, [Version(1, 2, 4)]))    # 1.2.4 was given up
    '1.2.5'
    """
    kept = parent[:change]
    taken = [version[change] for version in used if version[:change] == kept]
    major, minor, patch = (*kept, max([parent[change], *taken]) + 1, 0, 0)[:3]
    return Version(major, minor, patch)
