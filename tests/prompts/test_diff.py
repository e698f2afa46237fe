"""What changed between two versions of a task, and which version that deserves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_autoglm.prompts import Catalogue, Task, Variant, builtin_task_files
from edge_autoglm.prompts.diff import TaskDiff, diff_catalogues, diff_tasks
from edge_autoglm.prompts.guard.rules import GuardRules
from edge_autoglm.prompts.versions import Bump, Version
from edge_autoglm.values import Message, SamplingParams

PLAIN = Variant("plain", prompt="{{ text }}")
ASKED = Variant("asked", prompt="Text: {{ text }}\nMood:", verbalizer={"good": " fine"})
CHAT = Variant(
    "chat",
    messages=(Message(role="system", content="Be nice."), Message(role="user", content="{{ text }}\nGood?")),
    sampling=SamplingParams(temperature=0.5),
)
TASK = Task(
    "mood",
    "How is it?",
    "classify",
    ("text",),
    ("good", "bad"),
    (PLAIN, ASKED, CHAT),
    ({"text": "a"}, {"text": "b"}),
    "mood.yaml",
    ("good", None),
    version=Version(1, 2, 3),
)


def changed(**fields: object) -> TaskDiff:
    return diff_tasks(TASK, replace(TASK, **fields))


def with_variant(old: Variant, new: Variant) -> TaskDiff:
    return changed(variants=tuple(new if variant is old else variant for variant in TASK.variants))


def test_the_same_is_the_same() -> None:
    diff = changed()
    assert (diff.status, diff.deserves, diff.versioned, diff.changes, diff.variants) == (
        "same",
        Bump.NONE,
        True,
        (),
        (),
    )


@pytest.mark.parametrize(
    ("diff", "bump"),
    [
        (changed(description="What?"), Bump.PATCH),
        (changed(probes=({"text": "a"}, {"text": "c"})), Bump.PATCH),
        (changed(expected=(None, None)), Bump.PATCH),
        (changed(kind="generate", labels=()), Bump.MAJOR),
        (changed(labels=("good", "bad", "mixed")), Bump.MAJOR),
        (changed(inputs=("text", "tone")), Bump.MAJOR),
        (changed(guard=GuardRules(max_chars=10)), Bump.MINOR),
        (changed(variants=(PLAIN, ASKED)), Bump.MINOR),
        (changed(variants=(*TASK.variants, replace(PLAIN, name="more"))), Bump.MINOR),
        (with_variant(ASKED, replace(ASKED, description="Completion.")), Bump.PATCH),
        (with_variant(ASKED, replace(ASKED, prompt="{{ text }}\nMood:")), Bump.MINOR),
        (with_variant(ASKED, replace(ASKED, verbalizer={"good": " well"})), Bump.MINOR),
        (with_variant(CHAT, replace(CHAT, sampling=SamplingParams(temperature=0.6))), Bump.MINOR),
        (with_variant(CHAT, replace(CHAT, answer="It is")), Bump.MINOR),
    ],
)
def test_what_a_change_deserves(diff: TaskDiff, bump: Bump) -> None:
    assert diff.status == "changed"
    assert diff.deserves is bump
    assert diff.expected == TASK.version.bumped(bump)
    assert not diff.versioned


def test_settings_are_told_one_by_one_and_templates_line_by_line() -> None:
    new = replace(
        CHAT,
        messages=(Message(role="system", content="Be kind."), Message(role="user", content="{{ text }}\nGood?")),
        sampling=SamplingParams(temperature=0.7, stop=("a", "b")),
    )
    (variant,) = with_variant(CHAT, new).variants
    by_field = {change.field: change for change in variant.changes}
    assert set(by_field) == {"messages", "decoding.temperature", "decoding.stop"}
    assert (by_field["decoding.temperature"].before, by_field["decoding.temperature"].after) == ("0.5", "0.7")
    assert (by_field["decoding.stop"].before, by_field["decoding.stop"].after) == (None, "a\nb")
    assert by_field["messages"].unified == (
        "@@ -1,5 +1,5 @@",
        " [system]",
        "-Be nice.",
        "+Be kind.",
        " [user]",
        " {{ text }}",
        " Good?",
    )


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ((1, 2, 3), False),
        ((1, 2, 4), False),
        ((1, 3, 0), True),
        ((1, 9, 1), True),
        ((2, 0, 0), True),
        ((1, 1, 9), False),
    ],
)
def test_whether_the_version_says_so(version: tuple[int, int, int], fits: bool) -> None:
    assert changed(variants=(PLAIN, ASKED), version=Version(*version)).versioned is fits


def test_a_version_that_goes_back_without_a_change_is_told() -> None:
    assert changed(version=Version(1, 2, 4)).versioned
    assert not changed(version=Version(1, 2, 2)).versioned


def test_variants_and_tasks_come_and_go() -> None:
    diff = changed(variants=(PLAIN, CHAT, replace(PLAIN, name="more")))
    assert [(variant.name, variant.status) for variant in diff.variants] == [("asked", "removed"), ("more", "added")]
    other = replace(TASK, name="other")
    diffs = diff_catalogues(Catalogue([TASK]), Catalogue([other]))
    assert [(each.name, each.status, each.versioned) for each in diffs] == [
        ("mood", "removed", True),
        ("other", "added", True),
    ]


def test_the_library_is_the_same_as_itself() -> None:
    library = Catalogue.load(builtin_task_files())
    assert {diff.status for diff in diff_catalogues(library, Catalogue.load(builtin_task_files()))} == {"same"}
