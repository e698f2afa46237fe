"""Hundreds of swaps under eight streams that never stop: no text fails or changes, and no memory is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.swap_soak import damaged, soak
from edge_autoglm import Bundle, HealthPolicy, Runtime, RuntimeConfig, SwapPolicy

SWAPS = int(os.environ.get("EDGE_AUTOGLM_SOAK_SWAPS", "300"))
STREAMS = 8


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_swaps_under_streams(bundles: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    # Steps of this engine take microseconds: beside eight busy threads, its latency is that of the interpreter.
    policy = SwapPolicy(check=HealthPolicy(max_latency_ratio=None))
    config = RuntimeConfig(seed=1, slots=STREAMS, context_length=256, promote_every=None, swap_policy=policy)
    with Runtime.open(bundles[0], state=tmp_path / "state", threads=1, config=config) as runtime:
        model = runtime._buffer.active.model.engine._model  # type: ignore[attr-defined]
        broken = damaged(bundles[0], tmp_path / "damaged")
        seen = soak(runtime, bundles, broken, SWAPS, STREAMS, calm_seconds=0.5)
        assert runtime._buffer.active.model.engine._model is model  # type: ignore[attr-defined]
        assert runtime._buffer.draining() == ()
    wrong = {outcome: count for outcome, count in seen.outcomes.items() if outcome.startswith(("wrong", "failed"))}
    assert wrong == {}
    assert seen.outcomes["altered"] == 0
    assert seen.texts > STREAMS
    assert seen.outcomes["policy"] + seen.outcomes["prompts"] + seen.outcomes["damaged"] == SWAPS
    assert seen.rss_growth() <= 1.02
