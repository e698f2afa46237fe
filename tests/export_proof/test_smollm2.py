"""The real model, briefly."""

from __future__ import annotations

import pytest

from edge_autoglm import Bundle
from edge_autoglm.export.proof.budgets import BUDGETS
from edge_autoglm.export.proof.engines import opened_engine
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.proof.prove import Extent, Terms, prove
from edge_autoglm.export.texts import heldout_text
from edge_autoglm.values import silent
from tests.export_proof.conftest import built_of


@pytest.mark.slow
def test_int8_is_close_to_the_original(smollm2_fp32: Bundle, smollm2_int8: Bundle) -> None:
    terms = Terms("int8", BUDGETS["int8"], heldout_text(), Extent(windows=2, window_tokens=160, new_tokens=4))
    language = Language.of_bundle(smollm2_int8)
    with opened_engine(built_of(smollm2_fp32)) as reference, opened_engine(built_of(smollm2_int8)) as candidate:
        proof = prove(reference, candidate, language, terms, silent)
    assert 5 < proof.reference_perplexity < 200
    assert 1e-3 < proof.kl < 0.01
    assert proof.top1 > 0.9
    assert proof.identical_generations >= 12
    assert proof.degenerate == proof.reference_degenerate == 0
