"""Splits labelled examples into those that prompts are made of, those that choose among them, and those that judge."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_autoglm.errors import EvolveError
from edge_autoglm.prompts.rewrite import Labelled

LEAST_VALIDATION = 8
"""Fewer examples than this cannot rank prompts."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How examples are split.

    Attributes:
        train: Of which prompts are made: solved examples in them.
        validation: By which prompts are chosen.
        test: Untouched until the end; may be 0, then nothing is reported but what was chosen by.
    """

    train: float = 0.2
    validation: float = 0.5
    test: float = 0.3

    def __post_init__(self) -> None:
        parts = (self.train, self.validation, self.test)
        if min(parts) < 0 or not self.validation or abs(sum(parts) - 1) > 1e-9:
            raise EvolveError(
                f"the shares of train, validation and test are {self.train}, {self.validation} and {self.test}",
                "Give numbers of at least 0 that sum up to 1, validation above 0.",
            )


@dataclass(frozen=True, slots=True)
class Splits:
    """Examples by what they are for. No input is in two of them.

    Attributes:
        train: See `Shares`.
        validation: In an order in which every beginning has about the same share of each label.
        test: See `Shares`.
        repeated: Examples that were left out because their inputs came before, with the same answer.
        contradictory: Examples that were left out because equal inputs have different answers.
    """

    train: tuple[Labelled, ...]
    validation: tuple[Labelled, ...]
    test: tuple[Labelled, ...]
    repeated: int
    contradictory: int


def split(examples: Sequence[Labelled], shares: Shares, seed: int, labels: Sequence[str] = ()) -> Splits:
    """Split examples at random, each label (if there are labels) in the same proportion everywhere.

    Args:
        examples: In any order; the result depends on it.
        shares: Of the three parts.
        seed: Of the shuffling.
        labels: Of the task; empty for free text, which is not stratified.

    Raises:
        EvolveError: Too few are left for the validation, or a label has no example in it.
    """
    kept, repeated, contradictory = _distinct(examples)
    rng = np.random.default_rng(seed)
    groups: dict[str, list[Labelled]] = defaultdict(list)
    for number in rng.permutation(len(kept)):
        groups[kept[number].expect if labels else ""].append(kept[number])
    parts: list[list[tuple[float, Labelled]]] = [[], [], []]
    for _, group in sorted(groups.items()):
        for part, members in zip(parts, _cut(group, shares), strict=True):
            part += [((place + 0.5) / len(members), each) for place, each in enumerate(members)]
    train, validation, test = (tuple(each for _, each in sorted(part, key=lambda pair: pair[0])) for part in parts)
    _check(validation, len(kept), labels)
    return Splits(train, validation, test, repeated, contradictory)


def _cut(group: Sequence[Labelled], shares: Shares) -> tuple[Sequence[Labelled], ...]:
    first = round(len(group) * shares.train)
    second = round(len(group) * (shares.train + shares.validation))
    return group[:first], group[first:second], group[second:]


def _distinct(examples: Sequence[Labelled]) -> tuple[list[Labelled], int, int]:
    """Examples whose inputs differ by more than case and white space; of those that contradict each other, none."""
    by_inputs: dict[Hashable, list[Labelled]] = defaultdict(list)
    for example in examples:
        by_inputs[_key(example)].append(example)
    agreeing = [group for group in by_inputs.values() if len({each.expect for each in group}) == 1]
    kept = [group[0] for group in agreeing]
    repeated = sum(len(group) - 1 for group in agreeing)
    return kept, repeated, len(examples) - len(kept) - repeated


def _key(example: Labelled) -> Hashable:
    texts = sorted(example.inputs.items())
    return tuple((name, " ".join(unicodedata.normalize("NFKC", text).casefold().split())) for name, text in texts)


def _check(validation: Sequence[Labelled], distinct: int, labels: Sequence[str]) -> None:
    if len(validation) < LEAST_VALIDATION:
        cause = f"of {distinct} different examples, {len(validation)} are left to choose prompts by"
        raise EvolveError(cause, f"Give more examples, so that there are at least {LEAST_VALIDATION}; 100 are good.")
    present = {example.expect for example in validation}
    absent = [label for label in labels if label not in present]
    if absent:
        raise EvolveError(f"no example to choose prompts by has the label {absent[0]}", "Give more examples of it.")
