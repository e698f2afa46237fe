"""A bundle for GPUs through the whole runtime, on ONNX Runtime's CPU; and what is said where there is no GPU."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm import (
    Bundle,
    HealthPolicy,
    Rejected,
    Runtime,
    SamplingParams,
    Swapped,
    SwapPolicy,
    export_model,
)
from edge_autoglm.device.accelerators import Accelerators, Gpu, GpuState, detect_accelerators
from edge_autoglm.device.gpu_facts import GpuFacts, has_cuda_provider
from edge_autoglm.errors import DeviceUnavailable, EngineError, ForeignSoftPrompt, MissingDependency
from edge_autoglm.evolve import EvolveSettings, PromptOptimizer
from edge_autoglm.facade import loading
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.kv_pack import PrefixPack
from edge_autoglm.prompts.rewrite import Labelled
from edge_autoglm.runtime.engine import KVSegment
from edge_autoglm.runtime.engines.standard.engine import StandardEngine
from edge_autoglm.runtime.kv.soft_prompt import SoftPrompt, load_soft_prompt
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.values import Reply
from tests.checkpoints import write_tiny_llama
from tests.facade.conftest import MOOD
from tests.onnxruntime_versions import need_opset_24

CONFIG = RuntimeConfig(
    seed=1,
    context_length=255,
    promote_every=None,
    swap_policy=SwapPolicy(HealthPolicy(max_latency_ratio=None)),  # another precision may be as slow as it is
)
TEXTS = ("good", "a great film", "你好", "this movie is bad and the text of this user is good")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the fixture ``bundle``."""
    return write_tiny_llama(tmp_path_factory.mktemp("standard") / "checkpoint")


@pytest.fixture(scope="module")
def standard(checkpoint: Path, task_files: list[Path]) -> Bundle:
    """It as a standard graph in fp32, without a plan; its slots hold 255 tokens."""
    need_opset_24()
    return export_model(
        checkpoint,
        checkpoint.parent / "standard",
        "fp32",
        "tensorrt",
        tasks=task_files,
        proof=False,
        plan=False,
        capacity=255,
    )


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if detect_accelerators().state is GpuState.READY:
        pytest.skip("another test has opened the GPU in this process")


@pytest.fixture
def runtime(standard: Bundle) -> Iterator[Runtime]:
    with Runtime.open(standard, threads=1, device="cpu", config=CONFIG) as opened:
        yield opened


def answers(runtime: Runtime) -> list[object]:
    """Of label tasks and free ones, with and without a resident prefix."""
    scored = [runtime.run("mood", {"text": text}, variant=name) for text in TEXTS for name in ("framed", "chat")]
    told = [runtime.run("echo", {"text": text}, variant="answer").text for text in TEXTS]
    free = [runtime.generate(text, max_new_tokens=8).text for text in TEXTS]
    return [
        [reply.scores for reply in scored],
        told,
        free,
        runtime.score("the film is", [" good", " bad", " the movie"]),
    ]


def labels(replies: list[Reply]) -> list[dict[str, float]]:
    return [reply.scores for reply in replies]


def test_it_answers_as_the_graph_for_the_cpu_does(runtime: Runtime, bundle: Bundle) -> None:
    with Runtime.open(bundle, threads=1, config=CONFIG) as other:
        for text in TEXTS:
            asked = {"text": text}
            one, two = (each.run("mood", asked, variant="framed") for each in (runtime, other))
            assert one.scores == pytest.approx(two.scores, abs=1e-4)
            assert one.usage.num_cached_tokens == two.usage.num_cached_tokens > 10
            one, two = (each.run("echo", asked, variant="answer") for each in (runtime, other))
            assert one.text == two.text


def test_its_kv_state_is_as_large_as_planned(standard: Bundle) -> None:
    config = replace(CONFIG, slots=5)
    with closing(loading.load_model(standard, 1, config, device="cpu")) as model:
        assert isinstance(model.engine, StandardEngine)
        held = model.engine._kv._kv.nbytes  # type: ignore[attr-defined]  # of the CPU's backend
        # Whole blocks of 4 rows, whole pages of 128 tokens.
        assert held == model.placement.memory[1].size == 8 * 256 * model.engine.facts.kv_bytes_per_token


