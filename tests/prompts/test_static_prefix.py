"""The static prefix of a variant is found by rendering."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import TemplateError
from edge_autoglm.prompts import ChatRenderer, Task, Variant, builtin_task_files, load_task, render, static_prefix
from edge_autoglm.values import Message


def task(variant: Variant, inputs: tuple[str, ...] = ("text",)) -> Task:
    return Task("mood", "", "classify", inputs, ("happy", "sad"), (variant,), (), "mood.yaml")


@pytest.mark.parametrize(
    ("prompt", "prefix"),
    [
        ("{{ text }}", ""),
        ("Review: {{ text }}\nMood:", "Review: "),
        ("Review:{{ text }}", "Review:"),
        ("Review: {{ text | trim | upper }}", "Review: "),
        ("Review: {{ text | length }}", "Review: "),
        ("Review: {{ text[:3] }}", "Review: "),
        ("Review:\n  {{- text }}", "Review:"),
        ("{% set a = 'x' %}\nReview {{ a }}: {{ text }}", "Review x: "),
        ("A {% if text | length > 100 %}long{% else %}lone{% endif %} review: {{ text }}", "A lon"),
        ("A {% if text | length > 4000 %}long {% endif %}review: {{ text }}", "A "),
        ("A {% if text | length == 37 %}long {% endif %}review: {{ text }}", "A "),
        ("A {% if text %}review: {{ text }}{% else %}review that is empty{% endif %}", "A review"),
        ("A {% if 'xyzzy' in text %}magic {% endif %}review: {{ text }}", "A "),
        ("A {% if text.startswith('xyzzy') %}magic {% endif %}review: {{ text }}", "A "),
        ("A {% if text | lower == 'xyzzy' %}magic {% endif %}review: {{ text }}", "A "),
        ("A {% if 'a' in text and text | length > 90 %}x{% endif %}review: {{ text }}", "A "),
        ("A {% if 'b' in text and 'c' in text %}x{% endif %}review: {{ text }}", "A "),
        ("A {% if text.split() | length > 300 %}very long {% endif %}review: {{ text }}", "A "),
        ("A {% if '?' in text %}question{% endif %}: {{ text }}", "A "),
        ("Lines:\n{% for line in text.splitlines() %}\n- {{ line }}\n{% endfor %}\nMood:", "Lines:\n"),
        ("{% for label in labels %}{{ label }}, {% endfor %}: {{ text }}", "happy, sad, : "),
        ("A{% if text | length > 9 %}{{ text }}{% else %}ж{% endif %}", "A"),
    ],
)
def test_it_ends_where_renderings_begin_to_differ(prompt: str, prefix: str) -> None:
    variant = Variant("v", prompt=prompt)
    assert static_prefix(task(variant), variant) == prefix


def test_with_several_inputs_it_ends_at_the_first_that_matters() -> None:
    variant = Variant("v", prompt="In {{ language }}: {{ text }}")
    assert static_prefix(task(variant, ("text", "language")), variant) == "In "
    variant = Variant("v", prompt="Hi {% if text == language %}echo{% endif %}: {{ text }}{{ language }}")
    assert static_prefix(task(variant, ("text", "language")), variant) == "Hi "


def test_of_a_chat_it_reaches_into_the_user_turn(chat: ChatRenderer) -> None:
    variant = Variant("v", messages=(Message(role="user", content="Happy or sad?\n{{ text }}"),), answer="It is")
    assert static_prefix(task(variant), variant, chat) == "<sys>Be nice.</sys>\n<user>Happy or sad?"


def test_inputs_that_the_template_refuses_do_not_count() -> None:
    variant = Variant("v", prompt="{% if text | length < 5 %}{{ raise_exception('short') }}{% endif %}A: {{ text }}")
    assert static_prefix(task(variant), variant) == "A: "


def test_a_template_that_fails_on_every_input_is_an_error(chat: ChatRenderer) -> None:
    variant = Variant("v", prompt="A: {{ text / 2 }}")
    with pytest.raises(TemplateError, match="TypeError"):
        static_prefix(task(variant), variant)
    variant = Variant("v", messages=(Message(role="user", content="{{ text }}"),))
    with pytest.raises(TemplateError, match="no chat template"):
        static_prefix(task(variant), variant)


WORDS = st.sampled_from(["not", "x", "好", "a b", "."])
LITERALS = st.text(alphabet="abA: .-\n好ж", max_size=6)
OUTPUTS = st.sampled_from(
    [
        "{{ text }}",
        "{{- text -}}",
        "{{ text | trim | upper }}",
        "{{ text | length }}",
        "{{ text | title }}",
        "{{ text[:3] }}",
        "{{ text | replace('a', 'b') }}",
        "{{ text | truncate(9) }}",
        "{{ labels | join(', ') }}",
    ]
)
CONDITIONS = st.one_of(
    st.integers(0, 300).flatmap(
        lambda n: st.sampled_from([f"text | length > {n}", f"text | length == {n}", f"text.split() | length < {n}"])
    ),
    WORDS.flatmap(lambda w: st.sampled_from([f"'{w}' in text", f"text == '{w}'", f"text.startswith('{w}')"])),
    st.sampled_from(["text", "text | trim", "text.isupper()", "'\\n' in text"]),
)
NEGATED = st.builds(lambda condition, negate: f"not ({condition})" if negate else condition, CONDITIONS, st.booleans())


def branches(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, NEGATED, inner, inner),
        st.builds("{{%- if {} -%}}{}{{%- endif %}}".format, NEGATED, inner),
    )


def loops(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("{{% for part in text.split() %}}{}{{{{ part }}}}{{% endfor %}}".format, inner)


FLAT = st.lists(st.one_of(LITERALS, OUTPUTS), max_size=3).map("".join)
NESTED = st.lists(
    st.one_of(LITERALS, OUTPUTS, branches(FLAT), branches(branches(FLAT)), branches(loops(LITERALS)), loops(LITERALS)),
    min_size=1,
    max_size=4,
)
TEXTS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.lists(WORDS, max_size=4).map(" ".join),
    st.builds(lambda text, times: text * times, WORDS, st.integers(0, 400)),
)


@given(NESTED.map("".join), st.lists(TEXTS, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_every_rendering_starts_with_it(template: str, texts: list[str]) -> None:
    variant = Variant("v", prompt="." + template)  # never empty, so that nothing is rejected
    prefix = static_prefix(task(variant), variant)
    for text in texts:
        assert render(task(variant), variant, {"text": text}).startswith(prefix)


@pytest.mark.parametrize("path", builtin_task_files(), ids=lambda path: path.stem)
def test_of_every_builtin_prompt_only_the_input_and_what_follows_is_left(path: Path, chat: ChatRenderer) -> None:
    builtin = load_task(path)
    for variant in builtin.variants:
        prefix = static_prefix(builtin, variant, chat)
        for probe in builtin.probes:
            rest = render(builtin, variant, probe, chat).removeprefix(prefix)
            # A chat template that trims makes the white space before an empty input depend on the input.
            assert rest.lstrip().startswith(next(iter(probe.values()))), variant.name
