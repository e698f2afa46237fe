"""`doctor` as a user types it, on this machine and on a tiny bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_autoglm import Bundle, RuntimeConfig, export_model
from edge_autoglm.bundle import BundleWriter
from edge_autoglm.cli import main
from edge_autoglm.cli.bundle_checks import check_bundle
from edge_autoglm.device.checks import Check, Status
from edge_autoglm.device.host import HostFacts, Memory
from edge_autoglm.device.packages import onnxruntime_builds
from edge_autoglm.device.tensorrt_import import platform_name
from edge_autoglm.prompts import builtin_task_files
from tests.bundle.samples import CONTENTS, PLAN, PLANNED, commit, stage
from tests.checkpoints import write_tiny_llama
from tests.device.hosts import GPU_BUILD, H100, WELL

pytestmark = pytest.mark.skipif(len(onnxruntime_builds()) != 1, reason="looks at a machine with one ONNX Runtime")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("doctor")
    return export_model(write_tiny_llama(folder / "checkpoint"), folder / "bundle", "fp32", proof=False)


def doctor(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)], catch_exceptions=False)


def test_this_machine_has_no_problem(tmp_path: Path) -> None:
    result = doctor("--json", tmp_path / "facts.json")
    assert result.exit_code == 0, result.output
    assert "0 problems." in result.output
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["ort"]["version"] == facts["onnxruntime"][0]["version"]
    assert facts["cpu"]["logical_cores"] >= facts["threads"] >= 1
    assert {check["status"] for check in facts["checks"]} <= {"ok", "note"}
    assert "bundle" not in facts


def test_a_bundle_and_its_memory(bundle: Bundle, tmp_path: Path) -> None:
    result = doctor(bundle.root, "--json", tmp_path / "facts.json")
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "facts.json").read_text())
    found = {check["subject"]: check for check in facts["checks"]}
    assert "match their checksums" in found["bundle"]["found"]
    assert found["precision"]["status"] == "note"
    assert found["memory of the bundle"]["status"] == "ok"
    slots = RuntimeConfig().slots
    assert f"KV slots, {slots} x 512 tokens" in found["memory of the bundle"]["found"]
    parts = facts["bundle"]["memory"]["parts"]
    # slots of 512 tokens (what the model was made for), two layers, keys and values, 2 heads of 16, 4 bytes
    assert parts[1]["size"] == slots * 512 * 2 * 2 * 2 * 16 * 4


def test_a_bundle_for_the_cpu_says_why_it_runs_nowhere_else(bundle: Bundle) -> None:
    found = {each.subject: each for each in check_bundle(bundle.root, WELL)[0]}
    for device in ("tensorrt", "cuda"):
        assert found[f"bundle on {device}"].status is Status.OK
        assert "has no engine for a GPU" in found[f"bundle on {device}"].found
    assert found["bundle on cpu"].found == "runs by engine/model.onnx"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a few bytes whose engine has a plan for an L4, under TensorRT-RTX 0.1, which nobody has."""
    root = tmp_path_factory.mktemp("planned") / "bundle"
    plan = replace(PLAN, platform=platform_name(), library="tensorrt_rtx", version="0.1")
    task = builtin_task_files()[0]
    contents = {name: data for name, data in CONTENTS.items() if not name.startswith("prompts/")}
    contents |= {f"prompts/{task.name}": task.read_bytes(), PLAN.path: b"plan"}
    with BundleWriter(root) as writer:
        stage(writer, contents)
        return commit(writer, replace(PLANNED, plans=(plan,)))


def checks(bundle: Bundle, facts: HostFacts) -> dict[str, Check]:
    return {each.subject: each for each in check_bundle(bundle.root, facts)[0]}


def test_without_a_gpu_a_bundle_for_gpus_runs_and_is_slow(planned: Bundle) -> None:
    found = checks(planned, WELL)
    assert found["bundle on tensorrt"] == Check(
        "bundle on tensorrt", Status.OK, "does not run: no NVIDIA GPU was found"
    )
    assert found["bundle on cuda"].status is Status.OK
    assert found["bundle on cpu"].status is Status.NOTE
    assert "slow" in found["bundle on cpu"].found
    assert "--target ort" in found["bundle on cpu"].cure


def test_with_a_gpu_what_is_missing_is_a_note_with_its_cure(planned: Bundle) -> None:
    found = checks(planned, replace(WELL, accelerators=H100))
    tensorrt, cuda = found["bundle on tensorrt"], found["bundle on cuda"]
    assert tensorrt.status is cuda.status is Status.NOTE
    assert f"{PLAN.path}: " in tensorrt.found
    assert "edge-autoglm rebuild" in tensorrt.cure
    assert "onnxruntime 1.32.0 has no CUDA provider" in cuda.found
    assert '"edge-autoglm[cuda]"' in cuda.cure


def test_with_a_gpu_and_its_provider_the_memory_is_the_gpus(planned: Bundle) -> None:
    ort = replace(WELL.ort, providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    facts = replace(WELL, accelerators=H100, onnxruntime=(GPU_BUILD,), ort=ort)
    found = checks(planned, facts)
    assert found["bundle on cuda"].found == "runs by engine/model.onnx on NVIDIA H100"
    assert "of the GPU's 80000.0 MB" in found["memory of the bundle"].found
    small = replace(H100, gpus=(replace(H100.gpus[0], memory=1_000_000),))
    refused = checks(planned, replace(facts, accelerators=small))["memory of the bundle"]
    assert refused.status is Status.PROBLEM
    assert "the GPU has 1.0 MB" in refused.found


def test_a_damaged_bundle_is_a_problem_and_fails_the_command(bundle: Bundle, tmp_path: Path) -> None:
    copy = bundle.derive(tmp_path / "copy", bundle.task_files())
    copy.tokenizer_path.unlink()  # may be a hard link
    copy.tokenizer_path.write_text("{}")
    result = doctor(copy.root, "--json", tmp_path / "facts.json")
    assert result.exit_code == 1
    assert "1 problem." in result.output
    assert "problem bundle: Copy the bundle again" in result.output
    assert json.loads((tmp_path / "facts.json").read_text())["bundle"]["memory"] is None


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    result = doctor(tmp_path / "none")
    assert result.exit_code == 1
    assert "does not exist" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("limit", "available", "status"),
    [
        (1_000_000, 1_000_000, Status.PROBLEM),  # `Runtime.open` would refuse it
        (8 * 10**9, 1_000_000, Status.NOTE),
        (8 * 10**9, 8 * 10**9, Status.OK),
        (None, None, Status.OK),
    ],
)
def test_memory_is_compared_before_anything_is_loaded(
    bundle: Bundle, limit: int | None, available: int | None, status: Status
) -> None:
    findings, plan = check_bundle(bundle.root, replace(WELL, memory=Memory(limit, limit, available)))
    assert plan is not None
    found = findings[-1]
    assert (found.subject, found.status) == ("memory of the bundle", status)
    assert f"KV slots, {RuntimeConfig().slots} x 512 tokens" in found.found
    assert ("fewer slots" in found.cure) == (status is not Status.OK)
