import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.experiments import EXPERIMENTS
from benchmarks.peers.page import write_page
from benchmarks.peers.results import Results

BITS = {"edge int8": 8, "edge int4": 4, "llama.cpp Q8_0": 8, "transformers float32": 32}
HOST = {"cpu": "A CPU", "cpu_features": ["avx2"], "taken_at": "2026-11-23T00:00:00Z"}
CASES = {
    "single": ["single"],
    "scale": ["single"],
    "concurrent": ["alone", "nothing shared", "prefix shared"],
    "critical": ["idle", "under load"],
    "lengths": ["128", "256"],
    "rows": ["1", "2"],
}
METRICS = ("prefill", "decode", "itl", "ttft", "throughput", "ttft critical")


def content(experiment: str) -> dict[str, Any]:
    """Whoever stands one place further back is twice as fast."""
    samples: dict[str, list[float]] = {"DRAM//bytes": [1000.0, 3000.0, 2000.0]}
    for place, name in enumerate(BITS):
        for case in CASES[experiment]:
            samples |= {f"{name}/{case}/{metric}": [2.0**place, 2.0**place + 1, 0.0] for metric in METRICS}
    config = {"experiment": experiment, "model": "tiny", "threads": 2, "rounds": 3, "new_tokens": 8, "bits": BITS}
    figures = {
        "absent": {"OpenVINO Q8_0": "not\ninstalled"},
        "weight_bytes": {"edge int8": 500, "edge int4": 300, "llama.cpp Q8_0": 500, "transformers float32": None},
        "first_answers": {"edge int8": "yes", "llama.cpp Q8_0": "yes", "transformers float32": "no"},
        "short_answers": {"edge int8": 2, "llama.cpp Q8_0": 0},
        "cached_share": {"edge int8": {CASES[experiment][0]: 0.25}},
    }
    return {"config": config, "host": HOST, "samples": samples, "figures": figures}


def results_of(experiment: str) -> Results:
    return Results("peers_x", content(experiment))


def test_medians_shares_and_leads_come_from_the_samples() -> None:
    results = results_of("single")
    assert results.contestants == list(BITS)
    assert results.median("llama.cpp Q8_0", "single", "decode") == 4.0
    assert results.memory == 2000.0
    assert results.memory_share("llama.cpp Q8_0", "single") == 1.0
    assert results.memory_share("transformers float32", "single") is None
    assert list(results.leads(["edge int8", "edge int4"], "single", "decode")) == [
        ("edge int8", "llama.cpp Q8_0", 0.25)
    ]


def test_a_percentile_is_the_least_sample_that_is_enough() -> None:
    results = Results("x", {"samples": {"a/b/c": [float(value) for value in range(20, 0, -1)], "a/b/d": [7.0]}})
    assert [results.percentile("a", "b", "c", share) for share in (50, 95, 96, 100)] == [10.0, 19.0, 20.0, 20.0]
    assert results.percentile("a", "b", "d", 95) == 7.0
    assert results.percentile("a", "b", "nothing", 95) is None


def test_the_page_shows_every_experiment_with_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for experiment in EXPERIMENTS:
        (tmp_path / f"peers_{experiment}_tiny.json").write_text(json.dumps(content(experiment)))
    text = write_page(tmp_path).read_text()
    for experiment, about in EXPERIMENTS.items():
        assert f"## {about.title} (tiny)" in text
        assert (tmp_path / f"peers_{experiment}_tiny.png").read_bytes().startswith(b"\x89PNG")
    assert "| edge int8 / llama.cpp Q8_0 | 0.25 | 0.25 |" in text
    assert text.count("- OpenVINO Q8_0 is absent: not installed") == len(EXPERIMENTS)
    assert "- edge int8 ended 2 answers before their last token" in text
    assert "- edge int8 had up to 25% of the prompt tokens" in text
    assert "First answer of edge int8, llama.cpp Q8_0: 'yes'" in text


def test_without_records_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="measure first"):
        write_page(tmp_path)
