"""What `doctor` finds out about a bundle on the machine at hand."""

from __future__ import annotations

from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.cli.output import megabytes, progress_bars
from edge_autoglm.device.budget import MemoryPlan, check
from edge_autoglm.device.checks import Check, note, ok, problem
from edge_autoglm.device.host import HostFacts
from edge_autoglm.device.precisions import check_precision
from edge_autoglm.errors import EdgeAutoGLMError, MemoryBudgetExceeded
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.loading import memory_plan
from edge_autoglm.prompts import Catalogue


def check_bundle(path: Path, facts: HostFacts) -> tuple[list[Check], MemoryPlan | None]:
    """Its files, its tasks, its precision on this CPU, and the memory that it needs.

    Returns:
        The findings, and what it will hold in memory, if it can be opened.
    """
    try:
        with progress_bars() as progress:
            bundle = Bundle.open(path, progress=progress)
        tasks = Catalogue.load(bundle.task_files()).names
        plan = memory_plan(bundle, RuntimeConfig())
    except EdgeAutoGLMError as error:
        return [problem("bundle", error.cause, error.cure)], None
    found = f"{path}: {len(bundle.manifest.files)} files match their checksums, {len(tasks)} tasks load"
    here = [entry.precision for entry in bundle.manifest.engines if entry.kind in ("ort", "ort-past")]
    suits = [check_precision(facts.cpu, precision) for precision in here]
    return [ok("bundle", found), *suits, _check_fits(plan, facts)], plan


def _check_fits(plan: MemoryPlan, facts: HostFacts) -> Check:
    """A plan above the limit is refused by `Runtime.open`; one above what is free now may fit later."""
    subject, available = "memory of the bundle", facts.memory.available
    try:
        check(plan, facts.memory.limit)
    except MemoryBudgetExceeded as error:
        return problem(subject, error.cause, error.cure)
    try:
        check(plan, available)
    except MemoryBudgetExceeded as error:
        return note(subject, f"{error.cause}, which is what is available now", error.cure)
    parts = ", ".join(f"{part.name}: {megabytes(part.size)}" for part in plan.parts)
    room = "an unknown amount" if available is None else megabytes(available)
    return ok(subject, f"at most {megabytes(plan.total)} ({parts}) of {room} available")
