"""From facts to findings: what is well, what is worth knowing, what breaks, and the cure for it."""

from __future__ import annotations

from collections.abc import Iterator

from edge_autoglm.device.accelerators import Accelerators, Gpu, GpuState, why_no_gpu
from edge_autoglm.device.checks import Check, note, ok, problem
from edge_autoglm.device.cpu import Cpu
from edge_autoglm.device.extras import EXTRAS
from edge_autoglm.device.gpu_diagnosis import check_gpu_libraries
from edge_autoglm.device.host import HostFacts, Memory
from edge_autoglm.device.ort_diagnosis import check_onnxruntime
from edge_autoglm.device.precisions import check_kernels


def diagnose(facts: HostFacts) -> list[Check]:
    """Findings on a machine, in the order in which they should be read."""
    return [
        _check_cpu(facts.cpu, facts.threads),
        check_kernels(facts.cpu),
        _check_memory(facts.memory),
        _check_gpu(facts.accelerators),
        *check_onnxruntime(facts),
        *check_gpu_libraries(facts),
        *_check_packages(facts),
        *_check_extras(facts),
    ]


def _check_cpu(cpu: Cpu, threads: int) -> Check:
    cores = f"{cpu.logical_cores} hardware threads"
    if cpu.physical_cores is not None:
        cores = f"{cpu.physical_cores} cores, {cores}"
    features = "instructions unknown" if cpu.features is None else " ".join(cpu.features)
    return ok("CPU", f"{cpu.model}, {cpu.architecture}, {cores}, of which an engine uses {threads}; {features}")


def _check_memory(memory: Memory) -> Check:
    granted = None if memory.limit == memory.physical else memory.limit
    amounts = {"physical": memory.physical, "granted to this process": granted, "available": memory.available}
    found = ", ".join(f"{_gigabytes(size)} {name}" for name, size in amounts.items() if size is not None)
    if memory.available is None:
        cure = "Set the memory budget of a runtime yourself."
        return note("memory", f"{found or 'amount unknown'}; the system does not say how much is available", cure)
    return ok("memory", found)


def _check_gpu(found: Accelerators) -> Check:
    board = "" if found.jetson is None else f"; Jetson, {found.jetson}"
    if found.state is GpuState.READY:
        gpus = "; ".join(map(_gpu, found.gpus))
        return ok("NVIDIA GPU", f"{gpus}; driver {found.driver or 'unknown'}, CUDA {found.cuda or 'unknown'}{board}")
    if found.state is not GpuState.NONE:
        return note("NVIDIA GPU", *why_no_gpu(found))
    return ok("NVIDIA GPU", "none found; engines run on the CPU")


def _gpu(gpu: Gpu) -> str:
    memory = "memory shared with the CPU" if gpu.memory is None else _gigabytes(gpu.memory)
    return f"{gpu.name}, {memory}, compute capability {gpu.compute_capability or 'unknown'}"


def _check_packages(facts: HostFacts) -> Iterator[Check]:
    if facts.version is None:
        yield note(
            "packages",
            f"edge-autoglm runs from a source tree under Python {facts.python}: what it needs is not known",
            "Install it, so that versions can be compared: python -m pip install -e .",
        )
        return
    core = [each for each in facts.requirements if each.requirement.extra is None]
    unmet = [each.requirement for each in core if not each.is_met]
    present = ", ".join(f"{each.requirement.name} {each.version}" for each in core if each.is_met)
    if unmet:
        wanted = ", ".join(requirement.text for requirement in unmet)
        quoted = " ".join(f'"{requirement.text}"' for requirement in unmet)
        yield problem("packages", f"missing or in another version: {wanted}", f"python -m pip install {quoted}")
    yield ok("packages", f"edge-autoglm {facts.version}, Python {facts.python}; {present}")


def _check_extras(facts: HostFacts) -> Iterator[Check]:
    for extra, brings in EXTRAS.items():
        wanted = [each for each in facts.requirements if each.requirement.extra == extra]
        missing = [each.requirement.text for each in wanted if not each.is_met]
        if missing:
            found = f"{brings}: needs {', '.join(missing)}"
            yield note(f"extra {extra}", found, f'For that: python -m pip install "edge-autoglm[{extra}]"')
        elif wanted:
            present = ", ".join(f"{each.requirement.name} {each.version}" for each in wanted)
            yield ok(f"extra {extra}", f"{brings}: {present}")


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
