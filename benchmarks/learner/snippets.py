"""Snippets with human ratings, and the rows of them that are for development and for reports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TASK = "sentiment"
DOMAINS = ("movies", "tweets")
DEVELOPMENT, REPORT = "development", "report"
REWARDS = Path(__file__).parent / "data" / "sentiment_rewards.json"
"""Which variant labels which snippet right."""
_FIRST_ROW = {DEVELOPMENT: 1, REPORT: 1001}


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of one file.

    Attributes:
        domain: Name of the file, without its ending.
        first: Number of the first row, from 1.
        texts: Of the snippets.
        labels: The sign of their mean human rating.
    """

    domain: str
    first: int
    texts: tuple[str, ...]
    labels: tuple[str, ...]


def read_rows(folder: Path, domain: str, split: str, count: int) -> Rows:
    """The first ``count`` rows of a split.

    Raises:
        FileNotFoundError: The file is not in the folder.
    """
    lines = (folder / f"{domain}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    first = _FIRST_ROW[split]
    pairs = [line.split("\t", 1) for line in lines[first - 1 : first - 1 + count]]
    return Rows(
        domain=domain,
        first=first,
        texts=tuple(text.strip() for _, text in pairs),
        labels=tuple("positive" if float(valence) > 0 else "negative" for valence, _ in pairs),
    )
