"""Every mistake in a task file is told with the file, the line and the field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_autoglm.errors import PromptError, TaskFileError
from edge_autoglm.prompts import Catalogue, load_task

Write = Callable[[str], Path]

WHOLE = """\
name: mood
version: 1.2.0
description: How does the writer feel?
kind: classify
inputs: [text]
labels: [happy, sad]
decoding:
  max_new_tokens: 20
  temperature: 0.5
variants:
  - name: plain
    prompt: "{{ text }}"
  - name: chat
    description: A question.
    messages:
      - {role: system, content: You know people.}
      - role: user
        content: |
          Happy or sad?
          {{ text }}
          Say it.
    answer: The writer is
    decoding:
      temperature: 0
      top_k: 4
      top_p: 0.9
      stop: [".", "!"]
    verbalizer:
      happy: " glad"
probes:
  - {text: What a day!, expect: happy}
  - {text: It rained.}
golden:
  - {text: I am so glad., expect: happy}
guard:
  max_chars: 4000
  control: refuse
  bidi: drop
  allow:
    text: {characters: A-Za-z .!, max_chars: 90}
"""

# What is replaced, by what, the field that the message names, and a text in the line that it names.
MISTAKES = [
    ("name: mood", "name: Mood swings", "name", "Mood"),
    ("name: mood", "name:", "name", "name:"),
    ("version: 1.2.0", "version: 1.2", "version", "1.2"),
    ("version: 1.2.0", "version: 1.02.0", "version", "1.02"),
    ("version: 1.2.0", "version: [1, 2, 0]", "version", "[1"),
    ("description: How does the writer feel?\n", "", "the file has no description", "name: mood"),
    ("description: How does the writer feel?", "description:", "description", "description:"),
    ("kind: classify", "kind: sort", "kind", "sort"),
    ("kind: classify", "kind: classify\nkind: generate", "kind", "kind: generate"),
    ("kind: classify", "kind: classify\nsort: x", "sort", "sort"),
    ("kind: classify", "kind: generate", "labels", "labels:"),
    ("inputs: [text]", "inputs: text", "inputs", "inputs:"),
    ("inputs: [text]", "inputs:\n  - text\n  - Tone", "inputs[1]", "Tone"),
    ("inputs: [text]", "inputs:\n  - text\n  - labels", "inputs[1]", "- labels"),
    ("labels: [happy, sad]\n", "", "the file has no labels", "name: mood"),
    ("labels: [happy, sad]", "labels:\n- happy\n- sad\n- happy", "labels[2]", "- happy\ndec"),
    ("labels: [happy, sad]", "labels: [happy]", "labels", "labels:"),
    ("  max_new_tokens: 20", "  max_new_tokens: 0", "decoding.max_new_tokens", "max_new"),
    ("  max_new_tokens: 20", "  max_tokens: 20", "decoding.max_tokens", "max_tokens"),
    ("  temperature: 0.5", "  temperature: hot", "decoding.temperature", "hot"),
    ("      top_p: 0.9", "      top_p: 1.5", "variants[1].decoding.top_p", "top_p"),
    ("      top_k: 4", "      top_k: 4.5", "variants[1].decoding.top_k", "top_k"),
    ('stop: [".", "!"]', 'stop: ["."', "the file is not YAML", "verbalizer"),
    ('stop: [".", "!"]', 'stop: ["", "!"]', "variants[1].decoding.stop[0]", "stop"),
    ("  - name: plain\n", "  - name: raw\n", "variants have none named plain", "- name: raw"),
    ("  - name: chat\n", "  - name: plain\n", "variants[1]", "- name: plain\n    desc"),
    ("  - name: chat\n", "  - name: so chatty\n", "variants[1].name", "so chatty"),
    ("  - name: chat\n    description", "  - description", "variants[1] has no name", "- description"),
    ('    prompt: "{{ text }}"\n', "", "variants[0]", "- name: plain"),
    ('    prompt: "{{ text }}"\n', '    prompt: "{{ text }}"\n    answer: x\n', "variants[0].answer", "answer: x"),
    ("    answer:", "    lead_in:", "variants[1].lead_in", "lead_in"),
    ("role: system", "role: boss", "variants[1].messages[0].role", "boss"),
    ("      - role: user\n", "      - role: assistant\n", "variants[1].messages", "- {role: system"),
    ("content: You know people.", "contents: x", "variants[1].messages[0].contents", "contents"),
    ("      happy: ", "      hapy: ", "variants[1].verbalizer.hapy", "hapy"),
    ('" glad"', '" sad"', "variants[1] (chat)", "- name: chat"),
    ('" glad"', '""', "variants[1].verbalizer.happy", 'happy: ""'),
    ('" glad"', r'"\0"', "variants[1].verbalizer.happy", r"\0"),
    ("          {{ text }}\n", "", "variants[1] (chat)", "- name: chat"),
    ("          {{ text }}", "          {{ text }} {{ mood }}", "variants[1].messages[1].content", "{{ mood }}"),
    ("          {{ text }}", "          {% if %}{{ text }}", "variants[1].messages[1].content", "{% if %}"),
    ("          {{ text }}", "          {{ text.mood }}", "variants[1].messages[1].content", "{{ text.mood }}"),
    ("          {{ text }}", "          {{ text / 2 }}", "variants[1].messages[1].content", "{{ text / 2 }}"),
    ("          {{ text }}", "          {{ text | shout }}", "variants[1].messages[1].content", "shout"),
    ("          {{ text }}", "          {{ text.__class__ }}", "variants[1].messages[1].content", "__class__"),
    ("          {{ text }}", "          {{ 'a' * 99999999 }}{{ text }}", "variants[1].messages[1].content", "999"),
    ("answer: The writer is", "answer: '{{ x }}'", "variants[1].answer", "{{ x }}"),
    ("answer: The writer is", "answer: '{{ raise_exception(text) }}'", "variants[1].answer", "raise_exception"),
    ('prompt: "{{ text }}"', 'prompt: "{{ text[:0] }}"', "variants[0] (plain)", "- name: plain"),
    ("  - {text: It rained.}\n", "", "probes", "- {text: What"),
    ("{text: It rained.}", "{txt: It rained.}", "probes[1].txt", "txt:"),
    ("expect: happy}\n  - {text: It", "expect: glad}\n  - {text: It", "probes[0].expect", "expect: glad"),
    ("{text: I am so glad., expect: happy}", "{text: I am so glad.}", "golden[0] has no expect", "so glad"),
    ("  max_chars: 4000", "  max_chars: 0", "guard.max_chars", "max_chars: 0"),
    ("  max_chars: 4000", "  max_chars: many", "guard.max_chars", "many"),
    ("  control: refuse", "  control: delete", "guard.control", "delete"),
    ("  bidi: drop", "  bide: drop", "guard.bide", "bide"),
    ("A-Za-z .!", "Z-A", "guard.allow.text.characters", "Z-A"),
    ("    text: {characters", "    txt: {characters", "guard.allow.txt", "txt:"),
    ("    text: {characters: A-Za-z .!, max_chars: 90}", "    text: []", "guard.allow.text", "text: []"),
    ("  bidi: drop", "  output: {max_chars: 9}", "guard.output", "output"),
    ("    description: A question.", "    calibration: {happy: much}", "variants[1].calibration.happy", "much"),
    ("    description: A question.", "    calibration: {hapy: 0.1}", "variants[1].calibration", "hapy"),
    ("    description: A question.", "    made_by: by hand", "variants[1].made_by", "by hand"),
    ("    description: A question.", "    soft_prompt: a/b", "variants[1].soft_prompt", "a/b"),
    ("    description: A question.", "    shots: {count: 0}", "variants[1].shots.count", "count: 0"),
    ("    description: A question.", "    shots: {count: 2}", "variants[1] (chat) never uses shots", "- name: chat"),
    ("    description: A question.", "    passages: {count: 1, order: x}", "variants[1].passages.order", "order: x"),
]


def test_the_file_is_right_before_it_is_spoiled(write_task: Write) -> None:
    assert str(load_task(write_task(WHOLE)).version) == "1.2.0"


@pytest.mark.parametrize(("old", "new", "field", "at"), MISTAKES)
def test_a_mistake_names_file_line_and_field(write_task: Write, old: str, new: str, field: str, at: str) -> None:
    assert WHOLE.count(old) == 1
    content = WHOLE.replace(old, new)
    with pytest.raises(PromptError) as caught:
        load_task(write_task(content))
    error = caught.value
    line = content[: content.index(at)].count("\n") + 1
    assert error.cause.startswith(f"mood.yaml: {field}")
    assert error.cause.endswith(f"(line {line})")
    assert error.line == line
    assert error.cure.endswith(".")
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        (b"", "is empty", 1),
        (b"- a\n- b\n", "is a list", 1),
        (b"name: a\n\tkind: b\n", "is not YAML", 2),
        (b"name: a\nkind: *b\n", "is not YAML", 2),
        (b"name: a\n---\nname: b\n", "is not YAML", 2),
        (b"name: a\nkind: \xff\n", "is not text", 2),
        ("name: é中\n\nkind: \a\n".encode(), "is not text", 3),
        (b"name: a\nkind:\n" + b"  [" * 600, "is nested too deeply", 3),
    ],
)
def test_a_file_that_is_no_task_names_the_line(tmp_path: Path, content: bytes, problem: str, line: int) -> None:
    path = tmp_path / "mood.yaml"
    path.write_bytes(content)
    with pytest.raises(TaskFileError) as caught:
        load_task(path)
    assert caught.value.cause.startswith(f"mood.yaml: the file {problem}")
    assert caught.value.cause.endswith(f"(line {line})")


def test_two_files_of_one_name_name_the_line_of_the_second(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(WHOLE, encoding="utf-8")
    second.write_text(f"# A copy.\n{WHOLE}", encoding="utf-8")
    with pytest.raises(TaskFileError) as caught:
        Catalogue.load([first, second])
    assert caught.value.cause == "b.yaml: name 'mood' is the name of a.yaml too (line 2)"
