"""The whole demo on the real model, shortened; what it makes is kept, so that a second run needs no network."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from edge_autoglm.cli import main
from edge_autoglm.demo import run_demo
from edge_autoglm.demo.bundles import exported_bundle, extended_bundle, long_prefix
from edge_autoglm.demo.model import SMOLLM2, fetch_model
from edge_autoglm.values import silent


@pytest.fixture
def offline_cache(smollm2_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the model file and nothing else, on a machine where pip finds nothing."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / SMOLLM2.file_name).symlink_to(smollm2_gguf)
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    return cache


def files_of(cache: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_runs_and_keeps_what_it_made(offline_cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra demo")
    figures = tmp_path / "figures.json"
    run_demo(tmp_path / "out", requests=16, json_file=figures, seed=0, console=Console(file=io.StringIO()))

    report = json.loads(figures.read_text(encoding="utf-8"))
    assert (report["requests"], report["failed"], report["window"]) == (16, 0, 8)
    live = [swap["kind"] for swap in report["swaps"] if swap["generation"] is not None]
    assert live.count("policy") >= 3
    assert live.count("prompts") == 1
    assert report["first_token"]["cached_tokens"] >= 150
    assert len(report["variants"]) >= 6
    assert (tmp_path / "out" / "demo.png").stat().st_size > 10_000

    made = files_of(offline_cache)
    base = exported_bundle(fetch_model(), silent)
    extended = extended_bundle(base, silent)
    assert files_of(offline_cache) == made

    damaged = extended.root / "tokenizer.json"
    damaged.unlink()  # a hard link: the base bundle keeps its own
    damaged.write_text("{}")
    assert extended_bundle(base, silent).digest == extended.digest
    assert base.fingerprint == extended.fingerprint


def test_the_prefix_that_is_timed_is_long() -> None:
    assert len(long_prefix().split()) > 90
    assert "{" not in long_prefix()


def test_a_folder_that_cannot_be_written_is_one_line(offline_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "file" / "out")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
