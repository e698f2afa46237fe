"""Semantic versions of tasks: MAJOR.MINOR.PATCH (Semantic Versioning 2.0.0, without pre-releases)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from edge_autoglm.errors import TaskFileError

if TYPE_CHECKING:
    from edge_autoglm.prompts.fields import Field

_VERSION = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")


class Bump(IntEnum):
    """How much of a version a change deserves."""

    NONE = 0
    PATCH = 1
    """Nothing that answers a request: descriptions, probes, golden questions."""
    MINOR = 2
    """Requests stay the same, answers may not: variants, settings, what the guard lets through."""
    MAJOR = 3
    """An app that asks for the task has to change: kind, inputs or labels."""


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """A task's version; ordered.

    >>> parse_version("1.9.2") < parse_version("1.10.0")
    True
    >>> str(parse_version("1.9.2").bumped(Bump.MINOR))
    '1.10.0'
    """

    major: int = 0
    minor: int = 0
    patch: int = 0

    def bumped(self, bump: Bump) -> Version:
        """The version that follows."""
        if bump is Bump.MAJOR:
            return Version(self.major + 1)
        if bump is Bump.MINOR:
            return Version(self.major, self.minor + 1)
        return Version(self.major, self.minor, self.patch + (bump is Bump.PATCH))

    def bump_to(self, other: Version) -> Bump:
        """The highest part in which ``other`` is ahead; ``NONE`` where it is the same version or an earlier one."""
        if other <= self:
            return Bump.NONE
        if other.major > self.major:
            return Bump.MAJOR
        return Bump.MINOR if other.minor > self.minor else Bump.PATCH

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


UNVERSIONED = Version()
"""0.0.0: of a task file that says nothing."""

_CURE = "Write MAJOR.MINOR.PATCH in whole numbers, as 1.2.0."


def parse_version(text: str) -> Version:
    """A version from its text.

    Raises:
        TaskFileError: It is none.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise TaskFileError(f"{text[:40]!r} is no version", _CURE)
    return Version(*map(int, match.groups()))


def read_version(field: Field | None) -> Version:
    """The ``version`` of a task file; 0.0.0 where it has none.

    Raises:
        TaskFileError: It is not three whole numbers.
    """
    if field is None:
        return UNVERSIONED
    text = field.text()
    if _VERSION.fullmatch(text) is None:
        raise field.error(f"is {text[:40]!r}, which is no version", _CURE)
    return parse_version(text)
