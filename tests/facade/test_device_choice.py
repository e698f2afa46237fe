"""Which device runs a bundle, from real bundles of a few bytes and plain facts of a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_autoglm.bundle import Bundle, BundleWriter, EngineEntry, PlanEntry
from edge_autoglm.bundle.plan_folder import PlanFolder, RebuiltPlan
from edge_autoglm.device.accelerators import Accelerators, Gpu, GpuState
from edge_autoglm.device.gpu_facts import GpuFacts
from edge_autoglm.device.tensorrt_import import TensorRT, platform_name
from edge_autoglm.errors import BundleError, DeviceUnavailable, EngineError, MissingDependency
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.device_choice import DeviceChoice, choose, order_of
from edge_autoglm.facade.engines import load_engine
from edge_autoglm.facade.plans import plans_of
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from edge_autoglm.runtime.engines.tensorrt.backend import TensorRTBackend
from tests.bundle.samples import CONTENTS, ENGINE, FACTS, PLAN, stage
from tests.device.hosts import CPU_BUILD, GPU_BUILD

ADA = Gpu("NVIDIA L4", 24 * 10**9, "8.9")
READY = Accelerators(GpuState.READY, (ADA,), "580.65.06", "13.0")
RTX = TensorRT(None, "tensorrt_rtx", "1.7.1")
FITTING = replace(PLAN, platform=platform_name())
STANDARD = replace(ENGINE, kind="standard", kv_type="fp16")
PAST = replace(ENGINE, kind="ort-past")


def importing(*libraries: TensorRT) -> Callable[[str], TensorRT]:
    """What `load_tensorrt` does where these are installed."""

    def load(name: str) -> TensorRT:
        for each in libraries:
            if each.name == name:
                return each
        raise MissingDependency(f"TensorRT is not there ({name}: No module named {name!r})", "Install it.")

    return load


WELL = GpuFacts(READY, (GPU_BUILD,), True, importing(RTX))
"""A machine that can run everything."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(tmp_path / "cache"))


def bundle_of(folder: Path, *engines: EngineEntry) -> Bundle:
    """A bundle with these engines and the plans that they name."""
    plans = {plan.path: plan.path.encode() for engine in engines for plan in engine.plans}
    with BundleWriter(folder / "bundle") as writer:
        stage(writer, {**CONTENTS, **plans})
        return writer.commit(model=FACTS, engines=engines, source="tiny.gguf", verification={})


def rebuilt(bundle: Bundle, entry: PlanEntry, content: bytes = b"rebuilt") -> RebuiltPlan:
    """A plan in the folder of those that were built on this device."""

    def build(out: Path) -> PlanEntry:
        out.write_bytes(content)
        return entry

    return PlanFolder.of(bundle.fingerprint).keep(build)


def unlooked() -> GpuFacts:
    raise AssertionError("nothing of the machine matters here")


def refused(bundle: Bundle, device: str, facts: GpuFacts) -> DeviceUnavailable:
    with pytest.raises(DeviceUnavailable) as caught:
        choose(bundle, device, lambda: facts)
    return caught.value


def test_auto_takes_the_best_and_what_is_named_is_all_that_is_tried() -> None:
    assert order_of("auto") == ("tensorrt", "cuda", "cpu")
    assert [order_of(device) for device in ("cpu", "cuda", "tensorrt")] == [("cpu",), ("cuda",), ("tensorrt",)]
    with pytest.raises(DeviceUnavailable, match="'gpu' is not known") as caught:
        order_of("gpu")
    assert "auto, cpu, cuda, tensorrt" in caught.value.cure


@pytest.mark.parametrize(
    ("engines", "kind"),
    [
        ([ENGINE], "ort"),
        ([PAST], "ort-past"),
        ([STANDARD], "standard"),
        ([STANDARD, ENGINE], "ort"),
        ([STANDARD, PAST], "ort-past"),
    ],
)
def test_the_cpu_takes_the_engine_that_is_made_for_it(tmp_path: Path, engines: list[EngineEntry], kind: str) -> None:
    choice = choose(bundle_of(tmp_path, *engines), "cpu", unlooked)
    assert (choice.device, choice.entry.kind, choice.gpu, choice.plan) == ("cpu", kind, None, None)


