"""Reading task files: what a good one means, and that every mistake is an error which names file and field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from edge_autoglm.errors import PromptError, TaskFileError, TemplateError, UnknownVariant
from edge_autoglm.prompts import Task, builtin_task_files, load_task
from edge_autoglm.values import SamplingParams
from tests.prompts.task_texts import HEADER, PLAIN, PROBES

Write = Callable[[str], Path]
LoadVariants = Callable[[str], Task]

WHOLE = f"""\
{HEADER}
decoding: {{max_new_tokens: 20, temperature: 0.5}}
variants:
{PLAIN}
  - name: chat
    description: A question.
    messages:
      - {{role: system, content: You know people.}}
      - role: user
        content: |
          Happy or sad?
          {{{{ text }}}}
    answer: The writer is
    decoding: {{temperature: 0, top_k: 4, top_p: 0.9, seed: 3, stop: [".", "\\n"]}}
    verbalizer: {{happy: " glad"}}
{PROBES}"""


def test_a_whole_file(write_task: Write) -> None:
    task = load_task(write_task(WHOLE))
    assert (task.name, task.kind, task.inputs, task.labels) == ("mood", "classify", ("text",), ("happy", "sad"))
    assert task.file == "mood.yaml"
    assert task.probes == ({"text": "What a day!"}, {"text": "It rained."})
    assert task.expected == ("happy", None)
    plain, chat = task.variants
    assert plain.prompt == "{{ text }}"
    assert plain.sampling == SamplingParams(max_new_tokens=20, temperature=0.5)
    assert chat.messages == (
        {"role": "system", "content": "You know people."},
        {"role": "user", "content": "Happy or sad?\n{{ text }}"},
    )
    assert chat.answer == "The writer is"
    assert chat.verbalizer == {"happy": " glad"}
    assert chat.sampling == SamplingParams(20, temperature=0.0, top_k=4, top_p=0.9, stop=(".", "\n"), seed=3)
    assert task.variant("chat") is chat


def test_an_unknown_variant_lists_those_there_are(write_task: Write) -> None:
    with pytest.raises(UnknownVariant, match=r"no variant 'chatty'\. Name one of: plain, chat\."):
        load_task(write_task(WHOLE)).variant("chatty")


@pytest.mark.parametrize(
    ("scalar", "text"),
    [
        ("|\n      a {{ text }}\n", "a {{ text }}"),
        ("|-\n      a {{ text }}\n", "a {{ text }}"),
        ("|+\n      a {{ text }}\n\n\n", "a {{ text }}\n\n"),
        (">\n      a\n      {{ text }}\n", "a {{ text }}"),
        ('"a {{ text }} \\n"\n', "a {{ text }} "),
        ('"a {{ text }}\\n\\n"\n', "a {{ text }}\n"),
        ("'a {{ text }} '\n", "a {{ text }} "),
        ("a {{ text }}  # comment\n", "a {{ text }}"),
    ],
)
def test_exactly_one_line_break_at_the_end_is_taken_off(load_variants: LoadVariants, scalar: str, text: str) -> None:
    task = load_variants(f"  - name: other\n    prompt: {scalar}")
    assert task.variant("other").prompt == text


def test_a_file_rewritten_by_a_yaml_tool_means_the_same(write_task: Write) -> None:
    for path in builtin_task_files():
        rewritten = yaml.safe_dump(yaml.safe_load(path.read_text(encoding="utf-8")), allow_unicode=True)
        assert load_task(write_task(rewritten)).fingerprint == load_task(path).fingerprint


def test_words_that_yaml_would_turn_into_something_else_stay_texts(write_task: Write) -> None:
    content = HEADER.replace("[happy, sad]", "[yes, no, 1.10, 2024-01-01]")
    probes = "probes:\n  - {text: 1, expect: yes}\n  - {text: off}\n"
    task = load_task(write_task(f"{content}variants:\n{PLAIN}{PLAIN.replace('plain', 'on')}{probes}"))
    assert task.labels == ("yes", "no", "1.10", "2024-01-01")
    assert task.probes == ({"text": "1"}, {"text": "off"})
    assert task.expected == ("yes", None)
    assert task.variant("on").name == "on"


def test_the_fingerprint_covers_what_decides_an_answer_and_nothing_else(write_task: Write) -> None:
    original = load_task(write_task(WHOLE)).fingerprint
    for same in (("A question.", "The question."), ("What a day!", "Hooray!")):
        assert load_task(write_task(WHOLE.replace(*same))).fingerprint == original
    for other in (
        ("Happy or sad?", "Sad or happy?"),
        ("seed: 3", "seed: 4"),
        (" glad", " merry"),
        ("name: mood", "name: moo"),
    ):
        assert load_task(write_task(WHOLE.replace(*other))).fingerprint != original


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: classify", "kind: sort", "mood.yaml: kind is 'sort' (line 3)"),
        ("kind: classify", "kind:", "mood.yaml: kind is empty (line 3)"),
        ("kind: classify", "kind: [classify]", "mood.yaml: kind is a list (line 3)"),
        ("kind: classify\n", "", "mood.yaml: the file has no kind (line 1)"),
        ("kind: classify", "kind: classify\nkind: classify", "mood.yaml: kind is there twice (line 4)"),
        ("kind: classify", "kin: classify", "mood.yaml: kin is an unknown key (line 3)"),
        ("kind: classify", "kind: generate", "mood.yaml: labels are given for a task that generates text"),
        ("name: mood", "name: Mood swings", "mood.yaml: name is 'Mood swings', which cannot name a task"),
        ("inputs: [text]", "inputs: text", "mood.yaml: inputs is the text 'text'"),
        ("inputs: [text]", "inputs: []", "mood.yaml: inputs has 0 elements"),
        ("inputs: [text]", "inputs: [text, text]", "mood.yaml: inputs[1] is 'text', which is there twice"),
        ("inputs: [text]", "inputs: [text, labels]", "mood.yaml: inputs[1] is 'labels', which means something else"),
        ("inputs: [text]", "inputs: [my-text]", "mood.yaml: inputs[0] is 'my-text', which cannot name an input"),
        ("labels: [happy, sad]\n", "", "mood.yaml: the file has no labels"),
        ("[happy, sad]", "[happy]", "mood.yaml: labels has 1 elements"),
        ("[happy, sad]", "[happy, sad, happy]", "mood.yaml: labels[2] is 'happy', which is there twice"),
        ("[happy, sad]", "[' happy', sad]", "mood.yaml: labels[0] is ' happy', with white space around it"),
        ("max_new_tokens: 20", "max_new_tokens: 0", "mood.yaml: decoding.max_new_tokens is 0 (line 7)"),
        ("max_new_tokens: 20", "max_new_tokens: 2.5", "mood.yaml: decoding.max_new_tokens is 2.5 (float)"),
        ("max_new_tokens: 20", "max_new_tokens: 0x10", "mood.yaml: decoding.max_new_tokens is 0x10 (int)"),
        ("max_new_tokens: 20", "max_tokens: 20", "mood.yaml: decoding.max_tokens is an unknown key"),
        ("top_p: 0.9", "top_p: 1.5", "mood.yaml: variants[1].decoding.top_p is 1.5"),
        ("top_p: 0.9", "top_p: .nan", "mood.yaml: variants[1].decoding.top_p is .nan (float)"),
        ("top_p: 0.9", "top_p: '0.9'", "mood.yaml: variants[1].decoding.top_p is the text '0.9'"),
        ("top_p: 0.9", "top_p: yes", "mood.yaml: variants[1].decoding.top_p is yes (bool)"),
        ("temperature: 0,", "temperature: -1,", "mood.yaml: variants[1].decoding.temperature is -1.0"),
        ('stop: [".",', 'stop: ["",', "mood.yaml: variants[1].decoding.stop[0] is empty"),
        ("name: chat", "name: plain", "mood.yaml: variants[1] has the name 'plain' of another variant"),
        ("name: plain", "name: raw", "mood.yaml: variants have none named plain"),
        ("    answer:", "    lead_in:", "mood.yaml: variants[1].lead_in is an unknown key"),
        (
            "    messages:",
            "    prompt: x\n    messages:",
            "mood.yaml: variants[1] has not exactly one of prompt and messages",
        ),
        ('    prompt: "{{ text }}"\n', "", "mood.yaml: variants[0] has not exactly one of prompt and messages"),
        (
            '    prompt: "{{ text }}"',
            '    prompt: "{{ text }}"\n    answer: x',
            "mood.yaml: variants[0].answer stands beside",
        ),
        ("role: system", "role: boss", "mood.yaml: variants[1].messages[0].role is 'boss'"),
        ("role: user", "role: assistant", "mood.yaml: variants[1].messages do not end with the user's turn"),
        ("content: You know people.", "contents: x", "mood.yaml: variants[1].messages[0].contents is an unknown key"),
        ("{happy: ", "{hapy: ", "mood.yaml: variants[1].verbalizer.hapy is not one of the labels"),
        ('" glad"', '" sad"', "mood.yaml: variants[1] (chat) has the text 'sad' for both happy and sad"),
        ('" glad"', '""', "mood.yaml: variants[1].verbalizer.happy is empty"),
        ('" glad"', r'"\0"', "mood.yaml: variants[1].verbalizer.happy has a NUL character at position 0"),
        ('" glad"', r'"\ud800"', "mood.yaml: variants[1].verbalizer.happy has half a surrogate pair at position 0"),
        ('" glad"', "!!python/name:os.system x", "verbalizer.happy is x (python/name:os.system)"),
        ("  - {text: It rained.}\n", "", "mood.yaml: probes has 1 elements"),
        ("text: It rained.", "txt: It rained.", "mood.yaml: probes[1].txt is an unknown key"),
        ("text: It rained.", "text: It rained, again", "mood.yaml: probes[1].again is an unknown key"),
        ("expect: happy", "expect: glad", "mood.yaml: probes[0].expect is 'glad'"),
        ("{{ text }}\n    answer", "text\n    answer", "mood.yaml: variants[1] (chat) never uses the input 'text'"),
        ("variants:", "variants: {}\nv:", "mood.yaml: v is an unknown key"),
    ],
)
def test_a_mistake_names_file_and_field(write_task: Write, old: str, new: str, message: str) -> None:
    assert old in WHOLE
    with pytest.raises(TaskFileError) as caught:
        load_task(write_task(WHOLE.replace(old, new)))
    assert message in caught.value.cause
    assert caught.value.cure.endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Happy or sad?",
            "{{ mood }}",
            "mood.yaml: variants[1].messages[1].content of variant chat uses the undefined variable 'mood'",
        ),
        (
            "answer: The",
            "answer: '{{ x }}' #",
            "mood.yaml: variants[1].answer of variant chat uses the undefined variable 'x'",
        ),
        ("Happy or sad?", "{% if %}", "mood.yaml: variants[1].messages[1].content, line 1 has a syntax error"),
        (
            "Happy or sad?",
            "{{ text.mood }}",
            "mood.yaml: variants[1].messages[1].content, line 1 uses something undefined",
        ),
        ("Happy or sad?", "{{ text / 2 }}", "mood.yaml: variants[1].messages[1].content, line 1 failed: TypeError"),
    ],
)
def test_a_wrong_template_names_file_variant_and_variable(write_task: Write, old: str, new: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load_task(write_task(WHOLE.replace(old, new)))
    assert message in caught.value.cause


def test_labels_are_visible_to_templates_of_a_classification_only(
    write_task: Write, load_variants: LoadVariants
) -> None:
    variant = '  - name: other\n    prompt: "{{ labels | join }} {{ text }}"\n'
    assert len(load_variants(variant).variants) == 2
    generate = HEADER.replace("classify", "generate").replace("labels: [happy, sad]\n", "")
    probes = PROBES.replace(", expect: happy", "")
    with pytest.raises(TemplateError, match="undefined variable 'labels'"):
        load_task(write_task(f"{generate}variants:\n{PLAIN}{variant}{probes}"))


def test_a_variant_that_says_nothing_is_an_error(load_variants: LoadVariants) -> None:
    with pytest.raises(TaskFileError, match=r"variants\[1\] \(other\) renders an example to nothing"):
        load_variants('  - name: other\n    prompt: "{{ text[:0] }}"\n')


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "mood.yaml: the file is empty"),
        (b"# nothing\n", "mood.yaml: the file is empty"),
        (b"just text", "mood.yaml: the file is the text 'just text'"),
        (b"- a\n", "mood.yaml: the file is a list"),
        (b"name: [a\nkind: b", "mood.yaml: the file is not YAML: expected ',' or ']'"),
        (b"name: a\n\tkind: b", "mood.yaml: the file is not YAML"),
        (b"a: *b", "mood.yaml: the file is not YAML: found undefined alias"),
        (b"name: a\n---\nname: b", "mood.yaml: the file is not YAML"),
        (b"name: \xff\xfe\x00", "mood.yaml: the file is not text"),
        (b"name: \x00", "mood.yaml: the file is not text"),
        (b"[" * 600, "mood.yaml: the file is nested too deeply"),
    ],
)
def test_a_file_that_is_no_task_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mood.yaml"
    path.write_bytes(content)
    with pytest.raises(TaskFileError) as caught:
        load_task(path)
    assert message in caught.value.cause


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.yaml", tmp_path):
        with pytest.raises(TaskFileError, match="the file cannot be read"):
            load_task(path)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path, write_task: Write) -> None:
    original = load_task(write_task(WHOLE)).fingerprint
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode("utf-8"))
    assert load_task(path).fingerprint == original


def test_a_file_cut_anywhere_fails_cleanly(tmp_path: Path) -> None:
    path = tmp_path / "mood.yaml"
    whole = WHOLE.encode("utf-8")
    for end in range(0, whole.index(b"probes:"), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(PromptError, match=r"^mood\.yaml"):
            load_task(path)
