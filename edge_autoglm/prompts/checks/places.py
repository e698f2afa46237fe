"""A task with the file that it was read from, so that what is found can be pointed at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.prompts.checks.findings import Finding, Severity
from edge_autoglm.prompts.fields import Field, read_fields
from edge_autoglm.prompts.loader import load_task
from edge_autoglm.prompts.task import Task, Variant


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """A task that loads.

    Attributes:
        path: Of its file.
        task: That it says.
        root: Its fields, with their lines.
    """

    path: Path
    task: Task
    root: Field

    @classmethod
    def load(cls, path: Path) -> CheckedTask:
        """Read a task file.

        Raises:
            PromptError: It is wrong.
        """
        return cls(path, load_task(path), read_fields(path))

    def finding(self, severity: Severity, check: str, field: str, message: str, cure: str) -> Finding:
        """Something about a field of the file."""
        return Finding(severity, check, str(self.path), self.root.at(field).line, field, message, cure)

    def field_of(self, variant: Variant, where: str = "") -> str:
        """The name of a variant's field."""
        names = [each.name for each in self.task.variants]
        return f"variants[{names.index(variant.name)}]" + (f".{where}" if where else "")
