"""Every family computes the logits that transformers computes; recorded, so that no torch is needed.

`tests.oracles.record_families` makes the record; tests/export/test_family_parity.py compares with transformers itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_autoglm.export.families import describe
from edge_autoglm.export.sources import open_checkpoint
from tests.oracles.family_cases import CASES, old_spelling, token_ids, write_case
from tests.oracles.family_engine import decode_together, in_chunks, load_engine

_RECORD = Path(__file__).parent / "data" / "family_logits.npz"
_TOLERANCE = 1e-4
"""Of the largest logit. Measured: 3e-6 at most."""


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    with np.load(_RECORD) as record:
        positions, expected = record["positions"], record[name]
    engine = load_engine(write_case(tmp_path / name, CASES[name]), tmp_path / "model.onnx", slots=1)
    ids = token_ids()[0]
    tolerance = _TOLERANCE * np.abs(expected).max()
    whole = in_chunks(engine, 0, ids, [40])
    np.testing.assert_allclose(whole[positions], expected, rtol=0, atol=tolerance)
    engine.truncate(0, 29)
    [decoded] = decode_together(engine, [ids[29:]])
    later = positions >= 29
    np.testing.assert_allclose(decoded[positions[later] - 29], expected[later], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_the_older_spelling_of_the_config_describes_the_same_model(name: str, tmp_path: Path) -> None:
    new = write_case(tmp_path / "new", CASES[name])
    old = write_case(tmp_path / "old", old_spelling(CASES[name]))
    assert describe(open_checkpoint(str(old))) == describe(open_checkpoint(str(new)))


def test_the_record_has_every_case_and_no_other() -> None:
    with np.load(_RECORD) as record:
        assert set(record.files) == {"positions", *CASES}
