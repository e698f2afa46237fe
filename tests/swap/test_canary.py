"""A canary's verdict, from requests that a test makes up."""

from __future__ import annotations

import threading

import pytest

from edge_autoglm.swap.baseline import Means
from edge_autoglm.swap.canary import CanaryTrial
from edge_autoglm.swap.policy import CanaryPolicy
from edge_autoglm.swap.traffic import Served


@pytest.fixture
def wake() -> threading.Event:
    return threading.Event()


def request(canary: bool, failed: bool = False) -> Served:
    return Served(2 if canary else 1, 0.1, failed, canary=canary)


def test_a_verdict_stays_whatever_comes_after_it(wake: threading.Event) -> None:
    trial = CanaryTrial(Means(), CanaryPolicy(requests=5, share=0.5), wake)
    for number in range(10):
        assert not trial.passed
        trial.served(request(canary=number % 2 == 1))
    assert trial.passed
    assert wake.is_set()
    measured = trial.metrics()
    for _ in range(50):
        trial.served(request(canary=True, failed=True))
    assert trial.passed
    assert trial.fault is None
    assert trial.metrics() == measured


def test_one_that_looks_worse_goes_on_until_that_is_shown(wake: threading.Event) -> None:
    trial = CanaryTrial(Means(), CanaryPolicy(requests=2, share=0.5), wake)
    trial.served(request(canary=True, failed=True))
    trial.served(request(canary=False))
    trial.served(request(canary=True))
    assert trial.answered == 2
    assert not wake.is_set()
    assert trial.undecided == "canary: errors beyond the margin, though that was not shown in time"
    for _ in range(40):
        trial.served(request(canary=True, failed=True))
        trial.served(request(canary=False))
    assert trial.fault is not None
    assert "errors" in trial.fault
    assert wake.is_set()


def test_one_that_nobody_asks_says_so(wake: threading.Event) -> None:
    trial = CanaryTrial(Means(), CanaryPolicy(requests=7), wake)
    trial.served(Served(2, 0.1))  # not drawn between the two
    assert trial.undecided == "canary: it answered 0 of 7 requests in time"
    assert trial.metrics() == {
        "canary_requests": 0.0,
        "canary_errors": 0.0,
        "canary_garbage": 0.0,
        "canary_reward": 0.0,
    }
