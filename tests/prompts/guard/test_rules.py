"""The guard of a task file: read, and written back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from edge_autoglm.errors import TaskFileError
from edge_autoglm.prompts import Task, load_task
from edge_autoglm.prompts.guard.rules import Allowed, GuardRules, OutputRules

GENERATE = """\
name: part
description: What is this part?
kind: generate
inputs: [part, unit]
variants:
  - {name: plain, prompt: "{{ part }} {{ unit }}"}
  - {name: asked, prompt: "Part {{ part }} in {{ unit }}:"}
probes:
  - {part: A-1, unit: metre}
  - {part: B-2, unit: foot}
"""
WHOLE = """\
guard:
  max_chars: 4000
  control: refuse
  bidi: pass
  lookalikes: refuse
  allow:
    unit: [metre, foot, no]
    part: {characters: A-Z0-9-, max_chars: 12}
  output:
    max_chars: 600
    forbid: ["http://", 12]
    allow: {characters: "a-z ."}
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Task]:
    def read(guard: str) -> Task:
        path = tmp_path / "part.yaml"
        path.write_text(GENERATE + guard, encoding="utf-8")
        return load_task(path)

    return read


def test_a_whole_guard(load: Callable[[str], Task]) -> None:
    assert load(WHOLE).guard == GuardRules(
        max_chars=4000,
        control="refuse",
        bidi="pass",
        lookalikes="refuse",
        allow={
            "unit": Allowed(values=("metre", "foot", "no")),
            "part": Allowed(characters="A-Z0-9-", max_chars=12),
        },
        output=OutputRules(600, ("http://", "12"), Allowed(characters="a-z .")),
    )


def test_a_file_without_one_and_an_empty_one_have_the_defaults(load: Callable[[str], Task]) -> None:
    assert load("").guard == load("guard: {}\n").guard == GuardRules()
    assert load("guard: {output: {}}\n").guard == GuardRules(output=OutputRules())


@pytest.mark.parametrize("guard", [WHOLE, "", "guard: {bidi: drop, output: {}}\n"])
def test_what_is_written_back_reads_the_same(load: Callable[[str], Task], guard: str) -> None:
    rules = load(guard).guard
    assert load(yaml.safe_dump({"guard": rules.plain()})).guard == rules


def test_the_guard_is_no_part_of_the_fingerprint(load: Callable[[str], Task]) -> None:
    assert load(WHOLE).fingerprint == load("").fingerprint


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        ("guard: strict\n", "part.yaml: guard is the text 'strict' (line 11)"),
        ("guard:\n  allow: {tone: [x]}\n", "part.yaml: guard.allow.tone is an unknown key (line 12)"),
        ("guard:\n  allow:\n    unit: {max_chars: 3}\n", "part.yaml: guard.allow.unit has no characters (line 13)"),
        ("guard:\n  output:\n    forbid: []\n", "part.yaml: guard.output.forbid has 0 elements (line 13)"),
        ("guard:\n  output:\n    forbid: ['']\n", "part.yaml: guard.output.forbid[0] is empty (line 13)"),
        ("guard:\n  output:\n    max_chars: 1.5\n", "part.yaml: guard.output.max_chars is 1.5 (float) (line 13)"),
        ("guard:\n  lookalikes: drop\n", "part.yaml: guard.lookalikes is 'drop' (line 12)"),
    ],
)
def test_a_mistake_names_file_line_and_field(load: Callable[[str], Task], guard: str, message: str) -> None:
    with pytest.raises(TaskFileError) as caught:
        load(guard)
    assert message in caught.value.cause
