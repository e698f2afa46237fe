"""What changed between two versions of a task, and how much of a semantic version that deserves."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import MappingProxyType
from typing import Literal

from edge_autoglm.prompts.catalogue import Catalogue
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.prompts.versions import Bump, Version

Status = Literal["added", "removed", "changed", "same"]

_ASKED_FOR = frozenset(("kind", "inputs", "labels"))
_TASK_FOR_PEOPLE = frozenset(("description", "probes", "expected", "golden"))
_VARIANT_FOR_PEOPLE = frozenset(("description", "made_by"))
_WRITTEN_AS = MappingProxyType({"sampling": "decoding"})
_NO_CONTENT = frozenset(("name", "variants", "file", "version", "origin"))


@dataclass(frozen=True, slots=True)
class Change:
    """A field that differs.

    Attributes:
        field: As in the task file: ``prompt``, ``decoding.temperature``, ``verbalizer.positive``.
        before: ``None`` where it is new.
        after: ``None`` where it is gone.
        deserves: Of the version.
    """

    field: str
    before: str | None
    after: str | None
    deserves: Bump

    @property
    def unified(self) -> tuple[str, ...]:
        """The change as a unified diff, without its header; meant for texts of several lines."""
        before, after = (text.split("\n") if text else [] for text in (self.before, self.after))
        return tuple(difflib.unified_diff(before, after, lineterm=""))[2:]


@dataclass(frozen=True, slots=True)
class VariantDiff:
    """What became of a variant."""

    name: str
    status: Status
    changes: tuple[Change, ...]

    @property
    def deserves(self) -> Bump:
        """The part of the version that has to go up."""
        if self.status in ("added", "removed"):
            return Bump.MINOR
        return max((change.deserves for change in self.changes), default=Bump.NONE)


@dataclass(frozen=True, slots=True)
class TaskDiff:
    """What became of a task.

    Attributes:
        name: Of the task.
        status: ``same`` where nothing but the version may differ.
        versions: Before and after; ``None`` where the task is not there.
        changes: Of the task's own fields.
        variants: Those that differ.
    """

    name: str
    status: Status
    versions: tuple[Version | None, Version | None]
    changes: tuple[Change, ...]
    variants: tuple[VariantDiff, ...]

    @property
    def deserves(self) -> Bump:
        """The highest that a part of it deserves; a task that is new or gone says nothing of its version."""
        return max(
            (*(change.deserves for change in self.changes), *(variant.deserves for variant in self.variants)),
            default=Bump.NONE,
        )

    @property
    def expected(self) -> Version | None:
        """The least version that says what changed; ``None`` for a task that is new or gone."""
        before, after = self.versions
        return None if before is None or after is None else before.bumped(self.deserves)

    @property
    def versioned(self) -> bool:
        """Whether the version went up by what the change deserves, or by more."""
        before, after = self.versions
        if before is None or after is None:
            return True
        return after >= before and before.bump_to(after) >= self.deserves


def diff_catalogues(before: Catalogue, after: Catalogue) -> tuple[TaskDiff, ...]:
    """Every task of the two, by name."""
    names = sorted({*before.names, *after.names})
    return tuple(_diff(name, _task(before, name), _task(after, name)) for name in names)


def diff_tasks(before: Task, after: Task) -> TaskDiff:
    """Two versions of one task, whatever they are named."""
    return _diff(after.name, before, after)


def _task(catalogue: Catalogue, name: str) -> Task | None:
    return catalogue.task(name) if name in catalogue.names else None


def _diff(name: str, before: Task | None, after: Task | None) -> TaskDiff:
    versions = (None if before is None else before.version, None if after is None else after.version)
    if before is None or after is None:
        return TaskDiff(name, "added" if before is None else "removed", versions, (), ())
    changes = _changes(before, after)
    variants = _diff_variants(before.variants, after.variants)
    return TaskDiff(name, "changed" if changes or variants else "same", versions, changes, variants)


def _diff_variants(before: Sequence[Variant], after: Sequence[Variant]) -> tuple[VariantDiff, ...]:
    old, new = {variant.name: variant for variant in before}, {variant.name: variant for variant in after}
    found: list[VariantDiff] = []
    for name in dict.fromkeys((*old, *new)):
        if name not in old or name not in new:
            found.append(VariantDiff(name, "added" if name in new else "removed", ()))
        elif changes := _changes(old[name], new[name]):
            found.append(VariantDiff(name, "changed", changes))
    return tuple(found)


def _changes(before: Task | Variant, after: Task | Variant) -> tuple[Change, ...]:
    old, new = fields_of(before), fields_of(after)
    names = dict.fromkeys((*old, *new))
    return tuple(
        Change(name, old.get(name), new.get(name), _deserves(name, isinstance(before, Task)))
        for name in names
        if old.get(name) != new.get(name)
    )


def _deserves(field: str, of_task: bool) -> Bump:
    name = field.split(".", 1)[0]
    if of_task and name in _ASKED_FOR:
        return Bump.MAJOR
    return Bump.PATCH if name in (_TASK_FOR_PEOPLE if of_task else _VARIANT_FOR_PEOPLE) else Bump.MINOR


def fields_of(item: Task | Variant) -> dict[str, str]:
    """Fields and the settings in them as texts, by their dotted names; whatever fields there are.

    Name, version and origin are none of them, nor are a task's variants.
    """
    found: dict[str, str] = {}
    for each in fields(item):
        if each.name not in _NO_CONTENT:
            _collect(_WRITTEN_AS.get(each.name, each.name), getattr(item, each.name), found)
    return found


def _collect(name: str, value: object, found: dict[str, str]) -> None:
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            _collect(f"{name}.{each.name}", getattr(value, each.name), found)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            _collect(f"{name}.{key}", inner, found)
    elif isinstance(value, (tuple, list)):
        if value:
            found[name] = "\n".join(map(_line, value))
    elif value is not None and value != "":
        found[name] = str(value)


def _line(value: object) -> str:
    """An element of a list: a message keeps its lines, so that a diff shows which of them changed."""
    if isinstance(value, Mapping) and value.keys() == {"role", "content"}:
        return f"[{value['role']}]\n{value['content']}"
    if is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
