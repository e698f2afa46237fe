from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest

from edge_autoglm.device.accelerators import Accelerators, GpuState
from edge_autoglm.device.checks import Check, Status
from edge_autoglm.device.cpu import Cpu
from edge_autoglm.device.diagnosis import diagnose
from edge_autoglm.device.gpu_facts import TensorRTAnswer, ask_tensorrt
from edge_autoglm.device.host import HostFacts, Memory, gather_facts
from edge_autoglm.device.ort_import import OrtAnswer
from edge_autoglm.device.precisions import check_precision
from edge_autoglm.device.tensorrt_import import LIBRARIES
from tests.device.hosts import CPU_BUILD, GPU_BUILD, H100, WELL, cpu, installed

WITH_CUDA = OrtAnswer("1.31.0", ("CUDAExecutionProvider", "CPUExecutionProvider"), "Release")
RTX = TensorRTAnswer("tensorrt_rtx", "1.7.1")


def worst(facts: HostFacts) -> Check:
    """The only finding that is not `ok`."""
    findings = [each for each in diagnose(facts) if each.status is not Status.OK]
    assert len(findings) == 1, findings
    return findings[0]


def test_nothing_is_said_against_a_device_that_is_well() -> None:
    assert [each for each in diagnose(WELL) if each.status is not Status.OK or each.cure] == []


def test_every_finding_of_this_machine_that_is_not_ok_has_a_cure() -> None:
    facts = gather_facts()
    findings = diagnose(facts)
    assert all(bool(each.cure) == (each.status is not Status.OK) for each in findings)
    assert {"CPU", "memory", "NVIDIA GPU", "ONNX Runtime", "packages"} <= {each.subject for each in findings}
    assert json.loads(json.dumps(facts.to_json()))["threads"] == facts.threads


@pytest.mark.parametrize("gpu", [False, True])
def test_two_builds_together_are_a_problem_with_the_command_that_cures_it(gpu: bool) -> None:
    facts = replace(WELL, onnxruntime=(CPU_BUILD, GPU_BUILD))
    found = worst(replace(facts, accelerators=H100) if gpu else facts)
    kept = "onnxruntime-gpu==1.31.0" if gpu else "onnxruntime==1.32.0"
    assert found.status is Status.PROBLEM
    assert "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.0 are installed together" in found.found
    assert "offers CPUExecutionProvider" in found.found
    assert found.cure == (
        f"Keep {kept.partition('==')[0]} only: python -m pip uninstall -y onnxruntime onnxruntime-gpu && "
        f"python -m pip install {kept}"
    )


def test_a_missing_onnxruntime() -> None:
    found = worst(replace(WELL, onnxruntime=(), ort=OrtAnswer(error="No module named 'onnxruntime'")))
    assert found.status is Status.PROBLEM
    assert found.cure.endswith('pip install "edge-autoglm[cpu]"')


def test_a_damaged_onnxruntime() -> None:
    found = worst(replace(WELL, ort=OrtAnswer(error="has no attribute '__version__'")))
    assert found.status is Status.PROBLEM
    assert found.cure.endswith("pip install --force-reinstall --no-deps onnxruntime==1.32.0")


def test_an_onnxruntime_that_is_too_old() -> None:
    old = tuple(
        installed("onnxruntime", "1.20.1", "1.23", "cpu") if each.requirement.extra == "cpu" else each
        for each in WELL.requirements
    )
    found = worst(replace(WELL, requirements=old))
    assert (found.status, found.found) == (Status.PROBLEM, "onnxruntime 1.20.1; onnxruntime>=1.23 is needed")


def test_an_onnxruntime_that_pip_does_not_know_is_fine() -> None:
    facts = replace(WELL, onnxruntime=())
    assert any("1.32.0, not installed by pip" in each.found for each in diagnose(facts))
    assert all(each.status is Status.OK for each in diagnose(facts))


def test_the_build_for_gpus_without_one() -> None:
    found = worst(replace(WELL, onnxruntime=(GPU_BUILD,)))
    assert found.status is Status.NOTE
    on_gpu = replace(WELL, onnxruntime=(GPU_BUILD,), ort=WITH_CUDA, accelerators=H100)
    assert all(each.status is Status.OK for each in diagnose(on_gpu))


def test_a_gpu_that_onnxruntime_cannot_use() -> None:
    found = worst(replace(WELL, accelerators=H100))
    assert (found.subject, found.status, found.found) == (
        "CUDA",
        Status.NOTE,
        "onnxruntime 1.32.0 has no CUDA provider",
    )
    assert found.cure.endswith('uninstall -y onnxruntime && python -m pip install "edge-autoglm[cuda]"')


