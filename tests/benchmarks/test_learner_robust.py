import random

import pytest

from benchmarks.learner.channels import CHANNELS, DELAY, Message, user
from benchmarks.learner.robust import checks, play
from tests.benchmarks.learner_streams_for_tests import signs


def transmitted(channel: str, count: int = 2000) -> list[Message | None]:
    rng = random.Random(1)
    return [CHANNELS[channel](Message(step, str(step), 1.0, user(rng)), rng) for step in range(count)]


def test_a_clean_channel_changes_nothing_and_a_late_one_the_date_only() -> None:
    for clean, late in zip(transmitted("clean", 20), transmitted("late", 20), strict=True):
        assert clean is not None
        assert late == Message(clean.due + DELAY, clean.decision, clean.reward, clean.source)


@pytest.mark.parametrize(("channel", "share"), [("missing", 0.8), ("flipped", 0.1), ("hostile", 0.2)])
def test_a_bad_channel_spoils_its_share(channel: str, share: float) -> None:
    messages = transmitted(channel)
    spoilt = [message for message in messages if message is None or message.reward == 0.0]
    assert len(spoilt) / len(messages) == pytest.approx(share, abs=0.03)


def test_all_that_is_hostile_comes_from_one_source() -> None:
    messages = [message for message in transmitted("hostile") if message is not None]
    assert {message.source for message in messages if message.reward == 0.0} == {"hostile"}
    assert "hostile" not in {message.source for message in messages if message.reward == 1.0}


@pytest.mark.parametrize("channel", list(CHANNELS))
def test_the_learner_gets_through_every_channel(channel: str) -> None:
    losses = play(signs(600), channel, seed=1)
    assert losses[-150:].mean() < 0.3


def test_every_channel_is_held_against_the_clean_one() -> None:
    found = list(checks({"led/clean": 0.2, "led/late": 0.31, "led/missing": 0.3}))
    assert [(check.stream, check.holds) for check in found] == [("led", False), ("led", True)]
