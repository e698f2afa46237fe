"""The proof in the manifest, and its limits."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from edge_autoglm.errors import DamagedBundle
from edge_autoglm.export.options import PRECISIONS
from edge_autoglm.export.proof.budgets import BUDGETS, Budget, budget_of
from edge_autoglm.export.proof.figures import Proof

PROOF = Proof(
    precision="int8",
    reference="fp32",
    text_sha256="ab" * 32,
    windows=12,
    window_tokens=512,
    predicted_tokens=6132,
    reference_perplexity=20.0,
    perplexity=20.1,
    kl=0.005,
    top1=0.95,
    generations=20,
    new_tokens=32,
    identical_generations=11,
    common_prefix=15.5,
    reference_degenerate=1,
    degenerate=5,
    max_kl=0.01,
    max_perplexity_increase=0.01,
)


@pytest.mark.parametrize("limit", [0.01, None])
def test_a_proof_reads_back_as_it_was_written(limit: float | None) -> None:
    proof = dataclasses.replace(PROOF, max_perplexity_increase=limit)
    content = json.loads(json.dumps(proof.to_json()))
    assert content["within_budget"] is True
    assert Proof.from_json(content) == proof


def test_no_figures_are_no_proof() -> None:
    assert Proof.from_json({}) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kl": None}, r"verification\.kl is of type NoneType"),
        ({"windows": True}, r"verification\.windows is of type bool"),
        ({"mood": 3}, r"verification\.mood is unknown"),
    ],
)
def test_damaged_figures_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DamagedBundle, match=message):
        Proof.from_json(PROOF.to_json() | change)


def test_a_missing_figure_is_named() -> None:
    content = PROOF.to_json()
    del content["top1"]
    with pytest.raises(DamagedBundle, match=r"verification\.top1 is missing"):
        Proof.from_json(content)


@pytest.mark.parametrize(
    ("change", "excess"),
    [
        ({"kl": 0.0101}, "KL 0.0101 nats a token (limit 0.01)"),
        ({"perplexity": 20.21}, "perplexity +1.05% (limit +1.00%)"),
        ({"degenerate": 6}, "6 of 20 answers empty or looping (limit 5)"),
    ],
)
def test_each_limit_is_kept_up_to_the_limit(change: dict[str, Any], excess: str) -> None:
    at_the_limit = dataclasses.replace(PROOF, kl=0.01, perplexity=20.2 - 1e-9, degenerate=5)
    assert at_the_limit.within_budget
    beyond = dataclasses.replace(at_the_limit, **change)
    assert beyond.excesses() == [excess]
    assert beyond.to_json()["within_budget"] is False


def test_a_better_perplexity_is_no_excess() -> None:
    assert dataclasses.replace(PROOF, perplexity=15.0).within_budget


def test_there_is_a_budget_for_every_precision() -> None:
    assert set(BUDGETS) == set(PRECISIONS)
    order = ["fp32", "fp16", "int8", "w8a8", "int4"]
    assert sorted(order, key=lambda name: BUDGETS[name].max_kl) == order


def test_the_users_limit_takes_the_place_of_both() -> None:
    assert budget_of("int8", None) == BUDGETS["int8"]
    assert budget_of("int8", 0.5) == Budget(0.5, None)