@pytest.mark.parametrize(
    ("facts", "cuda", "tensorrt"),
    [
        (WELL, "onnxruntime 1.32.0 has no CUDA provider", ["not installed"]),
        (
            replace(WELL, onnxruntime=(GPU_BUILD,), ort=WITH_CUDA, accelerators=H100, tensorrt=(RTX,)),
            "onnxruntime-gpu 1.31.0 has the CUDA provider",
            ["tensorrt_rtx 1.7.1"],
        ),
        (
            replace(WELL, ort=WITH_CUDA, tensorrt=(TensorRTAnswer("tensorrt", "10.15.1"), RTX)),
            "onnxruntime 1.32.0 has the CUDA provider, and no GPU to run engines on",
            [
                "tensorrt 10.15.1, and no GPU to run engines on",
                "tensorrt_rtx 1.7.1, and no GPU to run engines on",
            ],
        ),
    ],
    ids=["neither", "both, and a GPU", "both, without a GPU"],
)
def test_the_libraries_for_gpus_are_told_with_their_versions(facts: HostFacts, cuda: str, tensorrt: list[str]) -> None:
    found = diagnose(facts)
    assert [each.found for each in found if each.subject == "CUDA"] == [cuda]
    assert [each.found for each in found if each.subject == "TensorRT"] == tensorrt
    assert all(each.status is Status.OK for each in found if each.subject in ("CUDA", "TensorRT"))


def test_a_tensorrt_that_cannot_be_imported() -> None:
    broken = TensorRTAnswer("tensorrt_rtx", error="libtensorrt_rtx.so.1: cannot open shared object file")
    found = worst(replace(WELL, tensorrt=(broken,)))
    assert (found.subject, found.status) == ("TensorRT", Status.NOTE)
    assert "libtensorrt_rtx.so.1" in found.found
    assert "uninstall -y tensorrt_rtx" in found.cure


def test_installed_libraries_are_asked_and_no_others() -> None:
    present = [name for name in LIBRARIES if find_spec(name) is not None]
    assert [each.name for each in ask_tensorrt()] == present


@pytest.mark.parametrize("version", [None, "1.21"])
def test_a_core_package_that_is_missing_or_too_old(version: str | None) -> None:
    found = worst(replace(WELL, requirements=(installed("numpy", version, "1.26"),)))
    assert (found.status, found.cure) == (Status.PROBLEM, 'python -m pip install "numpy>=1.26"')


def test_an_extra_that_is_not_there_is_a_note_and_says_what_it_would_bring() -> None:
    missing = (*WELL.requirements, installed("llguidance", None, "1.0", "structured"))
    found = worst(replace(WELL, requirements=missing))
    assert (found.subject, found.status) == ("extra structured", Status.NOTE)
    assert "JSON schema" in found.found
    assert '"edge-autoglm[structured]"' in found.cure


def test_a_source_tree_has_no_requirements_to_compare_with() -> None:
    found = worst(replace(WELL, version=None, requirements=()))
    assert (found.subject, found.status) == ("packages", Status.NOTE)


@pytest.mark.parametrize(
    ("accelerators", "status", "text"),
    [
        (H100, Status.OK, "NVIDIA H100, 80.0 GB, compute capability 9.0; driver 580.65.06, CUDA 13.0"),
        (Accelerators(GpuState.NONE), Status.OK, "none found"),
        (Accelerators(GpuState.NO_DRIVER), Status.NOTE, "without a driver"),
        (Accelerators(GpuState.NOT_VISIBLE, driver="535.1"), Status.NOTE, "(535.1), but this process sees no GPU"),
        (Accelerators(GpuState.NOT_VISIBLE, jetson="L4T 36.4"), Status.NOTE, "Jetson, L4T 36.4"),
    ],
)
def test_gpus(accelerators: Accelerators, status: Status, text: str) -> None:
    found = next(each for each in diagnose(replace(WELL, accelerators=accelerators)) if each.subject == "NVIDIA GPU")
    assert found.status is status
    assert text in found.found


def test_memory_is_told_as_far_as_it_is_known() -> None:
    found = worst(replace(WELL, memory=Memory(8 * 10**9, 8 * 10**9, None)))
    assert found.found == "8.0 GB physical; the system does not say how much is available"
    told = next(each for each in diagnose(WELL) if each.subject == "memory")
    assert told.found == "8.0 GB physical, 4.0 GB granted to this process, 3.0 GB available"


@pytest.mark.parametrize(
    ("processor", "status", "text"),
    [
        (cpu("avx2 avx_vnni"), Status.OK, "avx_vnni"),
        (cpu("neon dotprod i8mm"), Status.OK, "dotprod, i8mm"),
        (cpu("sse4.2 avx avx2"), Status.NOTE, "AVX2 without VNNI"),
        (cpu("sse4.2"), Status.NOTE, "no 8-bit dot products"),
        (cpu(None), Status.NOTE, "does not say"),
    ],
)
def test_kernels(processor: Cpu, status: Status, text: str) -> None:
    found = next(each for each in diagnose(replace(WELL, cpu=processor)) if each.subject == "8-bit kernels")
    assert found.status is status
    assert text in found.found


@pytest.mark.parametrize(
    ("features", "precision", "status"),
    [
        ("avx2 avx512_vnni", "int8", Status.OK),
        ("avx2 avx512_vnni", "w8a8", Status.OK),
        ("avx2", "w8a8", Status.OK),
        ("avx2", "int4", Status.OK),
        ("avx2", "int8", Status.NOTE),
        (None, "int8", Status.OK),
        ("avx2 avx512_vnni", "fp32", Status.NOTE),
        ("avx2", "fp16", Status.NOTE),
    ],
)
def test_the_precision_of_a_bundle(features: str | None, precision: str, status: Status) -> None:
    assert check_precision(cpu(features), precision).status is status
