from __future__ import annotations

import pytest

from edge_autoglm.device.budget import MemoryPart, MemoryPlan, cache_part, check, engine_part, slots_part, standard_part
from edge_autoglm.errors import EngineError, MemoryBudgetExceeded

PLAN = MemoryPlan(
    (engine_part(100_000_000, "int8"), slots_part(4, 2048, 46_080), cache_part("prefix cache", 64_000_000))
)


def test_sizes() -> None:
    assert [part.size for part in PLAN.parts] == [120_000_000, 377_487_360, 64_000_000]
    assert PLAN.total == 561_487_360


@pytest.mark.parametrize("budget", [PLAN.total, PLAN.total + 1, None])
def test_what_fits_is_accepted(budget: int | None) -> None:
    check(PLAN, budget)


def test_what_does_not_fit_names_every_part_and_begins_with_the_largest() -> None:
    with pytest.raises(MemoryBudgetExceeded) as raised:
        check(PLAN, PLAN.total - 1)
    assert isinstance(raised.value, EngineError)
    assert raised.value.cause == (
        "the runtime would hold 561 MB (KV slots, 4 x 2048 tokens: 377 MB, engine in int8: 120 MB, "
        "prefix cache: 64 MB); its memory budget is 561 MB"
    )
    assert raised.value.cure == (
        "Take fewer slots, a shorter context or an int8 KV cache, or export the model at a lower precision, "
        "or give the prefix cache fewer bytes, or raise the memory budget."
    )


def test_parts_that_hold_nothing_are_not_blamed() -> None:
    plan = MemoryPlan((engine_part(5_000_000, "int8"), cache_part("response cache", 0)))
    with pytest.raises(MemoryBudgetExceeded) as raised:
        check(plan, 0)
    assert "6.0 MB" in raised.value.cause
    assert "response cache" not in str(raised.value)


def test_a_precision_that_was_not_measured_counts_as_the_dearest_form() -> None:
    sizes = {name: engine_part(1000, name).size for name in ("fp32", "int8", "int4", "w8a8", "auto", "fp16")}
    assert sizes["fp32"] < sizes["int8"] == sizes["int4"] < sizes["w8a8"] == sizes["auto"] < sizes["fp16"]


@pytest.mark.parametrize(
    ("device", "precision", "size"),
    [
        ("tensorrt", "int8", 1_000),
        ("cuda", "fp16", 1_000),
        ("cuda", "int8", 30_000),
        ("cpu", "fp16", 65_000),
        ("cpu", "int8", 65_000),
    ],
)
def test_a_standard_graph_is_widened_where_onnxruntime_runs_it(device: str, precision: str, size: int) -> None:
    assert standard_part(1_000, precision, 10_000, device).size == size


def test_each_memory_has_a_budget_of_its_own() -> None:
    plan = MemoryPlan((MemoryPart("engine", 10_000_000, "shrink it", on_gpu=True), cache_part("cache", 20_000_000)))
    check(plan, budget=20_000_000, gpu=10_000_000)
    check(plan, budget=None, gpu=None)
    with pytest.raises(MemoryBudgetExceeded, match=r"hold 10 MB of GPU memory \(engine: 10 MB\); the GPU has 9\.0 MB"):
        check(plan, budget=20_000_000, gpu=9_000_000)
    with pytest.raises(MemoryBudgetExceeded, match=r"hold 20 MB \(cache: 20 MB\); its memory budget is 19 MB"):
        check(plan, budget=19_000_000, gpu=10_000_000)
