import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.page import write_page
from benchmarks.peers.protocol import Answer, Prompt
from benchmarks.peers.results import Results
from benchmarks.peers.rounds import metrics
from edge_autoglm import export_model
from tests.checkpoints import write_tiny_llama

REPOSITORY = Path(__file__).parents[2]


def answer(first: float, last: float, *, asked: float = 0.0, new: int = 5, arrivals: int = 5) -> Answer:
    times = [first + (last - first) * step / (arrivals - 1) for step in range(arrivals)]
    return Answer(100, 0, new, asked, first, last, times)


def prompt(priority: str | None = None) -> Prompt:
    return Prompt([1] * 100, "text", priority=priority)


def test_a_single_request_is_told_apart_into_prefill_and_decode() -> None:
    found = metrics([answer(first=0.5, last=2.5)], [prompt()])
    assert found == {"ttft": [0.5], "prefill": [200.0], "decode": [2.0], "itl": [0.5], "throughput": [2.0]}


def test_pieces_that_are_fewer_than_tokens_say_nothing_of_the_time_between_tokens() -> None:
    assert "itl" not in metrics([answer(first=0.5, last=2.5, arrivals=3)], [prompt()])


def test_cached_tokens_do_not_count_as_prefilled() -> None:
    cached = Answer(100, 60, 2, 0.0, 0.5, 1.0, [0.5, 1.0])
    assert metrics([cached], [prompt()])["prefill"] == [80.0]


def test_requests_together_have_one_throughput_and_a_first_token_each() -> None:
    answers = [answer(0.5, 2.0), answer(1.0, 4.0), answer(1.5, 2.0, asked=1.25)]
    found = metrics(answers, [prompt(), prompt(), prompt("critical")])
    assert found == {"ttft": [0.5, 1.0], "ttft critical": [0.25], "throughput": [15 / 4]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_llama(folder / "hf")
    export_model(folder / "hf", folder / "edge-int8", "int8", proof=False)
    # Files that are no models: whoever opens them fails.
    (folder / "Q8_0.gguf").write_bytes(b"GGUF?")
    failed = {"edge-int4": "ExportError: no 4 bits today"}
    (folder / "prepared.json").write_text(json.dumps({"model": "tiny", "source": "hf", "failed": failed}))
    return folder


def test_a_campaign_measures_who_is_there_and_says_why_others_are_not(models: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.peers", "run", "single", str(models), "--records", str(tmp_path)]
    command += ["--rounds", "2", "--new-tokens", "3", "--threads", "1"]
    for name in ("edge int8", "edge int4", "edge w8a8", "llama.cpp Q8_0"):
        command += ["--only", name]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    results = Results.read(tmp_path / "peers_single_tiny.json")
    assert results.contestants == ["edge int8"]
    assert len(results.values("edge int8", "single", "prefill")) == 2
    assert results.memory is not None
    absent = results.content["figures"]["absent"]
    assert absent["edge int4"] == "ExportError: no 4 bits today"
    assert absent["edge w8a8"] == "edge-w8a8 was not prepared"
    assert set(absent) == {"edge int4", "edge w8a8", "llama.cpp Q8_0"}
    assert results.content["figures"]["cached_share"] == {"edge int8": {"single": 0.0}}
    pytest.importorskip("matplotlib")
    assert "edge w8a8 is absent: edge-w8a8 was not prepared" in write_page(tmp_path).read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "single", "nowhere"], "holds no prepared models"),
        (["run", "single", "nowhere", "--only"], "requires an argument"),
        (["page", "--records", "nowhere"], "measure first"),
        (["prepare", "nowhere", "--bundle", "int9=x"], "give NAME=PATH, NAME one of int8"),
    ],
)
def test_a_command_that_cannot_work_says_what_to_do(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.peers", *arguments]
    run = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert complaint in run.stderr


def test_a_campaign_without_anybody_ends_with_the_reasons(models: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.peers", "run", "single", str(models), "--only", "edge w8a8"]
    command += ["--records", str(tmp_path)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "nobody can be measured: {'edge w8a8': 'edge-w8a8 was not prepared'}" in run.stderr
    assert list(tmp_path.iterdir()) == []
