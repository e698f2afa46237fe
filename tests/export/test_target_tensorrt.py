"""An export for TensorRT: a standard graph, proven like any other; a plan where there is a TensorRT to compile it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import pytest

from edge_autoglm import Bundle, Runtime, export_model
from edge_autoglm.bundle import EngineEntry
from edge_autoglm.device.accelerators import Accelerators, Gpu, GpuState
from edge_autoglm.device.tensorrt_import import TensorRT
from edge_autoglm.errors import ExportError, MissingDependency, SourceError, UnknownArchitecture
from edge_autoglm.export import compiling
from edge_autoglm.export.proof.against import verify_against
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.export.standard.lowering import LOWERINGS
from tests.checkpoints import write_tiny_llama
from tests.onnxruntime_versions import need_opset_24

PRECISIONS = ("fp32", "fp16", "int8", "w8a8", "int4")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("tensorrt") / "checkpoint")


@pytest.fixture
def opset_24() -> None:
    need_opset_24()


@pytest.fixture
def without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)  # its import fails, as where it is not installed


def _engine(bundle: Bundle) -> EngineEntry:
    [entry] = Bundle.open(bundle.root).manifest.engines
    return entry


def _columns(bundle: Bundle) -> int:
    graph = onnx.load(bundle.path(_engine(bundle).graph), load_external_data=False).graph
    [cache] = [entry for entry in graph.input if entry.name == "past_key.0"]
    return int(cache.type.tensor_type.shape.dim[2].dim_value)


def test_the_bundle_has_a_standard_graph_and_no_plan_where_none_is_wanted(checkpoint: Path, tmp_path: Path) -> None:
    stages: set[str] = set()
    bundle = export_model(
        checkpoint, tmp_path / "out", "int8", "tensorrt", plan=False, proof=False, progress=lambda s, *_: stages.add(s)
    )
    entry = _engine(bundle)
    assert (entry.kind, entry.graph) == ("standard", "engine/standard.onnx")
    assert (entry.precision, entry.kv_type, entry.plans, entry.notes) == ("int8", "fp16", (), ())
    assert entry.groups
    assert stages == {"weights", "hashing"}
    opsets = {
        each.domain: each.version for each in onnx.load(bundle.path(entry.graph), load_external_data=False).opset_import
    }
    assert opsets == {"": 24}


@pytest.mark.parametrize(("capacity", "columns"), [(None, 640), (100, 256), (255, 256), (256, 384), (512, 640)])
def test_the_cache_has_whole_pages_and_a_column_to_spare(
    checkpoint: Path, tmp_path: Path, capacity: int | None, columns: int
) -> None:
    bundle = export_model(checkpoint, tmp_path / "out", "fp16", "tensorrt", plan=False, proof=False, capacity=capacity)
    assert _columns(bundle) == columns


def test_a_capacity_beyond_the_models_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="capacity is 513, and the model was made for 512 tokens"):
        export_model(checkpoint, tmp_path / "out", "fp16", "tensorrt", plan=False, capacity=513)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("opset_24")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_is_proven_against_the_original(checkpoint: Path, tmp_path: Path, precision: str) -> None:
    bundle = export_model(checkpoint, tmp_path / "out", precision, "tensorrt", plan=False)
    entry, proof = _engine(bundle), Proof.from_json(bundle.manifest.verification)
    assert proof is not None
    assert (proof.precision, proof.reference, proof.windows, proof.generations) == (precision, "fp32", 12, 20)
    assert entry.kv_type == ("fp32" if precision == "fp32" else "fp16")
    assert entry.notes == ("the figures of the proof are of this graph, run by ONNX Runtime on a CPU",)
    assert not (bundle.root / "reference").exists()


@pytest.mark.usefixtures("opset_24")
def test_the_proof_can_be_repeated(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_model(checkpoint, tmp_path / "out", "int8", "tensorrt", plan=False)
    assert verify_against(bundle, str(checkpoint)).to_json() == bundle.manifest.verification


@pytest.mark.usefixtures("opset_24")
def test_an_engine_beyond_its_budget_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="int8 differs from the original by more than it may"):
        export_model(checkpoint, tmp_path / "out", "int8", "tensorrt", plan=False, max_kl=1e-6)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "openvino"}, "target 'openvino' is not known. Use one of: ort, tensorrt."),
        ({"precision": "auto"}, "precision 'auto' is not there for the target tensorrt"),
        ({"precision": "fp32"}, "there is no plan in fp32"),
        ({"kv": "int8"}, "kv 'int8' is not there for the target tensorrt, whose cache is fp16"),
        ({"kv": "fp32"}, "kv 'fp32' is not there for the target tensorrt, whose cache is fp16"),
        ({"precision": "fp32", "plan": False, "kv": "fp16"}, "whose cache is fp32"),
        ({"via": "optimum"}, "Optimum writes no graph for TensorRT"),
        ({"capacity": 0}, "capacity is 0"),
        ({"slots": 0}, "slots is 0"),
        ({"slots": 8, "plan": False}, "slots and compute capabilities are a plan's, and none is to be compiled"),
        ({"compute_capabilities": ("8.9",), "plan": False}, "none is to be compiled"),
        ({"target": "ort", "capacity": 100}, "capacity is for the target tensorrt"),
        ({"target": "ort", "slots": 2}, "slots is for the target tensorrt"),
        ({"target": "ort", "compute_capabilities": ["8.9"]}, "compute_capabilities is for the target tensorrt"),
        ({"lowering": "flat"}, "lowering 'flat' is not known. Use one of: native, decomposed."),
        ({"target": "ort", "lowering": "native"}, "lowering is for the target tensorrt"),
        ({"target": "ort", "plan": False}, r"plan=False \(--no-plan\) is for the target tensorrt"),
    ],
)
def test_what_is_not_there_for_a_target_is_refused_before_anything_is_read(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        export_model("nowhere.gguf", tmp_path / "out", **{"target": "tensorrt", **options})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_told_before_anything_is_read(without_tensorrt: None, tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="TensorRT is not there") as caught:
        export_model("nowhere.gguf", tmp_path / "out", target="tensorrt")
    for cure in ('pip install "edge-autoglm[tensorrt]"', "--no-plan", "edge-autoglm rebuild"):
        assert cure in caught.value.cure
    assert not list(tmp_path.iterdir())


def test_a_library_that_is_too_old_for_the_native_graph_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, gpu = TensorRT(None, "tensorrt", "10.3.0"), Gpu("Orin", 8 << 30, "8.7")
    monkeypatch.setattr(compiling, "load_tensorrt", lambda: old)
    monkeypatch.setattr(compiling, "detect_accelerators", lambda: Accelerators(GpuState.READY, (gpu,)))
    with pytest.raises(ExportError, match=r"tensorrt 10\.3\.0 is too old .* --lowering decomposed") as caught:
        export_model("nowhere.gguf", tmp_path / "out", target="tensorrt")
    assert "--no-plan" in caught.value.cure
    with pytest.raises(SourceError, match=r"nowhere\.gguf"):
        export_model("nowhere.gguf", tmp_path / "out", target="tensorrt", lowering="decomposed")
    assert not list(tmp_path.iterdir())


def test_a_decomposed_graph_is_proven_and_answers_as_the_native_one(
    opset_24: None, checkpoint: Path, tmp_path: Path
) -> None:
    answers = {}
    for lowering in LOWERINGS:
        bundle = export_model(checkpoint, tmp_path / lowering, "fp32", "tensorrt", plan=False, lowering=lowering)
        proof = Proof.from_json(bundle.manifest.verification)
        assert proof is not None
        assert proof.within_budget
        assert any("decomposed" in note for note in _engine(bundle).notes) == (lowering == "decomposed")
        with Runtime.open(bundle.root, device="cpu") as runtime:
            prompts = ["What is the capital of France?", "Say it again, and then once more."]
            answers[lowering] = [runtime.generate(text, max_new_tokens=20).text for text in prompts]
    assert answers["native"] == answers["decomposed"]


def test_without_a_plan_no_library_is_needed(without_tensorrt: None, checkpoint: Path, tmp_path: Path) -> None:
    assert _engine(export_model(checkpoint, tmp_path / "out", "int8", "tensorrt", plan=False, proof=False)).plans == ()


def test_an_architecture_that_only_optimum_knows_is_refused(tmp_path: Path) -> None:
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    _configure(checkpoint, architectures=["GPT2LMHeadModel"])
    with pytest.raises(UnknownArchitecture, match="GPT2LMHeadModel"):
        export_model(checkpoint, tmp_path / "out", "int8", "tensorrt", plan=False)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.usefixtures("opset_24")
def test_a_plan_is_compiled_and_sealed_with_the_graph(checkpoint: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    stages: dict[str, tuple[int, int]] = {}
    bundle = export_model(
        checkpoint,
        tmp_path / "out",
        "int8",
        "tensorrt",
        slots=2,
        compute_capabilities=["8.9", "86"],
        progress=lambda stage, done, total: stages.update({stage: (done, total)}),
    )
    entry = _engine(bundle)
    [plan] = entry.plans
    assert (plan.library, plan.version) == ("tensorrt_rtx", library.__version__)
    assert (plan.compute_capabilities, plan.rows, plan.page, plan.head_rows) == (("8.6", "8.9"), 2, 128, 32)
    assert bundle.path(plan.path).stat().st_size > 10_000
    assert stages["plan"][0] == stages["plan"][1]
    assert len(entry.notes) == 2
    assert entry.notes[1] == f"{plan.path} was compiled from this graph, and not run on the machine that compiled it"
    bare = export_model(checkpoint, tmp_path / "bare", "int8", "tensorrt", plan=False, proof=False)
    assert bare.fingerprint == bundle.fingerprint


def test_gpus_that_the_library_does_not_know_are_told_before_anything_is_read(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    with pytest.raises(ExportError, match=r"cannot build here for compute capability 8\.7") as caught:
        export_model("nowhere.gguf", tmp_path / "out", target="tensorrt", compute_capabilities=["8.7"])
    assert "--no-plan" in caught.value.cure
    assert not list(tmp_path.iterdir())


def test_an_export_whose_plan_cannot_be_compiled_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    # TensorRT's attention has no kernel for heads of 8 channels.
    _configure(checkpoint, num_attention_heads=8, num_key_value_heads=4, head_dim=8)
    with pytest.raises(ExportError, match=r"TensorRT cannot compile it for 8\.9"):
        export_model(checkpoint, tmp_path / "out", "int8", "tensorrt", compute_capabilities=["8.9"])
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def _configure(checkpoint: Path, **changes: object) -> None:
    file = checkpoint / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