def test_streams_and_batches_give_what_run_gives(runtime: Runtime) -> None:
    whole = runtime.generate("the movie is", max_new_tokens=24).text
    assert "".join(runtime.generate_stream("the movie is", SamplingParams(24))) == whole
    asked = [{"text": f"{text} {number}"} for text in TEXTS for number in range(4)]
    alone = [runtime.run("mood", each, variant="framed") for each in asked]
    with Runtime.open(runtime._buffer.active.bundle, threads=1, device="cpu", config=CONFIG) as other:
        assert labels(other.run_many("mood", asked, variant="framed")) == labels(alone)
        assert [reply.text for reply in other.run_many("echo", asked, variant="plain")] == [
            runtime.run("echo", each, variant="plain").text for each in asked
        ]


def test_a_restart_computes_no_prefix_and_answers_the_same(standard: Bundle, tmp_path: Path) -> None:
    told = tmp_path / "mood.yaml"
    told.write_text(MOOD.replace("A film is good or bad.", "A film is good or bad. " * 17))
    long = standard.derive(tmp_path / "long", [told])
    runs = []
    for _ in range(2):
        with Runtime.open(long, tmp_path / "state", threads=1, device="cpu", config=CONFIG) as runtime:
            opened = runtime.stats.kv
            replies = [runtime.run("mood", {"text": text}, variant="framed") for text in TEXTS]
            assert min(reply.usage.num_cached_tokens for reply in replies) > 128, "more than is computed again"
            runs.append((opened, labels(replies)))
    (first, said), (second, again) = runs
    assert first.lookups > 0
    assert (second.lookups, second.pinned_bytes) == (0, first.pinned_bytes)
    assert again == said


