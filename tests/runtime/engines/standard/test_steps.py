"""What is written into a step, for every page and every mix of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.runtime.engines.standard.backend import StepInputs
from edge_autoglm.runtime.engines.standard.sizes import StepShape, StepSizes
from edge_autoglm.runtime.engines.standard.steps import by_name, empty_inputs, write_decode, write_page


def used_inputs(shape: StepShape) -> StepInputs:
    """As an earlier step left them."""
    inputs = empty_inputs(shape)
    for array in by_name(inputs, True).values():
        array.fill(1)
    return inputs


def naive_mask(inputs: StepInputs) -> npt.NDArray[np.bool_]:
    """``[B, S, T]``, a token and a column at a time."""
    (rows, tokens), live = inputs.position_ids.shape, inputs.attn_mask.shape[3]
    mask = np.zeros((rows, tokens, live), dtype=bool)
    for row in range(rows):
        for token in range(tokens):
            for column in range(live):
                mask[row, token, column] = column <= inputs.position_ids[row, token]
    return mask


@st.composite
def pages(draw: st.DrawFn) -> tuple[StepInputs, int, list[int], list[int]]:
    """Inputs of a page, where it begins, its known tokens and the wanted offsets."""
    sizes = StepSizes(page=draw(st.sampled_from([2, 4, 8])), head_rows=draw(st.integers(1, 5)))
    columns = sizes.columns(draw(st.integers(1, 60)))
    begin = sizes.page * draw(st.integers(0, columns // sizes.page - 1))
    live = sizes.live_length(begin + sizes.page, columns)
    tokens = draw(st.lists(st.integers(0, 99), min_size=1, max_size=sizes.page))
    wanted = sorted(draw(st.sets(st.integers(0, len(tokens) - 1), max_size=sizes.head_rows)))
    return used_inputs(StepShape(1, sizes.page, live, sizes.head_rows)), begin, tokens, wanted


@given(pages())
def test_a_page_stands_where_it_begins_and_sees_what_came_before(
    page: tuple[StepInputs, int, list[int], list[int]],
) -> None:
    inputs, begin, tokens, wanted = page
    write_page(inputs, begin, np.array(tokens), wanted)
    count, width = len(tokens), inputs.input_ids.shape[1]
    assert inputs.input_ids[0, :count].tolist() == tokens
    assert set(inputs.input_ids[0, count:]) <= {0}  # padding is of the vocabulary
    assert inputs.position_ids[0].tolist() == list(range(begin, begin + width))
    assert inputs.write_indices.tolist() == [begin]
    assert np.array_equal(inputs.attn_mask[:, 0], naive_mask(inputs))
    assert inputs.attn_mask.any(axis=3).all()
    assert not inputs.attn_mask[0, 0, :count, begin + count :].any()  # of the padding
    assert inputs.logits_at[: len(wanted)].tolist() == wanted
    assert set(inputs.logits_at) <= set(range(width))


@st.composite
def blocks(draw: st.DrawFn) -> tuple[StepShape, int, list[int], dict[int, int]]:
    """Shape of a decode step, columns of the cache, what the rows hold, and the tokens of some of them."""
    sizes = StepSizes(rows=draw(st.integers(1, 5)), page=4)
    columns = sizes.columns(draw(st.integers(1, 60)))
    live = draw(st.sampled_from(sizes.live_lengths(columns)))
    held = draw(st.lists(st.integers(0, columns - 1), min_size=sizes.rows, max_size=sizes.rows))
    able = [row for row, length in enumerate(held) if length < min(live, columns - 1)]
    rows = draw(st.sets(st.sampled_from(able))) if able else set()
    tokens = {row: draw(st.integers(0, 99)) for row in sorted(rows)}
    return StepShape(sizes.rows, 1, live, sizes.rows), columns, held, tokens


@given(blocks())
def test_decoding_rows_go_on_and_the_others_write_where_no_token_is(
    block: tuple[StepShape, int, list[int], dict[int, int]],
) -> None:
    shape, columns, held, tokens = block
    inputs = used_inputs(shape)
    write_decode(inputs, tokens, held, columns)
    for row, token in tokens.items():
        assert (inputs.input_ids[row, 0], inputs.position_ids[row, 0]) == (token, held[row])
        assert inputs.write_indices[row] == held[row]
    for row in set(range(shape.rows)) - set(tokens):
        assert inputs.write_indices[row] == columns - 1
        assert inputs.position_ids[row, 0] < shape.live
    assert np.array_equal(inputs.attn_mask[:, 0], naive_mask(inputs))
    assert inputs.logits_at.tolist() == list(range(shape.rows))


@given(block=blocks(), window=st.integers(1, 8))
def test_no_token_of_a_decode_step_sees_nothing_even_through_a_window(
    block: tuple[StepShape, int, list[int], dict[int, int]], window: int
) -> None:
    shape, columns, held, tokens = block
    inputs = used_inputs(shape)
    write_decode(inputs, tokens, held, columns)
    near = np.arange(shape.live) > inputs.position_ids[:, :, None] - window  # as the graph cuts it
    assert (inputs.attn_mask[:, 0] & near).any(axis=2).all()


@given(blocks())
def test_a_row_is_written_alike_whatever_the_others_do(
    block: tuple[StepShape, int, list[int], dict[int, int]],
) -> None:
    shape, columns, held, tokens = block
    together = used_inputs(shape)
    write_decode(together, tokens, held, columns)
    for row, token in tokens.items():
        alone = used_inputs(shape)
        write_decode(alone, {row: token}, [0 if other != row else length for other, length in enumerate(held)], columns)
        for name in ("input_ids", "position_ids", "write_indices", "attn_mask"):
            assert np.array_equal(by_name(together, True)[name][row], by_name(alone, True)[name][row])


def test_inputs_are_laid_out_as_the_graph_has_them() -> None:
    shapes = {
        name: (array.dtype, array.shape) for name, array in by_name(empty_inputs(StepShape(2, 3, 5, 4)), True).items()
    }
    assert shapes == {
        "input_ids": (np.int64, (2, 3)),
        "position_ids": (np.int64, (2, 3)),
        "write_indices": (np.int64, (2,)),
        "attn_mask": (np.bool_, (2, 1, 3, 5)),
        "logits_at": (np.int64, (4,)),
    }
