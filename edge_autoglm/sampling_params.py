"""How a continuation is decoded: what a request may ask for, and the checks of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TypedDict

from edge_autoglm.constraints import Choice, Constraint, JsonSchema, Regex
from edge_autoglm.errors import RequestError


@dataclass(frozen=True, slots=True)
class AdaptiveTemperature:
    """A temperature that follows the model's doubt: low where it is sure, high where many tokens would do.

    With ``H`` the entropy of the next token in nats, at temperature 1::

        T = low + (high - low) * 2 ** (-midpoint / H)

    This is the rule of EDT (Zhang et al. 2024, "EDT: Improving Large Language Models' Generation by Entropy-based
    Dynamic Temperature Sampling"), ``T0 * N ** (theta / H)``, for ``T0 = high`` and ``N ** theta = 2 ** -midpoint``,
    with a lower bound that EDT sets to 0. It depends on the entropy alone, not on the size of the vocabulary.

    Attributes:
        low: Temperature where one token is certain; above 0.
        high: Temperature that is approached as the entropy grows; at least ``low``.
        midpoint: Entropy in nats at which the temperature lies half-way; above 0.

    Raises:
        RequestError: A value is out of range.
    """

    low: float
    high: float
    midpoint: float = 1.0

    def __post_init__(self) -> None:
        for name in ("low", "high", "midpoint"):
            _settle(self, name, _number, above=0.0)
        if self.high < self.low:
            raise RequestError(
                f"adaptive_temperature has low {self.low} above high {self.high}", "Exchange the two bounds."
            )


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How a continuation is decoded; greedy by default.

    Attributes:
        max_new_tokens: At least 1.
        temperature: 0 is greedy; otherwise logits are divided by it.
        top_k: Keep the k most probable tokens; 0 keeps all.
        top_p: Keep the smallest set of tokens of that probability, in (0, 1] (nucleus, Holtzman et al. 2020).
        stop: Texts that end the continuation; they are not part of it.
        seed: Of the request's own random stream, 0 or more; ``None`` draws one.
        min_p: Keep the tokens of at least this share of the highest probability, in [0, 1] (Nguyen et al. 2024);
            0 keeps all.
        repetition_penalty: Positive logits of tokens of the prompt and the continuation are divided by it, negative
            ones multiplied (CTRL, Keskar et al. 2019), in [0.01, 100]; 1 changes nothing.
        adaptive_temperature: Chooses the temperature token by token, in place of ``temperature``.
        logprobs: Report the log-probability of each new token and of this many most probable ones, 0 to 100: of the
            model's own distribution, before constraint, penalty, temperature and truncation. ``None`` reports none.
        constraint: What the continuation must be.
        min_new_tokens: The model may not end the text before; a stop text or the end of a constraint may.

    Raises:
        RequestError: A value is out of range or of another type.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    adaptive_temperature: AdaptiveTemperature | None = None
    logprobs: int | None = None
    constraint: Constraint | None = None
    min_new_tokens: int = 0

    def __post_init__(self) -> None:
        _settle(self, "max_new_tokens", _integer, at_least=1)
        _settle(self, "temperature", _number, at_least=0.0)
        _settle(self, "top_k", _integer)
        _settle(self, "top_p", _number, above=0.0, at_most=1.0)
        _check_stop(self.stop)
        if self.seed is not None:
            _settle(self, "seed", _integer)
        _settle(self, "min_p", _number, at_least=0.0, at_most=1.0)
        _settle(self, "repetition_penalty", _number, at_least=0.01, at_most=100.0)
        _check_adaptive(self.adaptive_temperature, self.temperature)
        if self.logprobs is not None:
            _settle(self, "logprobs", _integer, at_most=100)
        if self.constraint is not None and not isinstance(self.constraint, (Choice, Regex, JsonSchema)):
            raise RequestError(f"constraint is {self.constraint!r}", "Give a Choice, a Regex or a JsonSchema.")
        _settle(self, "min_new_tokens", _integer, at_most=self.max_new_tokens)

    @property
    def greedy(self) -> bool:
        """Whether the most probable token is taken each time, so that no random number is drawn."""
        return self.temperature == 0.0 and self.adaptive_temperature is None


class SamplingSettings(TypedDict, total=False):
    """Fields of `SamplingParams` as keyword arguments; ``stop`` may be any sequence of texts."""

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    stop: Sequence[str]
    seed: int | None
    min_p: float
    repetition_penalty: float
    adaptive_temperature: AdaptiveTemperature | None
    logprobs: int | None
    constraint: Constraint | None
    min_new_tokens: int


def sampling_params(settings: SamplingSettings) -> SamplingParams:
    """Settings as given by name.

    Raises:
        RequestError: One is unknown, or out of range.
    """
    unknown = sorted(settings.keys() - SamplingParams.__dataclass_fields__.keys())
    if unknown:
        raise RequestError(f"there is no setting {unknown[0]!r}", f"Use {', '.join(SamplingParams.__slots__)}.")
    stop = settings.get("stop", ())
    given = {**settings, "stop": stop if isinstance(stop, str) else tuple(stop)}
    return SamplingParams(**given)  # type: ignore[arg-type]


def _settle(target: object, name: str, read: Callable[..., float], **bounds: float) -> None:
    """Check a field, and make a number of NumPy one of Python, which JSON and the arithmetic of lengths can take."""
    object.__setattr__(target, name, read(name, getattr(target, name), **bounds))


def _integer(name: str, value: object, *, at_least: int = 0, at_most: int | None = None) -> int:
    # For Python a bool is an integer, and one of NumPy's is not.
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise RequestError(f"{name} is {value!r}", "Give a whole number.")
    if int(value) < at_least:
        raise RequestError(f"{name} is {value}", f"Give {at_least} or more.")
    if at_most is not None and int(value) > at_most:
        raise RequestError(f"{name} is {value}", f"Give {at_least} to {at_most}.")
    return int(value)


def _number(
    name: str, value: object, *, at_least: float = -math.inf, above: float = -math.inf, at_most: float = math.inf
) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise RequestError(f"{name} is {value!r}", "Give a number.")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    if math.isfinite(number) and at_least <= number <= at_most and number > above:
        return number
    lower = f"above {above:g}" if at_least == -math.inf else f"of at least {at_least:g}"
    upper = f" and at most {at_most:g}" if at_most < math.inf else ""
    raise RequestError(f"{name} is {value}", f"Give a finite number {lower}{upper}.")


def _check_stop(stop: object) -> None:
    # A text is itself a sequence of texts: each of its characters would stop.
    if not isinstance(stop, tuple) or not all(isinstance(text, str) for text in stop):
        raise RequestError(f"stop is {stop!r}", "Give a tuple of texts.")
    if "" in stop:
        raise RequestError("a stop text is empty", "Leave it out; an empty text would stop at once.")


def _check_adaptive(adaptive: object, temperature: float) -> None:
    if adaptive is None:
        return
    if not isinstance(adaptive, AdaptiveTemperature):
        raise RequestError(f"adaptive_temperature is {adaptive!r}", "Give an AdaptiveTemperature(low, high).")
    if temperature != 0.0:
        raise RequestError(
            f"temperature is {temperature} beside an adaptive_temperature", "Give one of the two; leave the other out."
        )
