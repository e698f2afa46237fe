"""What a candidate must show at every stage of a swap, from one file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edge_autoglm.errors import RequestError
from edge_autoglm.swap.health import HealthPolicy

S = TypeVar("S")

SCHEMA = 1

SLOWEST = 4.0
"""Times the usual latency, beyond which one counts as that, so that one outlier decides nothing."""
_MARGINS = {
    "errors": (1e-3, 0.999),
    "garbage": (1e-3, 0.999),
    "reward": (1e-3, 0.999),
    "latency": (1e-3, SLOWEST - 1.0),
}


@dataclass(frozen=True, slots=True)
class ShadowPolicy:
    """Requests of users that the candidate answers as well, unseen, beside the active generation.

    Attributes:
        requests: To be compared; 0 leaves the stage out.
        min_agreement: Mean agreement with the active generation's answers: the same label, or for texts the F1 of their
            words.
        max_seconds: Within which they have to come.

    Raises:
        RequestError: A value is out of range.
    """

    requests: int = 0
    min_agreement: float = 0.8
    max_seconds: float = 3600.0

    def __post_init__(self) -> None:
        _check(self, "shadow", requests=(0, math.inf), min_agreement=(0.0, 1.0), max_seconds=(0.0, math.inf))


@dataclass(frozen=True, slots=True)
class CanaryPolicy:
    """Requests of users that the candidate answers alone, and how much worse it may be at them.

    Each margin is tested against what the active generation does at the same time, however often one looks: a
    candidate within all of them is sent back with probability at most ``alpha``.

    Attributes:
        requests: That the candidate answers, at least, before it goes live; 0 leaves the stage out. While it looks
            worse than a margin allows, and that is not yet shown, the canary goes on.
        share: Of sessions, or of requests without one, above 0 and at most 0.5.
        max_seconds: Within which they have to come.
        alpha: Probability of sending a good candidate back.
        errors: What may be added to the share of requests that fail.
        garbage: To that of answers that are empty, broken or endless.
        latency: To the mean time of a request, as a share of the active generation's.
        reward: What may be taken off the mean reward.

    Raises:
        RequestError: A value is out of range.
    """

    requests: int = 0
    share: float = 0.1
    max_seconds: float = 86_400.0
    alpha: float = 0.05
    errors: float = 0.05
    garbage: float = 0.05
    latency: float = 0.5
    reward: float = 0.1

    def __post_init__(self) -> None:
        _check(self, "canary", requests=(0, math.inf), share=(1e-3, 0.5), max_seconds=(0.0, math.inf))
        _check(self, "canary", alpha=(1e-6, 0.5), **_MARGINS)


@dataclass(frozen=True, slots=True)
class TripwirePolicy:
    """What brings the previous generation back by itself, soon after a swap.

    Attributes:
        requests: Of the new generation that are watched; 0 watches none.
        alarm_once_in: Requests between false alarms, on average, for a generation at its limits.
        errors: What may be added to the share of requests that fail.
        garbage: To that of answers that are empty, broken or endless.
        latency: To the mean time of a request, as a share of the previous generation's; at most 3.
        reward: What may be taken off the mean reward.

    Raises:
        RequestError: A value is out of range.
    """

    requests: int = 500
    alarm_once_in: float = 10_000.0
    errors: float = 0.05
    garbage: float = 0.05
    latency: float = 2.0
    reward: float = 0.2

    def __post_init__(self) -> None:
        _check(self, "tripwires", requests=(0, math.inf), alarm_once_in=(10.0, math.inf), **_MARGINS)


@dataclass(frozen=True, slots=True)
class DrainPolicy:
    """The generation that a swap gives up for good is freed when its last request ends.

    Attributes:
        max_seconds: After which the swap is reported as ``DrainTimedOut``: it is live, but memory is held.

    Raises:
        RequestError: The value is out of range.
    """

    max_seconds: float = 60.0

    def __post_init__(self) -> None:
        _check(self, "drain", max_seconds=(0.0, math.inf))


@dataclass(frozen=True, slots=True)
class SwapPolicy:
    """Exit criteria of the stages.

    Attributes:
        check: Before any user's request reaches the candidate.
        shadow: Beside users' requests.
        canary: On some of them.
        tripwires: Once it is live.
        drain: Of what it replaces.
    """

    check: HealthPolicy = field(default_factory=HealthPolicy)
    shadow: ShadowPolicy = field(default_factory=ShadowPolicy)
    canary: CanaryPolicy = field(default_factory=CanaryPolicy)
    tripwires: TripwirePolicy = field(default_factory=TripwirePolicy)
    drain: DrainPolicy = field(default_factory=DrainPolicy)

    @classmethod
    def load(cls, path: str | Path) -> SwapPolicy:
        """Read a policy file: YAML with ``schema: 1`` and a mapping for each stage; what is left out is as usual.

        Raises:
            RequestError: The file cannot be read, names something unknown, or a value is out of range.
        """
        content = _mapping(Path(path))
        stages = {field.name: field.default_factory for field in dataclasses.fields(cls)}
        unknown = sorted(set(content) - {"schema", *stages})
        if unknown or content.get("schema") != SCHEMA:
            found = f"has no stage {unknown[0]!r}" if unknown else f"is of schema {content.get('schema')!r}"
            raise RequestError(f"the swap policy {path} {found}", f"Give schema: {SCHEMA} and {', '.join(stages)}.")
        return cls(**{name: _stage(Path(path), name, content.get(name), make()) for name, make in stages.items()})  # type: ignore[operator]


def _mapping(path: Path) -> Mapping[str, Any]:
    import yaml  # on use: it takes 20 ms

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(f"the swap policy {path} cannot be read: {error}", "Give a YAML file.") from error
    if not isinstance(content, dict):
        raise RequestError(f"the swap policy {path} is no mapping", f"Begin it with `schema: {SCHEMA}`.")
    return content


def _stage(path: Path, name: str, given: object, usual: S) -> S:
    if given is None:
        return usual
    known = [field.name for field in dataclasses.fields(usual)]  # type: ignore[arg-type]
    if not isinstance(given, dict) or not set(given) <= set(known):
        what = f"has no {sorted(set(given) - set(known))[0]!r}" if isinstance(given, dict) else "is no mapping"
        raise RequestError(f"{path}: {name} {what}", f"Name some of {', '.join(known)}.")
    try:
        return dataclasses.replace(usual, **given)  # type: ignore[type-var]
    except TypeError as error:
        raise RequestError(f"{path}: a value of {name} is of the wrong kind: {error}", "Give numbers.") from error


def _check(policy: object, stage: str, **ranges: tuple[float, float]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(policy, name)
        if not low <= value <= high:
            limit = "" if high == math.inf else f" to {high:g}"
            raise RequestError(f"{stage}.{name} of the swap policy is {value!r}", f"Give {low:g}{limit or ' or more'}.")
