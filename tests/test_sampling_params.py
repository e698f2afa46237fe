from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from edge_autoglm.constraints import Choice
from edge_autoglm.errors import RequestError
from edge_autoglm.values import AdaptiveTemperature, SamplingParams

BAD_NUMBERS = [math.nan, math.inf, -math.inf, 10**400, "0.5", True, None, [0.5]]
BAD_INTEGERS = [1.5, math.nan, "3", True, [3]]

BAD = [
    *[("max_new_tokens", value) for value in (0, -1, None, *BAD_INTEGERS)],
    *[("temperature", value) for value in (-0.1, *BAD_NUMBERS)],
    *[("top_k", value) for value in (-1, None, *BAD_INTEGERS)],
    *[("top_p", value) for value in (0.0, -0.5, 1.01, *BAD_NUMBERS)],
    *[("min_p", value) for value in (-0.1, 1.01, *BAD_NUMBERS)],
    *[("repetition_penalty", value) for value in (0.0, -1.0, 0.001, 101, *BAD_NUMBERS)],
    *[("seed", value) for value in (-1, *BAD_INTEGERS)],
    *[("logprobs", value) for value in (-1, 101, *BAD_INTEGERS)],
    *[("stop", value) for value in ("end", ["end"], ("end", 3), None, b"end")],
    *[("adaptive_temperature", value) for value in (0.5, {"low": 0.1, "high": 1.0}, (0.1, 1.0))],
    *[("constraint", value) for value in ("yes", ["yes", "no"], {"type": "object"}, Choice)],
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={value!r:.40}" for name, value in BAD])
def test_bad_values_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"^{name} is ") as refusal:
        SamplingParams(**{name: value})
    assert refusal.value.cure.endswith(".")


@pytest.mark.parametrize(
    ("bounds", "cause"),
    [
        ({"low": 0.0, "high": 1.0}, "low is 0"),
        ({"low": 0.5, "high": math.inf}, "high is inf"),
        ({"low": 0.5, "high": 1.0, "midpoint": 0}, "midpoint is 0"),
        ({"low": "0.5", "high": 1.0}, "low is '0.5'"),
        ({"low": 1.0, "high": 0.5}, "low 1.0 above high 0.5"),
    ],
)
def test_bad_bounds_are_refused(bounds: dict[str, Any], cause: str) -> None:
    with pytest.raises(RequestError, match=cause):
        AdaptiveTemperature(**bounds)


def test_an_empty_stop_text_is_refused() -> None:
    with pytest.raises(RequestError, match="a stop text is empty"):
        SamplingParams(stop=("a", ""))


def test_two_temperatures_are_refused() -> None:
    with pytest.raises(RequestError, match=r"temperature is 0\.7 beside an adaptive_temperature"):
        SamplingParams(temperature=0.7, adaptive_temperature=AdaptiveTemperature(0.1, 1.0))


def test_numbers_of_numpy_become_those_of_python() -> None:
    given: dict[str, Any] = {"temperature": np.float32(0.5), "top_k": np.uint8(3), "seed": np.uint64(2**63)}
    params = SamplingParams(**given)
    assert json.dumps([params.temperature, params.top_k, params.seed]) == "[0.5, 3, 9223372036854775808]"
    assert isinstance(SamplingParams(temperature=1).temperature, float)


def test_the_edges_of_the_ranges_are_taken() -> None:
    SamplingParams(1, 0, 0, 1, (), 0, 0, 0.01, None, 0)
    SamplingParams(top_p=1e-9, min_p=1, repetition_penalty=100, logprobs=100, constraint=Choice(["yes"]))


def test_only_temperature_0_is_greedy() -> None:
    assert SamplingParams(top_k=3, repetition_penalty=1.2).greedy
    assert not SamplingParams(temperature=1e-9).greedy
    assert not SamplingParams(adaptive_temperature=AdaptiveTemperature(0.1, 1.0)).greedy