def test_a_bundle_of_unknown_engines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="it has: npu"):
        choose(bundle_of(tmp_path, replace(ENGINE, kind="npu")), "cpu", unlooked)


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_graph_for_the_cpu_runs_on_no_gpu_and_the_machine_does_not_matter(tmp_path: Path, device: str) -> None:
    with pytest.raises(DeviceUnavailable, match="no engine for a GPU") as caught:
        choose(bundle_of(tmp_path, ENGINE), device, unlooked)
    assert "--target tensorrt" in caught.value.cure
    assert str(tmp_path / "bundle") in caught.value.cause


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
@pytest.mark.parametrize(
    ("found", "cause", "cure"),
    [
        (Accelerators(GpuState.NONE), "no NVIDIA GPU was found", "on the CPU"),
        (Accelerators(GpuState.NO_DRIVER), "without a driver", "Install NVIDIA's driver"),
        (Accelerators(GpuState.NOT_VISIBLE, driver="580.1"), "580.1.*sees no GPU", "--gpus all"),
    ],
)
def test_a_missing_gpu_is_named_with_its_cure(
    tmp_path: Path, device: str, found: Accelerators, cause: str, cure: str
) -> None:
    bundle = bundle_of(tmp_path, replace(STANDARD, plans=(FITTING,)))
    error = refused(bundle, device, replace(WELL, accelerators=found))
    assert error.cause
    assert cure in error.cure
    with pytest.raises(DeviceUnavailable, match=cause):
        raise error


def test_cuda_where_everything_is_there(tmp_path: Path) -> None:
    choice = choose(bundle_of(tmp_path, ENGINE, STANDARD), "cuda", lambda: WELL)
    assert (choice.device, choice.entry.kind, choice.gpu, choice.driver) == ("cuda", "standard", ADA, "580.65.06")


@pytest.mark.parametrize(
    ("facts", "cause", "cure"),
    [
        (
            replace(WELL, onnxruntime=(CPU_BUILD, GPU_BUILD)),
            "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.0 are installed together",
            'uninstall -y onnxruntime onnxruntime-gpu && python -m pip install "edge-autoglm[cuda]"',
        ),
        (
            replace(WELL, onnxruntime=(CPU_BUILD,), has_cuda_provider=False),
            "onnxruntime 1.32.0 has no CUDA provider",
            'uninstall -y onnxruntime && python -m pip install "edge-autoglm[cuda]"',
        ),
        (
            replace(WELL, onnxruntime=(), has_cuda_provider=False),
            "is not installed",
            'Install it: python -m pip install "edge-autoglm[cuda]"',
        ),
    ],
    ids=["both builds", "the CPU's build", "none"],
)
def test_cuda_without_its_provider_names_the_packages_and_the_command(
    tmp_path: Path, facts: GpuFacts, cause: str, cure: str
) -> None:
    error = refused(bundle_of(tmp_path, STANDARD), "cuda", facts)
    assert cause in error.cause
    assert cure in error.cure


def test_a_provider_that_pip_does_not_know_will_do(tmp_path: Path) -> None:
    assert choose(bundle_of(tmp_path, STANDARD), "cuda", lambda: replace(WELL, onnxruntime=())).device == "cuda"


def test_tensorrt_where_everything_is_there(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, replace(STANDARD, plans=(replace(FITTING, rows=16),)))
    choice = choose(bundle, "tensorrt", lambda: WELL)
    assert (choice.device, choice.gpu, choice.driver) == ("tensorrt", ADA, "580.65.06")
    assert choice.sizes == StepSizes(rows=16, page=128, head_rows=32)
    assert choice.plan is not None
    assert choice.plan.open() == bundle.root / PLAN.path
    assert choice.plan.size == len(PLAN.path)


@pytest.mark.parametrize(
    ("entry", "facts", "reason"),
    [
        (replace(FITTING, compute_capabilities=("8.6",)), WELL, "NVIDIA L4 has 8.9"),
        (replace(FITTING, version="1.6.0"), WELL, "here is tensorrt_rtx 1.7.1"),
        (replace(FITTING, platform="linux-riscv"), WELL, "built for linux-riscv"),
        (replace(FITTING, library="tensorrt"), WELL, "No module named 'tensorrt'"),
        (FITTING, replace(WELL, load_tensorrt=importing()), "No module named 'tensorrt_rtx'"),
    ],
    ids=["another GPU", "another version", "another platform", "another library", "no library"],
)
def test_a_plan_that_does_not_fit_is_named_with_the_reason_and_can_be_rebuilt(
    tmp_path: Path, entry: PlanEntry, facts: GpuFacts, reason: str
) -> None:
    bundle = bundle_of(tmp_path, replace(STANDARD, plans=(entry,)))
    error = refused(bundle, "tensorrt", facts)
    assert f"{PLAN.path}: " in error.cause
    assert reason in error.cause
    assert f"edge-autoglm rebuild {bundle.root}" in error.cure


def test_why_each_plan_does_not_fit(tmp_path: Path) -> None:
    other = replace(FITTING, path="plans/other.plan", compute_capabilities=("12.0",))
    bundle = bundle_of(tmp_path, replace(STANDARD, plans=(replace(FITTING, version="1.6.0"), other)))
    cause = refused(bundle, "tensorrt", WELL).cause
    assert "plans/tiny.plan: it was built by tensorrt_rtx 1.6.0" in cause
    assert "plans/other.plan: it was built for compute capability 12.0" in cause


