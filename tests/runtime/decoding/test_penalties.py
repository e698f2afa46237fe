from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.runtime.decoding.penalties import RepetitionPenalty

VOCAB = 12


@settings(deadline=None)
@given(
    st.lists(st.floats(-40, 40, width=32), min_size=VOCAB, max_size=VOCAB),
    st.lists(st.integers(0, VOCAB - 1), max_size=20),
    st.lists(st.integers(0, VOCAB - 1), max_size=20),
    st.sampled_from([0.01, 0.5, 1.3, 100.0]),
)
def test_each_seen_token_is_penalised_once(
    values: list[float], prompt: list[int], continuation: list[int], penalty: float
) -> None:
    rule = RepetitionPenalty(penalty, prompt)
    for token in continuation:
        rule.push(token)
    logits = np.array(values, dtype=np.float32)
    rule.apply(logits)
    factor = np.float32(penalty)
    seen = {*prompt, *continuation}
    for token, value in enumerate(np.array(values, dtype=np.float32)):
        expected = value if token not in seen else value * factor if value < 0 else value / factor
        assert logits[token] == expected


def test_what_is_ruled_out_stays_so() -> None:
    logits = np.array([-np.inf, np.finfo(np.float32).min, 0.0], dtype=np.float32)
    RepetitionPenalty(2.0, [0, 1, 2]).apply(logits)
    assert logits.tolist() == [-np.inf, -np.inf, 0.0]
