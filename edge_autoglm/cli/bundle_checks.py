"""What `doctor` finds out about a bundle on the machine at hand."""

from __future__ import annotations

from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.cli.output import megabytes, progress_bars
from edge_autoglm.device.accelerators import GpuState
from edge_autoglm.device.budget import MemoryPlan, check
from edge_autoglm.device.checks import Check, note, ok, problem
from edge_autoglm.device.gpu_diagnosis import CUDA_PROVIDER
from edge_autoglm.device.gpu_facts import GpuFacts
from edge_autoglm.device.host import HostFacts
from edge_autoglm.device.precisions import check_precision
from edge_autoglm.errors import DeviceUnavailable, EdgeAutoGLMError, MemoryBudgetExceeded
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.device_choice import AUTO, STANDARD, DeviceChoice, choose, order_of
from edge_autoglm.facade.footprint import memory_plan
from edge_autoglm.prompts import Catalogue


def check_bundle(path: Path, facts: HostFacts) -> tuple[list[Check], MemoryPlan | None]:
    """Its files, its tasks, the devices that run it, and the memory that it needs on the best of them.

    Returns:
        The findings, and what it will hold in memory, if it can be opened.
    """
    try:
        with progress_bars() as progress:
            bundle = Bundle.open(path, progress=progress)
        tasks = Catalogue.load(bundle.task_files()).names
        findings, best = _check_devices(bundle, facts)
        plan = memory_plan(best, RuntimeConfig())
    except EdgeAutoGLMError as error:
        return [problem("bundle", error.cause, error.cure)], None
    found = f"{path}: {len(bundle.manifest.files)} files match their checksums, {len(tasks)} tasks load"
    return [ok("bundle", found), *findings, _check_fits(plan, best, facts)], plan


def _check_devices(bundle: Bundle, facts: HostFacts) -> tuple[list[Check], DeviceChoice]:
    """What `Runtime.open` would find for each device, and what it would take by itself."""
    gpu = GpuFacts(facts.accelerators, facts.onnxruntime, CUDA_PROVIDER in facts.ort.providers)
    findings: list[Check] = []
    choices: list[DeviceChoice] = []
    for device in order_of(AUTO):
        try:
            choice = choose(bundle, device, lambda: gpu)
        except DeviceUnavailable as error:
            findings.append(_not_there(device, error, facts))
        else:
            choices.append(choice)
            findings += _runs(choice, facts)
    return findings, choices[0]  # whatever cannot run on the CPU is an error


def _not_there(device: str, error: DeviceUnavailable, facts: HostFacts) -> Check:
    """Of interest where there is a GPU that could be used."""
    subject, found = f"bundle on {device}", f"does not run: {error.cause}"
    if facts.accelerators.state is not GpuState.READY:
        return ok(subject, found)
    return note(subject, found, error.cure)


def _runs(choice: DeviceChoice, facts: HostFacts) -> list[Check]:
    subject, graph = f"bundle on {choice.device}", choice.entry.graph
    if choice.plan is not None and choice.gpu is not None:
        return [ok(subject, f"runs by the plan {choice.plan.name} on {choice.gpu.name}")]
    if choice.gpu is not None:
        return [ok(subject, f"runs by {graph} on {choice.gpu.name}")]
    if choice.entry.kind == STANDARD:
        found = f"runs by {graph}, which is made for GPUs and slow here"
        return [note(subject, found, "For devices without a GPU, export the model with --target ort as well.")]
    return [ok(subject, f"runs by {graph}"), check_precision(facts.cpu, choice.entry.precision)]


def _check_fits(plan: MemoryPlan, best: DeviceChoice, facts: HostFacts) -> Check:
    """A plan above the limit is refused by `Runtime.open`; one above what is free now may fit later."""
    subject, available = "memory of the bundle", facts.memory.available
    gpu = None if best.gpu is None else best.gpu.memory
    try:
        check(plan, facts.memory.limit, gpu)
    except MemoryBudgetExceeded as error:
        return problem(subject, error.cause, error.cure)
    try:
        check(plan, available)
    except MemoryBudgetExceeded as error:
        return note(subject, f"{error.cause}, which is what is available now", error.cure)
    parts = ", ".join(f"{part.name}: {megabytes(part.size)}" for part in plan.parts)
    room = "an unknown amount" if available is None else megabytes(available)
    on_gpu = plan.of(gpu=True).total
    of_gpu = f" and {megabytes(on_gpu)} of the GPU's {megabytes(gpu)}" if gpu is not None else ""
    return ok(subject, f"at most {megabytes(plan.of(gpu=False).total)} of {room} available{of_gpu} ({parts})")
