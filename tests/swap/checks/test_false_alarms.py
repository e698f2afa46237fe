"""How often the distribution test alarms: for models that have not changed, and for one that is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_autoglm import Bundle
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.loading import load_model
from edge_autoglm.prompts import Catalogue
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.checks.texts import windows
from edge_autoglm.swap.health import HealthPolicy
from tests.swap.checks.bad_weights import damaged_copy, int4_garbage
from tests.swap.checks.simulated_checks import Distributions, p_values, recorded, recorded_together
from tests.swap.world import first_generation, make_model, scripted

ALPHA = HealthPolicy().alpha
POSITIONS = 1000


def _rate(found: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.mean(found <= ALPHA))


@pytest.mark.parametrize("samples", [50, 200])
def test_the_alarm_keeps_its_rate_whatever_the_statistic(samples: int) -> None:
    active = first_generation()
    texts = windows(active, 2)[:8]
    now, other = recorded(active.model, texts), recorded(make_model(scripted(seed=5)), texts)
    rng = np.random.default_rng(samples)
    # 500 checks at a rate of 0.01: more than 2.2 % has a probability below 0.02.
    assert _rate(p_values((now, now), (now, other), samples, 500, rng)) <= 0.022
    assert _rate(p_values((now, other), (now, other), samples, 100, rng)) == 1.0


@pytest.fixture(scope="module")
def real(smollm2_int8: Bundle) -> tuple[LanguageModel, list[list[int]]]:
    config = RuntimeConfig(slots=4)
    model = load_model(smollm2_int8, 2, config)
    active = first_generation(model, Catalogue.load(smollm2_int8.task_files()))
    return model, windows(active, 2)


@pytest.fixture(scope="module")
def unchanged(real: tuple[LanguageModel, list[list[int]]], smollm2_int8: Bundle) -> tuple[Distributions, Distributions]:
    """The bundle as it answers now, and loaded anew with another number of slots, three of which are busy meanwhile."""
    model, texts = real
    again = load_model(smollm2_int8, 2, RuntimeConfig(slots=5, kv_cache_bytes=1 << 20))
    try:
        return recorded(model, texts)[:POSITIONS], recorded_together(again, texts, 3)[:POSITIONS]
    finally:
        again.close()


@pytest.mark.heavy
@pytest.mark.parametrize("samples", [50, 200, 1000])
def test_unchanged_real_models_alarm_in_at_most_two_per_cent_of_checks(
    unchanged: tuple[Distributions, Distributions], samples: int
) -> None:
    rng = np.random.default_rng(samples)
    rate = _rate(p_values(unchanged, unchanged, samples, 2000, rng))
    print(
        f"\nunchanged, other slots: {rate:.4f} at {samples}; largest difference",
        np.abs(unchanged[0] - unchanged[1]).max(),
    )
    assert rate <= 0.02


@pytest.mark.heavy
def test_int4_garbage_in_one_layer_is_caught_with_200_samples(
    real: tuple[LanguageModel, list[list[int]]],
    unchanged: tuple[Distributions, Distributions],
    smollm2_int8: Bundle,
    tmp_path: Path,
) -> None:
    _, texts = real
    now = unchanged[0]
    broken = Bundle.open(damaged_copy(smollm2_int8, tmp_path / "broken", int4_garbage(15)))
    model = load_model(broken, 2, RuntimeConfig(slots=1, kv_cache_bytes=1 << 20))
    garbage = recorded(model, texts)[:POSITIONS]
    model.close()
    rng = np.random.default_rng(0)
    caught = _rate(p_values((now, garbage), (now, garbage), 200, 2000, rng))
    print(f"\ncaught {caught:.4f}")
    assert caught >= 0.99
    # The same statistic, under which a working model must not alarm.
    for samples in (50, 200, 1000):
        rate = _rate(p_values((now, now), (now, garbage), samples, 2000, rng))
        print(f"unchanged, ratio of the broken model: {rate:.4f} at {samples}")
        assert rate <= 0.02
