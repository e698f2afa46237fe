import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.page import write_page

MADE_UP = "a made-up record for a test: no GPU ever gave these figures"
GPU = {
    "state": "ready",
    "gpus": [{"name": "Made-up GPU", "memory": 1, "compute_capability": "8.9"}],
    "driver": "1.2.3",
    "cuda": "13.0",
    "jetson": None,
}
CASES = {"100": {"prompt_tokens": 100, "rows": 1}, "4 rows of 100": {"prompt_tokens": 100, "rows": 4}}
NAMES = ("edge cuda fp16", "edge cuda int8", "torch eager")


def content() -> dict[str, Any]:
    """1 GB/s and 2 us a launch. The second contestant's launches are not known, the third's bytes."""
    samples: dict[str, list[float]] = {"GPU//bandwidth": [9e8, 1e9, 2e9], "GPU//launch": [2e-6, 1e-6, 3e-6]}
    for place, name in enumerate(NAMES):
        samples[f"{name}/100/ttft"] = [0.004 * (place + 1)] * 3
        for case in CASES:
            samples[f"{name}/{case}/decode"] = [1000.0, 500.0, 400.0]
    traffic = {"weight_bytes": 900_000, "kv_bytes_per_token": 1000}
    launches = {case: {"prefill": 500, "step": 300.0} for case in CASES}
    same = {case: ["1 2 3 4"] * about["rows"] for case, about in CASES.items()}
    figures = {
        "made_up": MADE_UP,
        "absent": {"onnxruntime-genai": "not\ninstalled"},
        "traffic": {
            NAMES[0]: traffic,
            NAMES[1]: traffic,
            NAMES[2]: {"weight_bytes": None, "kv_bytes_per_token": 1000},
        },
        "launches": {NAMES[0]: launches, NAMES[2]: launches},
        "uncounted": {NAMES[1]: "no CUPTI"},
        "tokens": {NAMES[0]: same, NAMES[1]: {**same, "100": ["1 2 9 4"]}, NAMES[2]: same},
    }
    config = {
        "model": "tiny",
        "gpu": GPU,
        "rounds": 3,
        "new_tokens": 20,
        "cases": CASES,
        "contestants": {NAMES[0]: {"edge-autoglm": "0"}},
        "bits": {NAMES[0]: 16, NAMES[1]: 8, NAMES[2]: 16, "onnxruntime-genai": 16},
    }
    host = {"taken_at": "2026-11-23T00:00:00Z"}
    return {"config": config, "host": host, "samples": samples, "figures": figures}


@pytest.fixture
def page(tmp_path: Path) -> str:
    pytest.importorskip("matplotlib")
    (tmp_path / "gpu_tiny.json").write_text(json.dumps(content()))
    text = write_page(tmp_path).read_text()
    assert (tmp_path / "gpu_tiny.png").read_bytes().startswith(b"\x89PNG")
    return text


def test_floors_stand_beside_every_figure(page: str) -> None:
    # 900 kB of weights and 100 kB of KV at 1 GB/s; 500 launches of 2 us.
    assert "| edge cuda fp16 | 4.00 | 1.000 | 500 | 1.000 | 25% |" in page
    # 900 kB of weights and 110 tokens of 1 kB; 300 launches of 2 us; 500 tokens a second.
    assert "| edge cuda fp16 | 500 | 2.000 | 1.010 | 300 | 0.600 | 50% |" in page
    # Four rows make four tokens in a step, and read the KV of each.
    assert "| edge cuda fp16 | 500 | 8.000 | 1.340 | 300 | 0.600 | 17% |" in page


def test_what_was_not_measured_is_left_empty(page: str) -> None:
    assert "| edge cuda int8 | 500 | 2.000 | 1.010 | - | - | 50% |" in page
    assert "| torch eager | 500 | 2.000 | - | 300 | 0.600 | 30% |" in page
    assert "onnxruntime-genai |" not in page


def test_the_section_says_where_it_was_measured_and_who_is_missing(page: str) -> None:
    assert "## tiny on Made-up GPU" in page
    assert "Compute capability 8.9, driver 1.2.3, CUDA 13.0; 3 rounds, 20 new tokens a row, 2026-11-23." in page
    assert "reads and writes 1 GB/s; an empty kernel as a node of a graph takes 2.00 us." in page
    assert "- onnxruntime-genai is absent: not installed" in page
    assert "- launches of edge cuda int8 are not known: no CUPTI" in page
    assert "Not measured" not in page


def test_tokens_are_compared_with_the_checkpoint_as_it_is(page: str) -> None:
    assert "- tokens of edge cuda fp16, beside those of torch eager: 100 the same; 4 rows of 100 the same" in page
    assert "- tokens of edge cuda int8, beside those of torch eager: 100 differ from token 3 on" in page


def test_without_a_record_the_page_says_that_nothing_was_measured(tmp_path: Path) -> None:
    text = write_page(tmp_path).read_text()
    assert re.search(r"Not measured: on \d{4}-\d\d-\d\d there is no record", text)
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.md"]


def test_the_page_of_the_repository_is_what_its_records_give(tmp_path: Path) -> None:
    records = Path(__file__).parents[2] / "benchmarks" / "records"
    if list(records.glob("gpu_*.json")):
        pytest.skip("there are records: the page is made from them")
    dateless = re.compile(r"\d{4}-\d\d-\d\d")
    written = dateless.sub("", (records / "gpu.md").read_text())
    assert written == dateless.sub("", write_page(tmp_path).read_text())