def test_a_bundle_without_plans_says_so(tmp_path: Path) -> None:
    assert "it has none" in refused(bundle_of(tmp_path, STANDARD), "tensorrt", WELL).cause


def test_the_first_plan_that_fits_is_taken(tmp_path: Path) -> None:
    fits = replace(FITTING, path="plans/second.plan")
    plans = (replace(FITTING, version="1.6.0"), fits, replace(FITTING, path="plans/third.plan"))
    choice = choose(bundle_of(tmp_path, replace(STANDARD, plans=plans)), "tensorrt", lambda: WELL)
    assert choice.plan is not None
    assert choice.plan.name == "plans/second.plan"


def test_a_plan_that_was_rebuilt_here_goes_before_the_bundles_own(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, replace(STANDARD, plans=(FITTING,)))
    before = choose(bundle, "tensorrt", lambda: WELL)
    kept = rebuilt(bundle, FITTING)
    after = choose(bundle, "tensorrt", lambda: WELL)
    assert after.plan is not None
    assert (after.plan.sha256, after.plan.open().read_bytes()) == (kept.sha256, b"rebuilt")
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize("own", [(), (FITTING,)], ids=["alone", "beside the bundle's"])
def test_a_damaged_rebuilt_plan_is_a_reason_and_no_end(tmp_path: Path, own: tuple[PlanEntry, ...]) -> None:
    bundle = bundle_of(tmp_path, replace(STANDARD, plans=own))
    kept = rebuilt(bundle, FITTING)
    (PlanFolder.of(bundle.fingerprint).root / kept.entry.path).write_bytes(b"short")
    if own:
        choice = choose(bundle, "tensorrt", lambda: WELL)
        assert choice.plan is not None
        assert choice.plan.name == PLAN.path
    else:
        error = refused(bundle, "tensorrt", WELL)
        assert kept.entry.path in error.cause
        assert "expected 7 bytes, got 5" in error.cause


def test_libraries_are_imported_where_there_is_a_gpu_and_a_plan_for_them_only(tmp_path: Path) -> None:
    asked: list[str] = []

    def load(name: str) -> TensorRT:
        asked.append(name)
        return RTX

    facts = replace(WELL, load_tensorrt=load)
    planned = bundle_of(tmp_path, replace(STANDARD, plans=(FITTING,)))
    refused(planned, "tensorrt", replace(facts, accelerators=Accelerators(GpuState.NONE)))
    choose(planned, "cuda", lambda: facts)
    choose(planned, "cpu", lambda: facts)
    assert asked == []
    choose(planned, "tensorrt", lambda: facts)
    assert asked == ["tensorrt_rtx"]


def test_what_is_compiled_for_a_plan_is_kept_beside_rebuilt_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Path, PlanEntry, Path | None]] = []

    def load(plan: Path, entry: PlanEntry, *, kernels: Path | None = None) -> None:
        given.append((plan, entry, kernels))
        raise EngineError("there is no GPU", "Use one.")

    monkeypatch.setattr(TensorRTBackend, "load", load)
    bundle = bundle_of(tmp_path, replace(STANDARD, plans=(FITTING,)))
    with pytest.raises(EngineError):
        load_engine(choose(bundle, "tensorrt", lambda: WELL), 1, RuntimeConfig(), None)
    [sha256] = [file.sha256 for file in bundle.manifest.files if file.path == PLAN.path]
    kernels = PlanFolder.of(bundle.fingerprint).root / f"{sha256[:8]}.kernels"
    assert given == [(bundle.root / PLAN.path, FITTING, kernels)]


def test_the_kv_of_each_place_goes_by_a_name_of_its_own(tmp_path: Path) -> None:
    plans = (FITTING, replace(FITTING, path="plans/second.plan"))
    bundle = bundle_of(tmp_path, replace(STANDARD, plans=plans))
    first, second = (
        DeviceChoice(bundle, "tensorrt", bundle.engine("standard"), plan=plan)
        for plan in plans_of(bundle, bundle.engine("standard"))
        if not isinstance(plan, Exception)
    )
    cpu, cuda = (choose(bundle, device, lambda: WELL) for device in ("cpu", "cuda"))
    names = [choice.fingerprint for choice in (cpu, cuda, first, second)]
    assert len(set(names)) == 4
    assert all(name.startswith(f"{bundle.fingerprint}-") for name in names)
    assert names[:2] == [f"{bundle.fingerprint}-cpu", f"{bundle.fingerprint}-cuda"]
    sha256 = next(file.sha256 for file in bundle.manifest.files if file.path == PLAN.path)
    assert first.fingerprint == f"{bundle.fingerprint}-tensorrt-{sha256[:8]}"


def test_a_graph_for_the_cpu_goes_by_the_bundles_name_as_ever(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, ENGINE)
    assert choose(bundle, "cpu", unlooked).fingerprint == bundle.fingerprint
