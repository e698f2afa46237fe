"""The standard graph of every family against transformers' recorded logits, in both lowerings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.standard.lowering import LOWERINGS, LoweringName
from tests.export.standard.graphs import write_graph
from tests.export.standard.runner import CAPACITY, StandardRunner
from tests.oracles.family_cases import CASES, token_ids

_RECORD = Path(__file__).parents[1] / "data" / "family_logits.npz"
_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2}
"""Of the largest logit, from the original. Measured: 3e-6 and 7.5e-3 at most."""
_DRIFT = {"fp32": 1e-5, "fp16": 2e-3}
"""Of the largest logit, between ways to run the same tokens."""
_LENGTHS = (32, 20, 11)
_STEPS = 6


def _close(actual: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], tolerance: float) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("precision", _TOLERANCE)
@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", CASES)
def test_all_ways_to_run_it_give_the_logits_of_transformers(
    name: str, lowering: LoweringName, precision: str, tmp_path: Path
) -> None:
    with np.load(_RECORD) as record:
        positions, expected = record["positions"], record[name]
    graph = write_graph(tmp_path / "model.onnx", CASES[name], StandardDialect(lowering, precision, CAPACITY))
    runner = StandardRunner(graph, rows=3)
    rows = token_ids()
    whole = [runner.in_chunks(ids, [40]) for ids in rows]
    _close(whole[0][positions], expected, _TOLERANCE[precision])
    _close(runner.in_chunks(rows[0], [11, 14, 32, 33, 34, 40]), whole[0], _DRIFT[precision])

    runner.clear()
    prefilled = runner.forward([ids[:length] for ids, length in zip(rows, _LENGTHS, strict=True)])
    for row, length in enumerate(_LENGTHS):
        _close(prefilled[row], whole[row][:length], _DRIFT[precision])
    for step in range(_STEPS):
        decoded = runner.forward([[ids[length + step]] for ids, length in zip(rows, _LENGTHS, strict=True)])
        for row, length in enumerate(_LENGTHS):
            _close(decoded[row], whole[row][length + step :][:1], _DRIFT[precision])
