"""The result as a task: what people wrote, and the best of what was found."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.candidates import Standing
from edge_autoglm.prompts.loader import load_task
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.prompts.versions import Bump
from edge_autoglm.prompts.writing import write_task
from edge_autoglm.values import Progress, silent


def with_evolved(task: Task, found: Sequence[Standing], metric: str) -> Task:
    """The task with the variants that were found behind those that it has, and its version raised by a minor one.

    Args:
        task: Its variants all stay.
        found: The best first.
        metric: Name, for their descriptions.
    """
    if not found:
        return task
    variants = list(task.variants)
    for standing in found:
        variants.append(_named(standing, _free_name(variants), metric))
    return replace(task, variants=tuple(variants), version=task.version.bumped(Bump.MINOR))


def write_prompt_set(task: Task, folder: Path) -> Path:
    """Write the task as ``FOLDER/<its file's name>``, where a bundle will have it.

    Raises:
        EvolveError: The folder cannot be written to.
    """
    path = folder / task.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_task(task, path)
    except OSError as error:
        cause = f"{path} cannot be written: {error.strerror or error}"
        raise EvolveError(cause, "Free some space there, or name another folder.") from error
    return path


def derive_bundle(base: Bundle, task: Task, out: Path, progress: Progress = silent) -> Bundle:
    """A bundle with the same model, in which ``task`` stands for the one of its name; large files are linked.

    Raises:
        ExportError: ``out`` cannot be written, or there is something.
    """
    with tempfile.TemporaryDirectory() as aside:
        new = write_prompt_set(task, Path(aside))
        others = [path for path in base.task_files() if load_task(path).name != task.name]
        return base.derive(out, [*others, new], progress)


def _free_name(variants: Sequence[Variant]) -> str:
    taken = {variant.name for variant in variants}
    return next(name for number in range(1, len(taken) + 2) if (name := f"evolved_{number}") not in taken)


def _named(standing: Standing, name: str, metric: str) -> Variant:
    told = f"Found by a search: {metric} {standing.value:.3f} on the {len(standing.answers)} examples it was chosen by."
    return replace(standing.draft.variant, name=name, description=told, origin="")
