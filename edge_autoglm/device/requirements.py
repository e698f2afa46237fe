"""What the package's own metadata asks for: the part of PEP 508 that its requirements use."""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*?)\s*(?:;(.*))?")
_CLAUSE = re.compile(r"(>=|<=|==|!=|>|<)\s*([0-9.]+)")
_CONDITION = re.compile(r"(python_version|extra)\s*(>=|<=|==|!=|>|<)\s*['\"]([^'\"]*)['\"]")
_COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """A distribution that is wanted.

    Attributes:
        name: Normalised as PEP 503 says.
        clauses: Comparison and version; all must hold.
        extra: The extra that brings it; ``None`` for the core.
    """

    name: str
    clauses: tuple[tuple[str, str], ...]
    extra: str | None

    def is_met_by(self, version: str) -> bool:
        """Whether an installed version will do; pre-releases count as their release."""
        return all(_holds(version, comparison, wanted) for comparison, wanted in self.clauses)

    @property
    def text(self) -> str:
        """As pip takes it."""
        return self.name + ",".join(comparison + version for comparison, version in self.clauses)


def parse_requirements(lines: Iterable[str]) -> list[Requirement]:
    """Those of ``Requires-Dist`` lines that this interpreter's version wants, of the core and of all extras."""
    requirements = []
    for line in lines:
        match = _REQUIREMENT.fullmatch(line.strip())
        if match is None:
            continue
        name, clauses, marker = match.groups()
        conditions = _CONDITION.findall(marker or "")
        extra = next((value for fact, _, value in conditions if fact == "extra"), None)
        if all(_holds(_PYTHON, comparison, value) for fact, comparison, value in conditions if fact != "extra"):
            requirements.append(Requirement(normalised(name), tuple(_CLAUSE.findall(clauses)), extra))
    return requirements


def normalised(name: str) -> str:
    """A distribution's name in the form that PEP 503 compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


_PYTHON = "{}.{}".format(*sys.version_info)


def _holds(version: str, comparison: str, wanted: str) -> bool:
    holds: bool = _COMPARISONS[comparison](_release(version), _release(wanted))
    return holds


def _release(version: str) -> tuple[int, ...]:
    """Numbers of a version, without zeros at the end (1.2 is 1.2.0) and without what follows (``rc1``, ``+cpu``)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
