"""What `prompts check` finds in task files, and what it says that variants cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import BundleError
from edge_autoglm.prompts import Catalogue, builtin_task_files
from edge_autoglm.prompts.checks.costs import resident_tokens
from edge_autoglm.prompts.checks.findings import Finding
from edge_autoglm.prompts.checks.run import NEED_A_MODEL, Report, check_files
from edge_autoglm.prompts.checks.text_model import TextModel
from tests.prompts.task_texts import HEADER, PLAIN, PROBES
from tests.swap.world import CHAT, TOKENIZER, first_generation, make_model


def virtual_tokens(name: str) -> tuple[int, ...]:
    if name != "polite":
        raise BundleError(f"there is no {name}", "Import it.")
    return -7, -8, -9


MODEL = TextModel(TOKENIZER.encode, TOKENIZER.stable_tokens, TOKENIZER.shield, CHAT.render, False, 100, virtual_tokens)
BASE = replace(MODEL, chat=None, bos=True)

Check = Callable[[str], Report]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Checks a task with the plain variant and the given ones."""

    def run(variants: str, header: str = HEADER, model: TextModel | None = MODEL, more: str = "") -> Report:
        path = tmp_path / "mood.yaml"
        path.write_text(f"{header}variants:\n{PLAIN}{variants}{PROBES}{more}", encoding="utf-8")
        return check_files([path], model)

    return run


def found(report: Report, name: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.check == name]


CHAT_VARIANT = """\
  - name: chat
    messages:
      - {role: user, content: "Happy or sad? {{ text }}"}
"""


