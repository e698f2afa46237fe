from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_autoglm.prompts.rewrite.templates import Slot, escape, outline, slot
from edge_autoglm.sandbox import compile_template
from tests.prompts.rewrite.drafts import HOSTILE

TEXTS = st.text(st.one_of(st.sampled_from("{}%#'\"\\-\r\n \tlabe"), st.characters(exclude_categories=("Cs",))))


@given(TEXTS, TEXTS)
@example("{", "{")
@example("{\r", "%")
@example("\r\n", "{{ text }}")
def test_an_escaped_text_is_that_text_wherever_it_stands(before: str, after: str) -> None:
    source = f"{escape(before)}{slot('text')}{escape(after)}"
    assert compile_template(source, "test").render(text="<x>") == f"{before}<x>{after}"


@given(st.lists(TEXTS, min_size=2, max_size=3))
def test_an_outline_is_what_was_put_together(texts: list[str]) -> None:
    source = slot("text").join(map(escape, texts))
    expected: list[object] = [texts[0]]
    for text in texts[1:]:
        expected += [Slot("text"), text]
    assert outline(source, ["text"], ()) == tuple(expected)


def test_labels_that_are_joined_are_filled_in() -> None:
    source = '{{ labels | join(" or ") }}? {{text}}'
    assert outline(source, ["text"], ["good", "bad"]) == ("good or bad? ", Slot("text"), "")


@pytest.mark.parametrize(
    "source",
    [
        "{% if text %}{{ text }}{% endif %}",
        "{{ text | upper }}",
        "{{ text }}{# remark #}",
        "{{ other }}",
        "{{ '{{ text }}' }}",
        "{{- text }}",
        "{{ text }}\r\n",
        *HOSTILE[:3],
    ],
)
def test_a_template_with_logic_has_no_outline(source: str) -> None:
    assert outline(source, ["text"], ("good", "bad")) is None
