import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.gpu.lineup import KINDS, entries
from benchmarks.gpu.rounds import LENGTHS, Case, cases, first_divergence, metrics
from benchmarks.gpu.run import Campaign, measure
from benchmarks.peers.client import PeerFailure
from benchmarks.peers.lineup import Entry
from benchmarks.peers.prompts import PromptSource
from benchmarks.peers.protocol import Answer
from benchmarks.peers.results import Results
from benchmarks.peers.worker import KINDS as ALL_KINDS
from edge_autoglm import Bundle, export_model
from edge_autoglm.device.accelerators import detect_accelerators
from edge_autoglm.export.texts import calibration_text
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import tiny_tokenizer_json, write_tiny_llama
from tests.onnxruntime_versions import need_opset_24

REPOSITORY = Path(__file__).parents[2]


def answer(first: float, last: float, tokens: int = 5) -> Answer:
    return Answer(100, 0, tokens, 0.0, first, last, [], list(range(tokens)))


def test_one_row_has_a_first_token_and_a_rate_behind_it() -> None:
    assert metrics([answer(0.5, 2.5)]) == {"ttft": 0.5, "decode": 2.0}


def test_rows_in_lockstep_have_one_rate_for_all() -> None:
    assert metrics([answer(0.5, 2.5)] * 3) == {"decode": 6.0}


def test_cases_are_every_length_alone_and_all_rows_behind_the_shortest() -> None:
    assert [(case.name, case.prompt_tokens, case.rows) for case in cases(4)] == [
        ("128", 128, 1),
        ("512", 512, 1),
        ("2048", 2048, 1),
        ("4 rows of 128", 128, 4),
    ]
    assert [case.prompt_tokens for case in cases(1)] == list(LENGTHS)


def test_prompts_of_a_case_are_as_many_and_as_long_as_it_says_and_other_ones_every_time() -> None:
    tokenizer = Tokenizer(tiny_tokenizer_json())
    source = PromptSource(calibration_text().content[:60_000], tokenizer.encode, tokenizer.decode)
    prompts = [prompt for _ in range(3) for prompt in Case(40, 4).prompts(source)]
    assert [len(prompt.tokens) for prompt in prompts] == [40] * 12
    assert len({tuple(prompt.tokens) for prompt in prompts}) == 12


def test_the_first_divergence_is_the_first_token_that_differs() -> None:
    assert first_divergence([1, 2, 3, 4], [1, 2, 9, 4]) == 2
    assert first_divergence([1, 2, 3], [1, 2, 3]) is None
    with pytest.raises(ValueError, match="zip"):
        first_divergence([1, 2, 3], [1, 2])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    need_opset_24()
    folder = tmp_path_factory.mktemp("models")
    source = write_tiny_llama(folder / "hf")
    return export_model(source, folder / "fp16", "fp16", "tensorrt", capacity=100, proof=False, plan=False)


def test_the_line_up_has_every_bundle_on_every_device_and_the_checkpoint_twice(bundle: Bundle, tmp_path: Path) -> None:
    found = list(entries([bundle], ["tensorrt", "cuda"], tmp_path / "hf", tmp_path / "genai"))
    names = ["edge tensorrt fp16", "edge cuda fp16", "torch eager", "torch graph", "onnxruntime-genai"]
    assert [entry.name for entry in found] == names
    assert [entry.options.get("device") for entry in found] == ["tensorrt", "cuda", "cuda", "cuda", None]
    assert {entry.kind for entry in found} == set(KINDS) < set(ALL_KINDS)
    assert [entry.name for entry in entries([bundle], ["cuda"], None, None)] == ["edge cuda fp16"]


def on_cpu(bundle: Bundle, name: str) -> Entry:
    """The engine's own code on ONNX Runtime's CPU: it shows that the harness works, and nothing of a GPU."""
    return Entry(name, "edge_engine", str(bundle.root), 16, {"device": "cpu"})


def campaign(bundle: Bundle, records: Path, entries: tuple[Entry, ...], chosen: tuple[Case, ...]) -> Campaign:
    return Campaign("tiny", bundle.tokenizer_path, entries, {}, chosen, 2, 4, 60.0, records)


def test_a_campaign_leaves_every_sample_the_tokens_and_why_somebody_is_missing(bundle: Bundle, tmp_path: Path) -> None:
    absent = Entry("torch eager", "torch", str(tmp_path / "hf"), 16)
    takers = (on_cpu(bundle, "edge one"), on_cpu(bundle, "edge other"), absent)
    path = measure(campaign(bundle, tmp_path, takers, (Case(12), Case(12, 3))), None, Console(quiet=True))
    assert path == tmp_path / "gpu_tiny.json"
    results = Results.read(path)
    assert results.contestants == ["edge one", "edge other"]
    assert len(results.values("edge one", "12", "ttft")) == len(results.values("edge one", "12", "decode")) == 2
    assert results.values("edge one", "3 rows of 12", "ttft") == []
    assert len(results.values("edge other", "3 rows of 12", "decode")) == 2
    figures = results.content["figures"]
    assert figures["absent"] == {"torch eager": "hf was not prepared"}
    answers = figures["tokens"]["edge one"]
    assert [len(row.split()) for row in answers["3 rows of 12"]] == [4, 4, 4]
    assert answers == figures["tokens"]["edge other"]
    layer = 64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64
    assert figures["traffic"]["edge one"] == {
        "weight_bytes": 2 * (2 * layer + 320 * 64),
        "kv_bytes_per_token": 2 * 2 * 2 * 16 * 2,
    }
    # No GPU, so nothing of one: neither costs nor launches.
    assert not any(key.startswith("GPU") for key in results.content["samples"])
    assert figures["launches"] == {}
    assert set(figures["uncounted"]) == {"edge one", "edge other"}
    assert str(tmp_path) not in path.read_text()


def test_bundles_of_the_other_lowering_go_by_it(tmp_path: Path) -> None:
    source = write_tiny_llama(tmp_path / "hf")
    other = export_model(source, tmp_path / "other", "fp16", "tensorrt", proof=False, plan=False, lowering="decomposed")
    assert [entry.name for entry in entries([other], ["cuda"], None, None)] == ["edge cuda fp16 decomposed"]


def test_a_bundle_whose_slots_are_too_small_says_how_to_export_it(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(PeerFailure, match=r"a slot holds 255 tokens: export with --capacity 264"):
        measure(campaign(bundle, tmp_path, (on_cpu(bundle, "edge"),), (Case(260),)), None, Console(quiet=True))
    assert list(tmp_path.iterdir()) == []


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_without_a_gpu_it_says_so_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    if detect_accelerators().gpus:
        pytest.skip("there is a GPU")
    (tmp_path / "bundle").mkdir()
    found = run("run", str(tmp_path / "bundle"), "--records", str(tmp_path / "records"))
    assert found.returncode == 1
    assert found.stderr.startswith("Error: nothing was measured: ")
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "records").exists()


def test_an_interpreter_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    found = run("run", str(tmp_path), "--python", "llama_cpp=python3")
    assert found.returncode == 2
    assert "KIND one of edge_engine, torch, ort_genai" in found.stderr
