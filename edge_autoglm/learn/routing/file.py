"""A router on disk: a snapshot, the one before it, and the lessons since."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from edge_autoglm.bundle.atomic import fsync_folder, write_bytes_atomic
from edge_autoglm.errors import StateDamaged
from edge_autoglm.learn.journal import PRIVATE, not_writable
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.routing.lessons import Lesson, append_lessons, read_lessons
from edge_autoglm.learn.snapshot_format import decode, encode

SCHEMA_VERSION = 1

_log = logging.getLogger("edge_autoglm")


class RouterFile:
    """Snapshots are written aside and renamed, lessons appended: a process may be killed at any moment.

    Lessons are numbered, and a snapshot says how many it knows. So it does not matter whether the log was cut after the
    snapshot was written: what is in both is learnt once.

    Args:
        path: Of the snapshot, in a folder that exists and that the caller has locked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = path.with_name(f"{path.stem}-before{path.suffix}")
        self._lessons = path.with_suffix(".lessons")

    def read(self) -> tuple[ModelState | None, list[Lesson]]:
        """The newest state that is as it was written, if any ever was, and the lessons after it.

        Raises:
            StateDamaged: There are snapshots, and none of them is.
            StateNotWritable: A file cannot be read.
        """
        try:
            state, (lessons, whole) = self._snapshot(), read_lessons(self._lessons)
            if self._lessons.exists() and self._lessons.stat().st_size > whole:
                os.truncate(self._lessons, whole)  # what is appended next must not stand behind half a record
        except OSError as error:
            raise not_writable(self._path.parent, error) from error
        known = 0 if state is None else int(state.facts["learnt"])
        return state, [lesson for lesson in lessons if lesson.number > known]

    def append(self, lessons: Sequence[Lesson]) -> None:
        """Add lessons; on the disk when this returns.

        Raises:
            StateNotWritable: They cannot be written.
        """
        try:
            append_lessons(self._lessons, lessons)
        except OSError as error:
            raise not_writable(self._path.parent, error) from error

    def write(self, state: ModelState) -> None:
        """Make a state the newest one, keep that of before, and drop the lessons that both know.

        Raises:
            StateNotWritable: It cannot be written; what was there is there.
        """
        content = encode(ModelState({"kind": "router", "schema": SCHEMA_VERSION, **state.facts}, state.arrays))
        try:
            if self._path.exists():
                os.replace(self._path, self._before)
            write_bytes_atomic(self._path, content, mode=PRIVATE)
            if self._lessons.exists():
                os.truncate(self._lessons, 0)
        except OSError as error:
            raise not_writable(self._path.parent, error) from error

    def remove(self) -> None:
        """Delete all of it.

        Raises:
            StateNotWritable: It cannot be deleted.
        """
        try:
            for path in (self._lessons, self._path, self._before):
                path.unlink(missing_ok=True)
            fsync_folder(self._path.parent)
        except OSError as error:
            raise not_writable(self._path.parent, error) from error

    def _snapshot(self) -> ModelState | None:
        kept = [path for path in (self._path, self._before) if path.exists()]
        for path in kept:
            try:
                return _checked(decode(path.read_bytes()))
            except ValueError as error:
                _log.warning("the router's file %s is of no use, the one before is tried: %s", path, error)
        if kept:
            raise StateDamaged(
                f"the router's file {self._path} is damaged, and so is the one before it",
                "Delete both: routing then starts from the task files again.",
            )
        return None


def _checked(state: ModelState) -> ModelState:
    facts = state.facts
    if (facts.get("kind"), facts.get("schema")) != ("router", SCHEMA_VERSION):
        raise ValueError(f"it is a {facts.get('kind')!r} of schema {facts.get('schema')!r}")
    if not {"settings", "seeded", "lessons", "learnt"} <= set(facts) or not {"at", "z", "n"} <= set(state.arrays):
        raise ValueError("it lacks a part")
    return state
