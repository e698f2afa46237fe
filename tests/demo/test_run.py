"""The whole demo on the real model, shortened; the second run finds everything in the cache and has no network."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from edge_autoglm.cli import main
from edge_autoglm.demo import run_demo
from edge_autoglm.demo.model import SMOLLM2


@pytest.fixture
def offline_cache(smollm2_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / SMOLLM2.file_name).symlink_to(smollm2_gguf)
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    return cache


@pytest.mark.slow
def test_the_demo_runs_and_runs_again_from_its_cache(offline_cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra demo")
    figures = tmp_path / "figures.json"
    run_demo(tmp_path / "out", requests=48, json_file=figures, seed=0, console=Console(file=io.StringIO()))
    made = {path: path.stat().st_mtime_ns for path in offline_cache.rglob("*") if path.is_file()}

    report = json.loads(figures.read_text(encoding="utf-8"))
    assert (report["requests"], report["failed"], report["window"]) == (48, 0, 24)
    assert [swap["kind"] for swap in report["swaps"] if swap["generation"]].count("policy") >= 3
    assert "prompts" in [swap["kind"] for swap in report["swaps"] if swap["generation"]]
    assert report["first_token"]["cached_tokens"] >= 150
    assert len(report["variants"]) >= 6
    assert (tmp_path / "out" / "demo.png").stat().st_size > 10_000

    run_demo(tmp_path / "out", requests=48, json_file=None, seed=1, console=Console(file=io.StringIO()))
    assert {path: path.stat().st_mtime_ns for path in offline_cache.rglob("*") if path.is_file()} == made


def test_a_folder_that_cannot_be_written_is_one_line(offline_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "file" / "out")])
    assert result.exit_code == 1
    assert result.output.strip().startswith("Error: ")
    assert result.output.strip().count("\n") == 0
