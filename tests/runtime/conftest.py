"""Tokenizers and models that the tests of the runtime share."""

from __future__ import annotations

import pytest

from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import tiny_tokenizer_json
from tests.runtime.tokenizers_for_tests import byte_fallback_json


@pytest.fixture(scope="session")
def byte_level() -> Tokenizer:
    """GPT-2's scheme, with tokens that begin, end or join characters."""
    return Tokenizer(tiny_tokenizer_json())


@pytest.fixture(scope="session")
def byte_fallback() -> Tokenizer:
    """SentencePiece's scheme, as in Llama 2 and TinyLlama."""
    return Tokenizer(byte_fallback_json())


@pytest.fixture(params=["byte_level", "byte_fallback"])
def any_tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Each supported scheme."""
    tokenizer: Tokenizer = request.getfixturevalue(request.param)
    return tokenizer
