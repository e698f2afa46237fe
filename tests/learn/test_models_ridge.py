"""The ridge against its formula, its merge against pooled training, and its numbers under bad scales."""

from __future__ import annotations

import numpy as np
import pytest

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.models.layout import MAX_NAMES, Layout
from edge_autoglm.learn.models.ridge import RidgeModel
from edge_autoglm.learn.models.ridge_task import MAX_ARMS, RidgeTask
from tests.learn.model_checks import ARMS, NAMES, rewards, some_request, train

EMPTY = np.zeros(0, np.int64), np.zeros(0)


def task_of(model: RidgeModel) -> RidgeTask:
    return model._tasks["mood"]


def test_equals_the_ridge_solved_from_all_rewards() -> None:
    """mean = mu + w'z with (Z'WZ + lambda I) w = Z'W (r - mu), by NumPy on the raw rows."""
    model = RidgeModel(lambdas=(3.0,))
    seen = list(rewards(300, seed=4))
    for arm, request, reward, weight in seen:
        model.learn(arm, request, reward, weight)
    task_of(model).resolve()
    X, r, w = (np.array(column) for column in zip(*[(q.dense, r, w) for _, q, r, w in seen], strict=True))  # noqa: N806
    mean = np.average(X, axis=0, weights=w)
    std = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=w))
    mu = (w @ r + 1.0) / (w.sum() + 2.0)
    for arm in ARMS:
        mine = np.array([a == arm for a, *_ in seen])
        Z = np.column_stack((np.ones(mine.sum()), (X[mine] - mean) / std))  # noqa: N806
        weighted = Z.T * w[mine]
        solved = np.linalg.solve(weighted @ Z + 3.0 * np.eye(4), weighted @ (r[mine] - mu))
        for seed in range(20):
            request = some_request(np.random.default_rng(seed))
            expected = mu + solved @ np.concatenate(([1.0], (request.dense - mean) / std))
            assert model.estimate([arm], request).means[0] == pytest.approx(expected, abs=1e-6)


def test_rank_one_updates_follow_the_exact_solution() -> None:
    model = RidgeModel()
    train(model, 1000)
    task = task_of(model)
    train(model, 100, seed=1)
    scale, center = task.scale.copy(), task.center.copy()
    followed, mu = task.P.copy(), task.mu
    to_z = np.diag(scale)
    to_z[1:, 0] = -center[1:] * scale[1:]
    moments = to_z @ task.S @ to_z.T
    exact = np.linalg.inv(moments[:, None] + np.array(model.lambdas)[:, None, None] * np.eye(4))
    np.testing.assert_allclose(followed, exact, rtol=1e-6, atol=1e-9)
    weights = (exact @ (task.b @ to_z.T - mu * moments[:, 0])[:, None, :, None])[..., 0]
    np.testing.assert_allclose(task.W, weights, rtol=1e-5, atol=1e-8)


def test_the_merge_of_twenty_devices_equals_pooled_training() -> None:
    pooled, merged = RidgeModel(), RidgeModel()
    for device in range(20):
        apart = RidgeModel()
        for arm, request, reward, weight in rewards(60, seed=device):
            # Devices name their features in another order, and some lack one.
            names = list(range(3))[device % 3 :] if device % 4 else [2, 0, 1]
            own = Features(*EMPTY, "mood", tuple(NAMES[i] for i in names), request.dense[names])
            pooled.learn(arm, own, reward, weight)
            apart.learn(arm, own, reward, weight)
        merged.merge(apart)
    task_of(pooled).resolve()
    for seed in range(30):
        request = some_request(np.random.default_rng(seed))
        for ours, theirs in zip(
            (lambda e: (e.means, e.spreads**2 / task_of(merged).experts.error))(_middling(merged, request)),
            (lambda e: (e.means, e.spreads**2 / task_of(pooled).experts.error))(_middling(pooled, request)),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def _middling(model: RidgeModel, request: Features):  # type: ignore[no-untyped-def]
    """The estimate with even weights for the strengths, which depend on the order of the rewards."""
    task_of(model).experts.restore([1.0, 1.0, 1.0], 3.0)
    return model.estimate(ARMS, request)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e3, 9e5])
def test_scale_and_offset_of_a_feature_do_not_matter(size: float) -> None:
    """A feature near its limit that varies by little carries as much as one around 0."""
    plain, scaled = RidgeModel(), RidgeModel()
    rng = np.random.default_rng(0)
    for _ in range(500):
        x, reward = rng.normal(size=2), float(rng.random())
        plain.learn("a", Features(*EMPTY, "mood", ("u", "v"), x), reward)
        scaled.learn("a", Features(*EMPTY, "mood", ("u", "v"), size + size * 1e-4 * x), reward)
    for _ in range(20):
        x = rng.normal(size=2)
        expected = plain.estimate(["a"], Features(*EMPTY, "mood", ("u", "v"), x)).means[0]
        got = scaled.estimate(["a"], Features(*EMPTY, "mood", ("u", "v"), size + size * 1e-4 * x)).means[0]
        assert got == pytest.approx(expected, abs=1e-4)


def test_an_arm_dropped_for_room_is_the_one_that_learnt_longest_ago() -> None:
    model = RidgeModel()
    request = Features(*EMPTY, "mood")
    for number in range(MAX_ARMS):
        model.learn(f"arm{number}", request, 1.0)
    model.learn("arm0", request, 1.0)
    model.learn("another", request, 0.0)
    known = task_of(model).rows
    assert len(known) == MAX_ARMS
    assert "arm0" in known
    assert "arm1" not in known
    untrained, dropped = model.estimate(["never", "arm1"], request).means
    assert dropped == untrained


def test_names_beyond_the_limit_are_passed_over() -> None:
    model = RidgeModel(lambdas=(1.0,))
    names = tuple(f"f{number}" for number in range(MAX_NAMES + 40))
    for reward in (0.0, 1.0):
        model.learn("a", Features(*EMPTY, "mood", names, np.full(len(names), reward)), reward)
    assert task_of(model).layout.size == MAX_NAMES + 1


def test_translations_map_vectors_of_one_layout_to_another() -> None:
    old = Layout().grown(("a", "b"), np.array([3.0, 5.0]))
    new = Layout().grown(("c", "b"), np.array([1.0, 2.0])).grown(old.names, old.origin)
    values = np.array([7.0, -2.0])
    np.testing.assert_allclose(
        new.translation(old) @ old.vector(("a", "b"), values), new.vector(("a", "b"), values), rtol=1e-12
    )


@pytest.mark.parametrize(
    "settings", [{"lambdas": ()}, {"lambdas": (1.0, 0.0)}, {"rate": 0.0}, {"discount": 1.5}, {"discount": 0.0}]
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(PolicyError, match=next(iter(settings))):
        RidgeModel(**settings)  # type: ignore[arg-type]
