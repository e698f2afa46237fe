"""The whole benchmark on a tiny random model: counts and structure, never times."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from edge_autoglm import Bundle
from edge_autoglm.bench import BenchConfig, BenchReport, run_bench
from edge_autoglm.bench.display import still_bars
from edge_autoglm.bench.samples import all_requests
from edge_autoglm.errors import ForeignBundle, PromptTooLong


@pytest.fixture(scope="module")
def report(bundle: Bundle) -> BenchReport:
    """Two requests at once, three rounds after one."""
    config = BenchConfig(prompt_tokens=24, new_tokens=6, repeat=3, concurrency=2, threads=1, seed=5)
    return run_bench(bundle.root, config)


def test_every_request_of_every_round_is_recorded(report: BenchReport) -> None:
    assert (len(report.warmup), len(report.rounds)) == (1, 3)
    for each in (*report.warmup, *report.rounds):
        assert len(each.requests) == 2
        assert min(request.started for request in each.requests) == 0.0
        assert each.seconds == max(request.started + request.total for request in each.requests)


def test_requests_are_of_the_size_asked_for(report: BenchReport) -> None:
    for request in all_requests(report.rounds):
        usage = request.usage
        assert usage.prompt_tokens == 24
        assert usage.num_cached_tokens < 8
        assert usage.new_tokens == 6 if request.finish_reason == "length" else usage.new_tokens <= 6
        assert len(request.arrivals) <= usage.new_tokens
        assert list(request.arrivals) == sorted(request.arrivals)
        assert request.arrivals[-1] <= request.total


def test_the_same_seed_measures_the_same_work(bundle: Bundle, report: BenchReport) -> None:
    again = run_bench(bundle.root, report.config)

    def work(each: BenchReport) -> list[tuple[int, str]]:
        return [(request.usage.new_tokens, request.finish_reason) for request in all_requests(each.rounds)]

    assert work(again) == work(report)


def test_the_report_names_what_was_measured_and_where(bundle: Bundle, report: BenchReport) -> None:
    assert report.bundle.digest == bundle.digest
    assert (report.bundle.precision, report.bundle.kv_type) == ("fp32", "fp32")
    assert report.threads == 1
    assert {"edge-autoglm", "onnxruntime", "numpy", "python"} <= report.host.versions.keys()
    assert report.host.cpu.model
    assert report.host.granted_threads >= 1
    assert 0 < report.load.stages["verifying"] < report.load.seconds
    memory = report.memory
    assert memory.before is not None
    assert memory.loaded is not None
    assert memory.end is not None
    assert 10_000_000 < memory.before <= memory.loaded <= memory.end


def test_one_token_without_warm_up(bundle: Bundle) -> None:
    config = BenchConfig(prompt_tokens=2, new_tokens=1, repeat=1, warmup=0, threads=1)
    report = run_bench(bundle.root, config)
    [request] = all_requests(report.rounds)
    assert (report.warmup, request.usage.prompt_tokens, request.usage.new_tokens) == ((), 2, 1)
    assert report.figures()["decode_speed"] is None


def test_progress_tells_every_stage_to_its_end(bundle: Bundle) -> None:
    told: list[tuple[str, int, int]] = []
    config = BenchConfig(prompt_tokens=4, new_tokens=1, repeat=2, warmup=1, threads=1)
    run_bench(bundle.root, config, lambda stage, done, total: told.append((stage, done, total)))
    assert [call for call in told if call[0] in ("warming up", "measuring")] == [
        ("warming up", 0, 1),
        ("warming up", 1, 1),
        ("measuring", 0, 2),
        ("measuring", 1, 2),
        ("measuring", 1, 2),
        ("measuring", 2, 2),
    ]
    assert told[0][0] == "verifying"


def test_the_longest_request_that_the_model_can_take(bundle: Bundle) -> None:
    longest = bundle.manifest.model.context_length
    fits = BenchConfig(prompt_tokens=longest - 4, new_tokens=4, repeat=1, warmup=0, threads=1)
    [request] = all_requests(run_bench(bundle.root, fits).rounds)
    assert request.usage.prompt_tokens == longest - 4
    with pytest.raises(PromptTooLong, match=str(longest)):
        run_bench(bundle.root, BenchConfig(prompt_tokens=longest - 4, new_tokens=5))


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ForeignBundle, match="not a bundle"):
        run_bench(tmp_path, BenchConfig())


def test_bars_are_drawn_when_told_and_stay_still_otherwise() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    assert isinstance(console.file, io.StringIO)
    with still_bars(console) as progress:
        progress("measuring", 0, 4)
        drawn = console.file.getvalue()
        assert "measuring" in drawn
        progress("measuring", 4, 4)
        assert len(console.file.getvalue()) > len(drawn)
        assert "100%" in console.file.getvalue()
