"""What is marked ``gpu`` here is skipped where there is none, and says what is missing."""

from __future__ import annotations

from functools import cache

import pytest

from edge_autoglm.errors import EngineError, MissingDependency
from edge_autoglm.runtime.engines.cuda.cudart import Cudart


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = _missing()
    if missing is not None and item.get_closest_marker("gpu") is not None:
        pytest.skip(f"no GPU to test on: {missing}")


@cache
def _missing() -> str | None:
    try:
        Cudart().make_current()
    except (MissingDependency, EngineError) as error:
        return str(error)
    return None
