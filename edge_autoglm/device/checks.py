"""What a look at one thing comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        subject: What was looked at.
        status: A note is worth knowing; a problem breaks something.
        found: What there is.
        cure: What to do about it, as an imperative; empty where all is well.
    """

    subject: str
    status: Status
    found: str
    cure: str = ""


def ok(subject: str, found: str) -> Check:
    """All is well."""
    return Check(subject, Status.OK, found)


def note(subject: str, found: str, cure: str) -> Check:
    """Worth knowing: something is slower than it could be, or not there for those who want it."""
    return Check(subject, Status.NOTE, found, cure)


def problem(subject: str, found: str, cure: str) -> Check:
    """Something does not work."""
    return Check(subject, Status.PROBLEM, found, cure)
