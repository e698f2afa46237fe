"""Running figures of an experiment: equal to a computation by hand, and the same after a pause."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence

import pytest

from edge_autoglm.learn.experiments.book import KEPT, ExperimentBook
from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.experiments.results import ALPHA, ExperimentResult
from edge_autoglm.learn.experiments.units import OPEN, REMEMBERED
from edge_autoglm.learn.models.base import ModelState
from tests.learn.experiments.traffic import World, record, reward

POLITER = Experiment("politer", "reply", ("plain", "polite"), weights=(3.0, 1.0))
THREE = Experiment("three", "reply", ("plain", "polite", "short"))
FRACTIONS, SHARES = (1.0, 0.6, 0.36, 0.2, 0.1, 0.04), (1.0, 4.0, 3.0, 1.0, 0.5, 0.25)


def play(experiment: Experiment, outcomes: Sequence[tuple[str, float]], book: ExperimentBook) -> None:
    """Requests without a session, each rewarded at once."""
    for number, (arm, value) in enumerate(outcomes):
        decided = record(experiment, f"d{number}", arm)
        book.decided(decided)
        book.rewarded(decided, reward(decided.id, value))


def only(book: ExperimentBook) -> ExperimentResult:
    [result] = book.results()
    return result


def not_refuted(values: Sequence[float], guesses: Sequence[float], loss: float, alpha: float) -> float:
    """The least mean that bets on ``values`` leave standing, by bisection on the mixture of capitals."""

    def capital(mean: float) -> float:
        total = 0.0
        for fraction, share in zip(FRACTIONS, SHARES, strict=True):
            stake = 0.98 / loss * fraction
            won = sum(
                math.log1p(stake * (value - guess)) - stake * (mean - guess)
                for value, guess in zip(values, guesses, strict=True)
            )
            total += share / sum(SHARES) * math.exp(won)
        return total

    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if capital(middle) > 1.0 / alpha else (low, middle)
    return low


def running(outcomes: Sequence[float]) -> list[float]:
    """The mean before each outcome, as if one of 0.5 had come first."""
    return [(0.5 + sum(outcomes[:n])) / (n + 1) for n in range(len(outcomes))]


def test_figures_equal_a_computation_by_hand() -> None:
    rng = random.Random(5)
    arms = ["polite" if rng.random() < 0.25 else "plain" for _ in range(120)]
    outcomes = [rng.choice((0.0, 1.0, 0.5)) if arm == "plain" else rng.choice((0.5, 1.0)) for arm in arms]
    book = ExperimentBook()
    play(POLITER, list(zip(arms, outcomes, strict=True)), book)
    result, counted = only(book), len(arms) - OPEN
    plain, polite = result.variants
    assert (plain.units, polite.units) == (arms.count("plain"), arms.count("polite"))
    assert plain.mean_reward == pytest.approx(
        sum(one for one, arm in zip(outcomes, arms, strict=True) if arm == "plain") / plain.feedbacks
    )

    means = running(outcomes[:counted])
    weights = [4.0 if arm == "polite" else -4.0 / 3.0 for arm in arms[:counted]]
    values = [weight * (y - m) for weight, y, m in zip(weights, outcomes, means, strict=False)]
    [difference] = result.differences
    assert (difference.variant, difference.control, difference.counted) == ("polite", "plain", counted)
    assert difference.interval.estimate == pytest.approx(sum(values) / counted)
    zeros = [0.0] * counted
    assert difference.interval.low == pytest.approx(not_refuted(values, zeros, 4.0, ALPHA / 2), abs=1e-6)
    opposite = [-value for value in values]
    assert difference.interval.high == pytest.approx(-not_refuted(opposite, zeros, 4.0, ALPHA / 2), abs=1e-6)

    own = [y for y, arm in zip(outcomes, arms, strict=True) if arm == "polite"][: polite.counted]
    assert polite.interval.estimate == pytest.approx(sum(own) / len(own))
    assert polite.interval.low == pytest.approx(not_refuted(own, running(own), 1.0, ALPHA / 2), abs=1e-6)


def test_ratio_checks_equal_a_computation_by_hand() -> None:
    book = ExperimentBook()
    play(POLITER, [("plain" if number % 2 else "polite", 1.0) for number in range(60)], book)
    for check in only(book).checks:
        evidence, highest, counts = 1.0, 1.0, {"plain": 0, "polite": 0}
        for number in range(60):
            arm, share = ("plain", 0.75) if number % 2 else ("polite", 0.25)
            evidence *= (100.0 * share + counts[arm]) / (100.0 + number) / share
            highest, counts[arm] = max(highest, evidence), counts[arm] + 1
        assert (check.e_value, check.counts) == (pytest.approx(highest), counts)


def test_a_session_counts_once_with_the_mean_of_its_rewards() -> None:
    book = ExperimentBook()
    first = [record(POLITER, f"a{number}", "polite", unit=7) for number in range(4)]
    for one in first:
        book.decided(one)
    book.rewarded(first[0], reward("a0", 1.0))
    book.rewarded(first[1], reward("a1", 0.0, weight=0.5))
    book.rewarded(first[2], reward("a2", 0.0, weight=0.0))  # capped
    play(POLITER, [("plain", 1.0)] * OPEN, book)
    book.rewarded(first[3], reward("a3", 0.0))  # after it was counted
    polite = only(book).variants[1]
    assert (polite.units, polite.decisions, polite.feedbacks, polite.counted) == (1, 4, 4, 1)
    assert polite.mean_reward == pytest.approx(1.0 / 2.5)
    assert polite.interval.estimate == pytest.approx(1.0 / 1.5)


def test_a_session_that_returns_is_known_until_many_others_came() -> None:
    book = ExperimentBook()

    def come(*sessions: int) -> int:
        for session in sessions:
            book.decided(record(POLITER, f"d{session}", "plain", unit=session))
        return only(book).variants[0].units

    assert come(*range(REMEMBERED)) == REMEMBERED
    assert come(0) == REMEMBERED
    assert come(REMEMBERED, 0) == REMEMBERED + 1  # 1 is forgotten now, the oldest one
    assert come(1) == REMEMBERED + 2


def test_late_feedback_counts_as_prompt_feedback_does() -> None:
    prompt, late = ExperimentBook(), ExperimentBook()
    arms = ["polite" if number % 4 == 0 else "plain" for number in range(80)]
    decided = [record(POLITER, f"d{number}", arm) for number, arm in enumerate(arms)]
    for one in decided:
        prompt.decided(one)
        prompt.rewarded(one, reward(one.id, 1.0))
        late.decided(one)
    for one in decided:
        late.rewarded(one, reward(one.id, 1.0))
    assert only(late) == only(prompt)


def test_three_variants_are_each_compared_with_the_first_and_hold_together() -> None:
    rng = random.Random(2)
    mean = {"plain": 0.5, "polite": 0.5, "short": 0.95}
    arms = [rng.choice(THREE.variants) for _ in range(900)]
    book = ExperimentBook()
    play(THREE, [(arm, float(rng.random() < mean[arm])) for arm in arms], book)
    polite, short = only(book).differences
    assert polite.interval.low < 0.0 < polite.interval.high
    assert short.interval.low > 0.0
    assert polite.counted + short.counted > 900 - OPEN  # the control's units count in both
    assert only(book).verdict == f"polite may be better or worse than plain: {polite.interval}; " + (
        f"short is better than plain: {short.interval}"
    )


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (lambda arm: float(arm == "plain"), "polite is worse than plain: -"),
        (lambda arm: 1.0, "polite may be better or worse than plain: "),
    ],
)
def test_the_verdict_says_which_is_better(outcome: Callable[[str], float], said: str) -> None:
    even, book, rng = Experiment("politer", "reply", ("plain", "polite")), ExperimentBook(), random.Random(1)
    arms = [rng.choice(even.variants) for _ in range(300)]
    play(even, [(arm, outcome(arm)) for arm in arms], book)
    assert only(book).verdict.startswith(said)


def test_without_feedback_nothing_is_compared() -> None:
    book = ExperimentBook()
    book.decided(record(POLITER, "d", "plain"))
    result = only(book)
    assert result.verdict == "polite: too little feedback to compare it with plain"
    assert [variant.mean_reward for variant in result.variants] == [None, None]
    assert (result.differences[0].interval.low, result.differences[0].interval.high) == (-1.0, 1.0)


def test_a_variant_whose_users_fall_silent_makes_the_figures_untrustworthy() -> None:
    even, book = Experiment("politer", "reply", ("plain", "polite")), ExperimentBook()
    for number in range(400):
        arm = even.variants[number % 2]
        decided = record(even, f"d{number}", arm)
        book.decided(decided)
        if arm == "plain" or number % 5 == 0:
            book.rewarded(decided, reward(decided.id, 1.0))
    drawn, heard = only(book).checks
    assert (drawn.mismatch, heard.mismatch) == (False, True)
    assert only(book).verdict.startswith("not to be trusted: units with feedback do not fit the shares (plain 200, ")


def test_other_weights_begin_a_new_result_and_another_roll_out_share_does_not() -> None:
    book = ExperimentBook()
    even = Experiment("politer", "reply", ("plain", "polite"))
    wider = Experiment("politer", "reply", ("plain", "polite"), weights=(3.0, 1.0), rollout=0.1)
    newer = Experiment("politer", "reply", ("plain", "polite"), version=2)
    for number, experiment in enumerate((POLITER, wider, even, newer, POLITER)):
        book.decided(record(experiment, f"d{number}", "plain"))
    counts = [(result.version, result.variants[0].share, result.variants[0].decisions) for result in book.results()]
    assert counts == [(1, 0.5, 1), (2, 0.5, 1), (1, 0.75, 3)]


def test_the_figures_of_the_experiments_that_ended_first_give_way() -> None:
    book = ExperimentBook()
    for number in range(KEPT + 3):
        decided = record(Experiment(f"e{number}", "reply", ("plain", "polite")), f"d{number}", "plain")
        book.decided(decided)
    assert [result.name for result in book.results()] == [f"e{number}" for number in range(3, KEPT + 3)]
    book.rewarded(record(Experiment("e0", "reply", ("plain", "polite")), "d0", "plain"), reward("d0", 1.0))
    assert len(book.results()) == KEPT


def test_a_state_goes_on_bit_for_bit_through_json() -> None:
    world = World({"plain": 0.0, "polite": 0.2})
    events = list(world.run(POLITER, sessions=60, seed=3))
    whole, first, second = ExperimentBook(), ExperimentBook(), ExperimentBook()
    for number, (decided, rewarded) in enumerate(events):
        if number == len(events) // 2:
            state = first.state()
            second.restore(ModelState(json.loads(json.dumps(state.facts)), state.arrays))
        for book in (whole, first if number < len(events) // 2 else second):
            if rewarded is None:
                book.decided(decided)
            else:
                book.rewarded(decided, rewarded)
    assert second.results() == whole.results()
    assert only(whole).differences[0].counted > 30


def test_the_course_narrows_and_ends_at_the_interval() -> None:
    book, rng = ExperimentBook(), random.Random(4)
    even = Experiment("politer", "reply", ("plain", "polite"))
    play(even, [(rng.choice(even.variants), float(rng.random() < 0.5)) for _ in range(500)], book)
    [difference] = only(book).differences
    counts = [count for count, _ in difference.course]
    assert counts == sorted(set(counts))
    assert len(counts) < 40
    assert difference.course[-1] == (500 - OPEN, difference.interval)
    widths = [interval.high - interval.low for _, interval in difference.course]
    assert widths[-1] < 0.4 < widths[0]