def test_prefixes_of_another_place_are_not_restored(
    standard: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Runtime.open(standard, tmp_path, threads=1, device="cpu", config=CONFIG) as runtime:
        opened = runtime._buffer.active.model
        assert opened.engine.facts.fingerprint == opened.kv.fingerprint == f"{standard.fingerprint}-cpu"
    with closing(loading.load_model(standard, 1, CONFIG, device="cpu")) as same:
        PrefixPack(tmp_path, 1).restore(same)
        assert same.kv.stats.nbytes > 0
        elsewhere = _relabelled(same, f"{standard.fingerprint}-cuda")
        PrefixPack(tmp_path, 1).restore(elsewhere)
        assert elsewhere.kv.stats.nbytes == 0
        assert f"not '{standard.fingerprint}-cuda'" in caplog.text


def _relabelled(model: LanguageModel, fingerprint: str) -> LanguageModel:
    """The same engine as if it ran elsewhere."""
    assert isinstance(model.engine, StandardEngine)
    engine = StandardEngine(model.engine._backend, fingerprint=fingerprint, slots=1, capacity=255)
    kv = KVStore(fingerprint, 1 << 20)
    return LanguageModel(engine, model.tokenizer, model.chat, [2], None, kv, placement=model.placement)


def test_a_soft_prompt_of_an_engine_for_the_cpu_is_refused(standard: Bundle, runtime: Runtime, tmp_path: Path) -> None:
    kv = np.zeros((4, 2, 4, 16), dtype=np.float32)
    file = tmp_path / "soft.kv"
    file.write_bytes(SoftPrompt.of(KVSegment(standard.fingerprint, 0, 4, (kv,), (2,))).to_bytes())
    with pytest.raises(ForeignSoftPrompt, match=f"not '{standard.fingerprint}-cpu'"):
        load_soft_prompt(file, runtime._buffer.active.model.engine.facts.fingerprint)


def test_new_prompts_and_policies_are_swapped_in_over_the_same_weights(
    runtime: Runtime, standard: Bundle, task_files: list[Path], tmp_path: Path
) -> None:
    said = answers(runtime)
    changed = tmp_path / "mood.yaml"
    mood = next(file for file in task_files if file.name == "mood.yaml")
    changed.write_text(mood.read_text().replace("A film is good or bad.", "A film is great, or it is bad."))
    derived = standard.derive(tmp_path / "derived", [changed, next(file for file in task_files if file != mood)])
    assert runtime.swap(derived) == Swapped(2)
    assert runtime.learner.promote() == Swapped(3)
    model = runtime._buffer.active.model
    assert model.placement.device == "cpu"
    with Runtime.open(derived, threads=1, device="cpu", config=CONFIG) as fresh:
        assert answers(runtime) == answers(fresh) != said
    runtime.learner.rollback()
    assert runtime.swap(standard) == Swapped(4)
    assert answers(runtime) == said


def test_another_bundle_is_swapped_in_on_the_same_device(
    runtime: Runtime, checkpoint: Path, bundle: Bundle, task_files: list[Path], tmp_path: Path
) -> None:
    half = export_model(
        checkpoint, tmp_path / "half", "fp16", "tensorrt", tasks=task_files, proof=False, plan=False, capacity=255
    )
    for number, each in enumerate((half, bundle), start=2):
        assert runtime.swap(each) == Swapped(number)
        with Runtime.open(each, threads=1, device="cpu", config=CONFIG) as fresh:
            assert answers(runtime) == answers(fresh)
            assert runtime.stats.placement.device == fresh.stats.placement.device == "cpu"


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_is_asked_for_and_missing_is_an_error(standard: Bundle, device: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with pytest.raises(DeviceUnavailable, match="GPU"):
        Runtime.open(standard, state, threads=1, device=device, config=CONFIG)
    with Runtime.open(standard, state, threads=1, device="cpu", config=CONFIG) as runtime:
        assert runtime.run("mood", {"text": "good"}).label
    with pytest.raises(DeviceUnavailable, match="GPU"):  # nor does it come up on what went live elsewhere
        Runtime.open(standard, state, threads=1, device=device, config=CONFIG)


def test_a_device_that_does_not_exist_is_refused_before_anything_is_made(standard: Bundle, tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="'npu' is not known"):
        Runtime.open(standard, tmp_path / "state", device="npu")
    assert not (tmp_path / "state").exists()


@pytest.mark.usefixtures("no_gpu")
def test_auto_says_why_it_takes_the_cpu(standard: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "edge_autoglm"), Runtime.open(standard, threads=1, config=CONFIG) as runtime:
        answers(runtime)
        placement = runtime.stats.placement
    assert (placement.device, placement.library.split()[0]) == ("cpu", "onnxruntime")
    tensorrt, cuda = placement.passed_over
    assert tensorrt.startswith("tensorrt: ")
    assert cuda.startswith("cuda: ")
    assert "GPU" in tensorrt
    told = [record.getMessage() for record in caplog.records if "is not used" in record.getMessage()]
    assert [line.partition(" ")[0] for line in told] == ["tensorrt", "cuda"], "once each"


def test_auto_takes_the_cpu_for_a_bundle_that_is_made_for_it(bundle: Bundle) -> None:
    with Runtime.open(bundle, threads=1, config=CONFIG) as runtime:
        placement = runtime.stats.placement
    assert placement.device == "cpu"
    assert all("no engine for a GPU" in reason for reason in placement.passed_over)
    assert [part.name.partition(",")[0] for part in placement.memory] == ["engine in fp32", "KV slots", "KV cache"]


@pytest.mark.skipif(has_cuda_provider(), reason="this ONNX Runtime would start on a GPU")
def test_what_shows_only_when_a_device_is_opened_is_a_reason_too(
    standard: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a GPU and the files of the CUDA provider were there, which then does not start."""
    gpu = Accelerators(GpuState.READY, (Gpu("NVIDIA L4", 24 * 10**9, "8.9"),), "580.1", "13.0")
    monkeypatch.setattr(loading, "gpu_facts", lambda: GpuFacts(gpu, (), True))
    with Runtime.open(standard, threads=1, config=CONFIG) as runtime:
        assert runtime.run("mood", {"text": "good"}).label
        placement = runtime.stats.placement
    assert placement.device == "cpu"
    assert [reason.partition(":")[0] for reason in placement.passed_over] == ["tensorrt", "cuda"]
    with pytest.raises((MissingDependency, EngineError)) as caught:
        Runtime.open(standard, threads=1, device="cuda", config=CONFIG)
    assert str(caught.value) in placement.passed_over[1]


@pytest.mark.usefixtures("no_gpu")
def test_a_bundle_that_cannot_run_on_the_device_is_not_swapped_in(
    runtime: Runtime, standard: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the GPU were gone since the runtime was opened on it."""
    monkeypatch.setattr(runtime._builder, "_device", "cuda")
    other = export_model(write_tiny_llama(tmp_path / "checkpoint", seed=3), tmp_path / "other", "fp32", proof=False)
    outcome = runtime.swap(other)
    assert isinstance(outcome, Rejected)
    assert "--target tensorrt" in outcome.reason
    assert runtime.generation == 1


@pytest.mark.usefixtures("no_gpu")
def test_a_search_for_prompts_runs_on_the_device_that_is_named(standard: Bundle) -> None:
    examples = [Labelled({"text": f"a film {number}"}, "good" if number % 2 else "bad") for number in range(40)]
    with pytest.raises(DeviceUnavailable, match="GPU"):
        PromptOptimizer(standard, "mood", EvolveSettings(), device="cuda").evolve(examples)
