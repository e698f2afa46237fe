"""Fixtures that several test folders share: the real model, fetched once, and its bundles, exported once a session."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_autoglm.errors import SourceNotFound

if TYPE_CHECKING:
    from edge_autoglm import Bundle


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct as a GGUF file; ``EDGE_AUTOGLM_TEST_GGUF`` names one that is at hand already."""
    at_hand = os.environ.get("EDGE_AUTOGLM_TEST_GGUF")
    if at_hand:
        return Path(at_hand)
    from edge_autoglm.demo.model import fetch_model

    try:
        return fetch_model()
    except SourceNotFound as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the real model is not at hand: {error}")


def _exported(gguf: Path, folder: Path, precision: str) -> Bundle:
    from edge_autoglm import export_model

    # The proof of the real model takes a minute; tests/export_proof measures a part of it.
    return export_model(str(gguf), folder / precision, precision=precision, proof=False)


@pytest.fixture(scope="session")
def smollm2_int8(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The int8 bundle of the real model."""
    return _exported(smollm2_gguf, tmp_path_factory.mktemp("smollm2"), "int8")


@pytest.fixture(scope="session")
def smollm2_fp32(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The fp32 bundle of the real model."""
    return _exported(smollm2_gguf, tmp_path_factory.mktemp("smollm2"), "fp32")