def test_a_file_that_does_not_load_is_an_error_with_its_place_and_the_others_are_checked(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: mood\nkind: sort\n", encoding="utf-8")
    report = check_files([broken, *builtin_task_files()], None)
    (finding,) = report.findings
    assert (finding.severity, finding.check, finding.file, finding.line) == ("error", "load", str(broken), 1)
    assert len(report.tasks) == len(builtin_task_files())
    assert report.skipped == NEED_A_MODEL


def test_an_undefined_variable_is_an_error_with_its_line(check: Check) -> None:
    (finding,) = check('  - name: other\n    prompt: "{{ text }} {{ mood }}"\n').findings
    assert (finding.severity, finding.field, finding.line) == ("error", "variants[1].prompt", 10)
    assert "undefined variable 'mood'" in finding.message


def test_variants_that_render_alike_are_told_whatever_their_templates_look_like(check: Check) -> None:
    (finding,) = found(check('  - name: other\n    prompt: "{% if true %}{{ text }}{% endif %}"\n'), "alike")
    assert (finding.severity, finding.field, finding.line) == ("warning", "variants[1]", 9)
    assert "other renders as variant plain does, on all 2 probes" in finding.message


@pytest.mark.parametrize(
    "variant",
    [
        '  - name: other\n    prompt: "{{ text }}"\n    decoding: {temperature: 0.5}\n',
        '  - name: other\n    prompt: "{{ text }}"\n    verbalizer: {happy: " glad"}\n',
        '  - name: other\n    prompt: "{{ text }} "\n',
    ],
)
def test_variants_that_differ_in_a_setting_are_not_alike(check: Check, variant: str) -> None:
    assert not found(check(variant), "alike")
    assert not found(check(variant, model=None), "alike")


def test_labels_that_share_a_first_token_are_told(check: Check) -> None:
    variants = """\
  - name: other
    prompt: "Mood: {{ text }}"
    verbalizer: {happy: " good film", sad: " good text"}
"""
    (first,) = [finding for finding in found(check(variants), "labels") if finding.field.startswith("variants[1]")]
    assert (first.severity, first.field, first.line) == ("warning", "variants[1].verbalizer", 11)
    assert "labels happy and sad share their first token in variant other" in first.message


def test_labels_of_the_same_tokens_are_an_error(tmp_path: Path) -> None:
    # The loader refuses equal texts; equal tokens of unequal texts take a tokenizer that cannot tell them apart.
    deaf = replace(MODEL, encode=lambda text: TOKENIZER.encode(text.replace("glad", "bad")))
    path = tmp_path / "mood.yaml"
    verbalizer = '    verbalizer: {happy: " glad", sad: " bad"}\n'
    variants = f'{PLAIN}{verbalizer}  - name: other\n    prompt: "Mood: {{{{ text }}}}"\n'
    path.write_text(f"{HEADER}variants:\n{variants}{PROBES}", encoding="utf-8")
    finding = found(check_files([path], deaf), "labels")[0]
    assert (finding.severity, finding.field) == ("error", "variants[0].verbalizer")


@given(st.text(max_size=20), st.text(min_size=1, max_size=10))
def test_label_tokens_are_those_of_the_model(prompt: str, label: str) -> None:
    with_engine = make_model()
    try:
        assert MODEL.label_tokens(prompt, label) == with_engine.label_tokens(prompt, label)
    finally:
        with_engine.close()


def test_static_text_behind_the_input_is_told_with_both_counts(check: Check) -> None:
    behind = """\
  - name: behind
    prompt: |
      {{ text }}
      Say whether the writer of this text is happy or sad.
      Mood:
"""
    (finding,) = found(check(behind), "prefix")
    static = len(TOKENIZER.encode("Say whether the writer of this text is happy or sad."))
    assert (finding.severity, finding.field, finding.line) == ("warning", "variants[1].prompt", 10)
    assert f"a static prefix of 0 tokens, and {static} static tokens behind the first input" in finding.message


def test_the_same_text_in_front_of_the_input_is_well(check: Check) -> None:
    in_front = """\
  - name: front
    prompt: |
      Say whether the writer of this text is happy or sad.
      {{ text }}
      Mood:
"""
    report = check(in_front)
    assert not found(report, "prefix")
    cost = next(cost for cost in report.costs if cost.variant == "front")
    assert cost.prefix_tokens > 10
    assert cost.resident_bytes == 100 * cost.prefix_tokens
    assert cost.probe_tokens > cost.prefix_tokens


def test_what_a_chat_template_puts_behind_the_input_cannot_be_moved(check: Check) -> None:
    assert not found(check(CHAT_VARIANT), "prefix")
    long = CHAT_VARIANT.replace("{{ text }}", "{{ text }} Answer with one word, and nothing else at all.")
    (finding,) = found(check(long), "prefix")
    assert finding.field == "variants[1].messages[0].content"


def test_a_condition_on_the_request_in_front_of_the_input_is_told(check: Check) -> None:
    variant = """\
  - name: other
    prompt: "{% if 'Qzx' in text %}There is a strange word in this text.{% else %}It is plain.{% endif %} {{ text }}"
"""
    (finding,) = found(check(variant), "prefix")
    assert "tokens in front of the first input that depend on the request" in finding.message


def test_costs_are_those_of_a_generation() -> None:
    model = make_model()
    report = check_files([path for path in builtin_task_files() if path.stem in ("sentiment", "ask")], MODEL)
    generation = first_generation(model, Catalogue([checked.task for checked in report.tasks]))
    try:
        for cost in report.costs:
            assert cost.prefix_tokens == generation.resident[cost.task, cost.variant].tokens
        assert report.shared_tokens == resident_tokens(resident.prefix for resident in generation.resident.values())
    finally:
        generation.retire()


def test_shared_beginnings_are_counted_once() -> None:
    assert resident_tokens([(1, 2, 3), (1, 2, 4), (), (1, 2), (2, 2)]) == 6


def test_a_base_model_leaves_chats_out(check: Check) -> None:
    report = check(CHAT_VARIANT, model=BASE)
    (finding,) = found(report, "chat")
    assert (finding.severity, finding.field) == ("warning", "variants[1].messages")
    assert [cost.variant for cost in report.costs] == ["plain"]


def test_a_soft_prompt_costs_its_tokens_and_has_to_be_there(check: Check) -> None:
    variant = '  - name: soft\n    prompt: "Mood: {{ text }}"\n'
    plain = check(variant).costs[1]
    soft = check(f"{variant}    soft_prompt: polite\n").costs[1]
    assert (soft.prefix_tokens, soft.probe_tokens) == (plain.prefix_tokens + 3, plain.probe_tokens + 3)
    missing = check(f"{variant}    soft_prompt: rude\n")
    (finding,) = found(missing, "soft_prompt")
    assert (finding.severity, finding.field, finding.line) == ("error", "variants[1].soft_prompt", 11)
    assert [cost.variant for cost in missing.costs] == ["plain"]


def test_an_example_that_the_guard_refuses_is_an_error(check: Check) -> None:
    other = '  - name: other\n    prompt: "Mood: {{ text }}"\n'
    (finding,) = found(check(other, more="guard: {max_chars: 10}\n"), "guard")
    assert (finding.severity, finding.field) == ("error", "probes[0]")
    assert "the guard refuses it: input 'text' of task mood has 11 characters" in finding.message


def test_two_files_of_one_task_are_an_error(tmp_path: Path) -> None:
    content = builtin_task_files()[0].read_text(encoding="utf-8")
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for path in paths:
        path.write_text(content, encoding="utf-8")
    (finding,) = check_files(paths, None).findings
    assert (finding.check, finding.file, finding.field, finding.line) == ("names", str(paths[1]), "name", 1)


def test_the_library_has_no_errors() -> None:
    report = check_files(builtin_task_files(), MODEL)
    assert report.errors == 0
    assert not found(report, "alike")
