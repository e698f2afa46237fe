"""The tasks that a generation can answer."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_autoglm.errors import TaskFileError, UnknownTask
from edge_autoglm.prompts.fields import read_fields
from edge_autoglm.prompts.loader import load_task
from edge_autoglm.prompts.task import Task


class Catalogue:
    """Tasks by name; immutable.

    Args:
        tasks: In the order in which they are listed.

    Raises:
        TaskFileError: Two tasks have the same name.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks: dict[str, Task] = {}
        for task in tasks:
            if task.name in self._tasks:
                other = self._tasks[task.name].file
                raise TaskFileError(
                    f"{task.file}: name {task.name!r} is the name of {other} too", "Rename one of them."
                )
            self._tasks[task.name] = task

    @classmethod
    def load(cls, paths: Iterable[Path]) -> Catalogue:
        """Read task files.

        Raises:
            TaskFileError: A file is malformed, or two tasks have the same name.
            TemplateError: A template is.
        """
        tasks: dict[str, Task] = {}
        for path in paths:
            task = load_task(path)
            if task.name in tasks:
                name = read_fields(path).at("name")
                raise name.error(f"{task.name!r} is the name of {tasks[task.name].file} too", "Rename one of them.")
            tasks[task.name] = task
        return cls(tasks.values())

    @property
    def tasks(self) -> tuple[Task, ...]:
        """All tasks."""
        return tuple(self._tasks.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._tasks)

    def task(self, name: str) -> Task:
        """The task of that name.

        Raises:
            UnknownTask: There is none; the cure lists what there is.
        """
        try:
            return self._tasks[name]
        except KeyError:
            cure = f"Name one of: {', '.join(self._tasks)}." if self._tasks else "Add task files to the bundle."
            raise UnknownTask(f"there is no task {name!r}", cure) from None


def builtin_task_files() -> list[Path]:
    """The task files that come with the package, sorted by name."""
    return sorted((Path(__file__).parent / "library").glob("*.yaml"))
