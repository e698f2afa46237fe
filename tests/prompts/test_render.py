"""From variant and inputs to prompt and label texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import InputRejected, TemplateError
from edge_autoglm.prompts import ChatRenderer, Task, Variant, label_texts, render
from edge_autoglm.values import Message

LoadVariants = Callable[[str], Task]

PLAIN = Variant("plain", prompt="{{ text }}")
CHAT = Variant(
    "chat",
    messages=(Message(role="user", content="{{ labels | join(' or ') }}? {{ text }}"),),
    answer="The mood ({{ labels | length }} kinds) is",
)


def task(*variants: Variant, inputs: tuple[str, ...] = ("text",), labels: tuple[str, ...] = ("happy", "sad")) -> Task:
    return Task("mood", "", "classify", inputs, labels, variants, (), "mood.yaml")


def test_completion_style() -> None:
    variant = Variant("review", prompt="Text: {{ text | upper }}\nMood:")
    assert render(task(variant), variant, {"text": "a day"}) == "Text: A DAY\nMood:"


def test_chat_style_with_the_beginning_of_the_answer(chat: ChatRenderer) -> None:
    assert render(task(CHAT), CHAT, {"text": "A day"}, chat) == (
        "<sys>Be nice.</sys>\n<user>happy or sad? A day</user>\n<assistant>The mood (2 kinds) is"
    )


def test_chat_style_without_a_chat_template_is_an_error() -> None:
    with pytest.raises(TemplateError, match="variant chat of task mood is a chat, and the model has no chat template"):
        render(task(CHAT), CHAT, {"text": "x"})


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_an_input_comes_out_as_it_is(text: str) -> None:
    assert render(task(PLAIN), PLAIN, {"text": text}) == text


@pytest.mark.parametrize(
    "text", ["{{ labels }}", "{% if x %}", "{# gone #}", "{{ ''.__class__.__mro__ }}", "{% raw %}"]
)
def test_template_syntax_in_an_input_stays_text(chat: ChatRenderer, text: str) -> None:
    assert render(task(PLAIN), PLAIN, {"text": text}) == text
    assert f"happy or sad? {text}</user>" in render(task(CHAT), CHAT, {"text": text}, chat)


@pytest.mark.parametrize(
    ("inputs", "cause"),
    [
        ({}, "task mood got no input 'text'"),
        ({"text": "x"}, "task mood got no input 'tone'"),
        ({"text": "x", "tone": "y", "labels": "z"}, "task mood has no input 'labels'"),
        ({"text": "x", "tone": 3}, "input 'tone' of task mood is of type int"),
        ({"text": "x", "tone": None}, "input 'tone' of task mood is of type NoneType"),
        ({"text": "x", "tone": b"y"}, "input 'tone' of task mood is of type bytes"),
        ({"text": "ab\0", "tone": "y"}, "input 'text' of task mood has a NUL character at position 2"),
        ({"text": "a\udc80", "tone": "y"}, "input 'text' of task mood has half a surrogate pair at position 1"),
        ({"text": "", "tone": ""}, "variant plain of task mood has nothing to ask: its inputs are empty"),
    ],
)
def test_unusable_inputs_are_rejected(inputs: dict[str, str], cause: str) -> None:
    variant = Variant("plain", prompt="{{ text }}{{ tone }}")
    with pytest.raises(InputRejected) as caught:
        render(task(variant, inputs=("text", "tone")), variant, inputs)
    assert caught.value.cause == cause
    if "input" in cause.split("task")[0]:
        assert "text" in caught.value.cure


def test_the_cure_lists_the_tasks_inputs() -> None:
    with pytest.raises(InputRejected, match=r"Give exactly the inputs of the task, as texts: text, tone\."):
        render(task(PLAIN, inputs=("text", "tone")), PLAIN, {"txt": "x"})


@pytest.mark.parametrize("text", ["🙂", "👍🏽", "\ue000", "‮abc", "﷽", "a\r\nb", "\x1b[31m", " "])
def test_other_unusual_characters_pass(text: str) -> None:
    assert render(task(PLAIN), PLAIN, {"text": text}) == text


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("Mood:", {"happy": " happy", "sad": " sad"}),
        ("Mood: ", {"happy": "happy", "sad": "sad"}),
        ("<assistant>\n", {"happy": "happy", "sad": "sad"}),
        ("心情：\u3000", {"happy": "happy", "sad": "sad"}),
    ],
)
def test_a_label_stands_for_itself_with_a_space_where_one_is_missing(prompt: str, texts: dict[str, str]) -> None:
    assert label_texts(task(PLAIN), PLAIN, prompt) == texts


def test_a_label_in_chinese_gets_no_space() -> None:
    labels = ("高兴", "sad")
    assert label_texts(task(PLAIN, labels=labels), PLAIN, "心情：") == {"高兴": "高兴", "sad": " sad"}


def test_the_verbalizers_text_is_used_as_it_stands() -> None:
    variant = Variant("plain", prompt="{{ text }}", verbalizer={"happy": "glad"})
    assert label_texts(task(variant), variant, "Mood:") == {"happy": "glad", "sad": " sad"}


def test_a_failure_at_a_request_names_file_variant_and_line(load_variants: LoadVariants) -> None:
    mood = load_variants('  - name: strict\n    prompt: "{{ text }}{{ 1 / (text | length - 3) }}"\n')
    with pytest.raises(TemplateError, match=r"mood.yaml: variants\[1\].prompt, line 1 failed: ZeroDivisionError"):
        render(mood, mood.variant("strict"), {"text": "abc"})
