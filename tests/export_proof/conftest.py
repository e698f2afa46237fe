"""A tiny random model, its bundles and their proof; exported once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_autoglm import Bundle, export_model
from edge_autoglm.export.proof.engines import opened_engine
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.routes import Built
from edge_autoglm.runtime.engine import Engine
from tests.checkpoints import write_tiny_llama


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("proof") / "checkpoint")


@pytest.fixture(scope="session")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Int8, proven."""
    return export_model(checkpoint, tmp_path_factory.mktemp("proof") / "int8", "int8")


@pytest.fixture(scope="session")
def language(bundle: Bundle) -> Language:
    return Language.of_bundle(bundle)


@pytest.fixture
def engine(bundle: Bundle) -> Iterator[Engine]:
    with opened_engine(built_of(bundle)) as engine:
        yield engine


def built_of(bundle: Bundle) -> Built:
    """The bundle's engine as an export sees it."""
    [entry] = bundle.manifest.engines
    return Built(bundle.path(entry.graph), entry.kind, bundle.manifest.model)
