"""Figures, notes, table and picture of a made-up benchmark."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from edge_autoglm import Usage
from edge_autoglm.bench.config import BenchConfig
from edge_autoglm.bench.plot import plot_report
from edge_autoglm.bench.report import BenchReport
from edge_autoglm.bench.samples import RequestSample, Round
from edge_autoglm.bench.table import show
from edge_autoglm.device.placement import Placement
from edge_autoglm.errors import EdgeAutoGLMError, MissingDependency, RequestError
from edge_autoglm.plotting import require_matplotlib


def shown(report: BenchReport) -> str:
    console = Console(file=io.StringIO(), width=120)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def with_requests(report: BenchReport, *requests: RequestSample) -> BenchReport:
    return replace(report, rounds=(Round(requests, 0.5),))


def row(table: str, label: str) -> list[str]:
    [line] = [line for line in table.splitlines() if label in line]
    return [cell.strip() for cell in line.strip("│ ").split("│")][1:]


def test_a_request_from_its_arrivals(request_sample: RequestSample) -> None:
    assert request_sample.ttft == 0.2
    assert request_sample.gaps == pytest.approx((0.01, 0.03, 0.01, 0.03))
    assert request_sample.prefill_speed == pytest.approx(500.0)
    assert request_sample.decode_speed == pytest.approx(50.0)


def test_cached_tokens_are_no_prefill(request_sample: RequestSample) -> None:
    assert replace(request_sample, usage=Usage(100, 60, 5)).prefill_speed == pytest.approx(200.0)


def test_an_answer_without_text_has_a_first_token_and_no_speed(request_sample: RequestSample) -> None:
    empty = replace(request_sample, usage=Usage(100, 0, 1), arrivals=(), finish_reason="eos", decode=0.0)
    assert (empty.ttft, empty.gaps, empty.decode_speed) == (0.28, (), None)


def test_throughput_is_of_the_whole_round(request_sample: RequestSample) -> None:
    assert Round((request_sample, request_sample), seconds=0.5).throughput == pytest.approx(20.0)


def test_figures_are_over_all_measured_rounds(report: BenchReport) -> None:
    figures = report.figures()
    counts = {name: summary.count for name, summary in figures.items() if summary is not None}
    assert counts == {
        "ttft": 3,
        "inter_token": 12,
        "end_to_end": 3,
        "queue": 3,
        "prefill_speed": 3,
        "decode_speed": 3,
        "throughput": 3,
    }
    inter_token = figures["inter_token"]
    assert inter_token is not None
    assert (inter_token.p50, inter_token.p95) == pytest.approx((0.02, 0.03))


def test_answers_of_one_token_leave_figures_out(report: BenchReport, request_sample: RequestSample) -> None:
    one = with_requests(report, replace(request_sample, usage=Usage(100, 0, 1), arrivals=(0.2,), decode=0.0))
    assert one.figures()["inter_token"] is None
    assert one.to_json()["figures"]["decode_speed"] is None
    assert "inter-token" not in shown(one)


def test_the_record_is_json_with_every_sample(report: BenchReport) -> None:
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert record["schema_version"] == 1
    assert record["config"] == {
        "prompt_tokens": 100,
        "new_tokens": 5,
        "repeat": 3,
        "warmup": 1,
        "concurrency": 1,
        "threads": 2,
        "device": "auto",
        "seed": 0,
        "decoding": "greedy",
    }
    assert record["host"]["versions"] == {"numpy": "2.0"}
    assert record["bundle"]["digest"] == "0123456789abcdef"
    assert record["placement"]["device"] == "cpu"
    assert record["load"] == {"seconds": 1.5, "stages": {"verifying": 0.5}}
    assert record["peak_memory"] == {"before": 50_000_000, "loaded": 80_000_000, "end": None}
    assert (len(record["warmup"]), len(record["rounds"])) == (1, 3)
    assert record["rounds"][0]["requests"][0]["arrivals"] == [0.2, 0.21, 0.24, 0.25, 0.28]


def test_where_the_engine_ran_is_shown(report: BenchReport) -> None:
    assert "2 threads on Processor [10 GHz]" in shown(report)
    on_gpu = replace(report, placement=Placement("tensorrt", "tensorrt_rtx 1.7.1", "NVIDIA L4, driver 580"))
    assert "tensorrt: tensorrt_rtx 1.7.1 on NVIDIA L4, driver 580" in shown(on_gpu)
    assert "2 threads" not in shown(on_gpu)


def test_a_clean_benchmark_has_no_notes(report: BenchReport) -> None:
    assert report.notes() == ()


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"usage": Usage(100, 0, 3), "arrivals": (0.2, 0.21, 0.24)}, "ended 1 of 1 answers before 5"),
        ({"usage": Usage(90, 0, 5)}, "90 to 90 tokens, not 100"),
        ({"usage": Usage(100, 0, 5, 4, 2)}, "40.0% of the new tokens were looked up"),
        ({"usage": Usage(100, 20, 5)}, "20.0% of the prompt tokens came from a cache"),
        ({"arrivals": (0.2, 0.21, 0.24)}, "5 tokens came as 3 pieces"),
    ],
)
def test_what_a_reader_must_know_is_said(
    report: BenchReport, request_sample: RequestSample, changes: dict[str, object], note: str
) -> None:
    odd = with_requests(report, replace(request_sample, **changes))  # type: ignore[arg-type]
    [said] = odd.notes()
    assert note in said
    assert note in shown(odd)


def test_other_work_on_the_machine_is_said(report: BenchReport) -> None:
    busy = replace(report, host=replace(report.host, load_average=3.2))
    assert busy.notes() == ("The machine was busy: its load average was 3.2 before the benchmark began.",)


def test_the_table_shows_medians_and_counts(report: BenchReport) -> None:
    table = shown(report)
    assert row(table, "first token, ms") == ["200.0", "-", "-", "200.0", "200.0", "3"]
    assert row(table, "prefill, tokens/s") == ["500.0", "-", "-", "500.0", "500.0", "3"]
    assert "2 threads on Processor [10 GHz]" in table
    assert "Load: 1.50 s (verifying 0.50 s, engine and tokenizer 1.00 s)" in table
    assert "Peak memory: not known (80 MB when loaded, 50 MB before)" in table


def test_high_percentiles_are_shown_of_enough_samples_only(report: BenchReport) -> None:
    twenty = replace(report, rounds=report.rounds[:1] * 20)
    assert row(shown(twenty), "first token, ms")[1:3] == ["200.0", "-"]
    hundred = replace(report, rounds=report.rounds[:1] * 100)
    assert row(shown(hundred), "first token, ms")[1:3] == ["200.0", "200.0"]


def test_the_picture_is_a_png(report: BenchReport, request_sample: RequestSample, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra bench")
    one_token = with_requests(report, replace(request_sample, usage=Usage(100, 0, 1), arrivals=(), decode=0.0))
    for number, each in enumerate((report, one_token)):
        path = tmp_path / f"{number}.png"
        plot_report(each, path)
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_picture_that_cannot_be_written(report: BenchReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra bench")
    with pytest.raises(EdgeAutoGLMError, match="cannot be written"):
        plot_report(report, tmp_path / "no" / "picture.png")


def test_the_missing_plot_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependency, match=r"edge-autoglm\[bench\]"):
        require_matplotlib()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt_tokens": 0}, "prompt tokens is 0"),
        ({"new_tokens": 0}, "new tokens is 0"),
        ({"repeat": 0}, "repeat is 0"),
        ({"concurrency": -1}, "concurrency is -1"),
        ({"threads": 0}, "threads is 0"),
        ({"warmup": -1}, "warmup is -1"),
    ],
)
def test_settings_out_of_range(changes: dict[str, int], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        BenchConfig(**changes)
