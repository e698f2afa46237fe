"""Every family through the engine: transformers' recorded logits, and bits that no cut changes, windows included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.standard.lowering import LOWERINGS, LoweringName
from edge_autoglm.runtime.engine import Chunk
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from tests.export.standard.graphs import write_graph
from tests.onnxruntime_versions import need_opset_24
from tests.oracles.family_cases import CASES, token_ids
from tests.runtime.engines.standard.engines_for_tests import in_chunks, logits_of, open_engine

_RECORD = Path(__file__).parents[3] / "export" / "data" / "family_logits.npz"
_SIZES = StepSizes(rows=2, page=8, head_rows=8)
_COLUMNS = _SIZES.columns(40)
_TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2}
"""Of the largest logit, as for the graph itself: see ``tests/export/standard/test_families.py``."""


@pytest.mark.parametrize("precision", _TOLERANCE)
@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", CASES)
def test_every_family_gives_transformers_logits_in_any_cut(
    name: str, lowering: LoweringName, precision: str, tmp_path: Path
) -> None:
    if lowering == "native":
        need_opset_24()
    with np.load(_RECORD) as record:
        positions, expected = record["positions"], record[name]
    dialect = StandardDialect(lowering, precision, _COLUMNS)
    engine = open_engine(write_graph(tmp_path / "model.onnx", CASES[name], dialect), slots=3, sizes=_SIZES)
    rows = token_ids()
    whole = in_chunks(engine, 0, rows[0], [40])
    tolerance = _TOLERANCE[precision] * np.abs(expected).max()
    np.testing.assert_allclose(whole[positions], expected, rtol=0, atol=tolerance)
    for ends in ([2, 40], [11, 14, 32, 40], list(range(2, 41, 2))):
        assert np.array_equal(in_chunks(engine, 1, rows[0], ends), whole)

    engine.truncate(0, 20)
    engine.truncate(1, 0)
    engine.forward([Chunk(1, rows[1][:9], ()), Chunk(2, rows[2][:37], ())])
    for step in range(20):  # at the end in the last columns; slots 1 and 2 ride along from some step on
        beside = [Chunk(1, rows[1][9 + step : 10 + step])] if step < 3 else []
        [decoded, *_] = engine.forward([Chunk(0, rows[0][20 + step : 21 + step]), *beside])
        np.testing.assert_allclose(decoded, whole[20 + step :][:1], rtol=0, atol=tolerance)
    engine.truncate(1, 9)
    engine.truncate(2, 0)
    again = logits_of(engine, 1, rows[1][9:40])
    assert np.array_equal(again, in_chunks(engine, 2, rows[1], [9, 40])[9:])
    engine.close()
