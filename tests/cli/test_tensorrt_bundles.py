"""Bundles for TensorRT on the command line: export, inspect, verify, rebuild."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge_autoglm.cli import main
from tests.checkpoints import write_tiny_llama
from tests.onnxruntime_versions import need_opset_24


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "checkpoint")


def _run(*arguments: object, code: int = 0) -> str:
    """What a command says, on one line."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def _figures(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_a_graph_is_exported_proven_and_proven_again(checkpoint: Path, tmp_path: Path) -> None:
    need_opset_24()
    out, file = tmp_path / "out", tmp_path / "figures.json"
    arguments = ("--target", "tensorrt", "--no-plan", "--capacity", "100", "--json", file)
    said = _run("export", checkpoint, out, *arguments)
    assert "within the budget of int8" in said
    assert "int8, KV fp16" in said
    figures = _figures(file)
    assert figures["notes"] == ["the figures of the proof are of this graph, run by ONNX Runtime on a CPU"]
    assert (figures["kv"], figures["plans"]) == ("fp16", [])
    assert figures["verification"]["window_tokens"] == 255
    assert "standard" in _run("inspect", out)
    assert "measured now" in _run("verify", out, "--against", checkpoint, "--json", file)
    assert _figures(file)["against"]["kl"] == figures["verification"]["kl"]


def test_plans_of_a_bundle_and_those_of_the_device_are_shown(checkpoint: Path, tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    out, file = tmp_path / "out", tmp_path / "figures.json"
    asked = ("--target", "tensorrt", "--no-proof", "--compute-capability", "8.6", "--compute-capability", "8.9")
    assert "not run on the machine" in _run("export", checkpoint, out, *asked, "--slots", "2", "--json", file)
    [own] = _figures(file)["plans"]
    assert (own["compute_capabilities"], own["rows"]) == (["8.6", "8.9"], 2)

    _run("rebuild", out, "--compute-capability", "12.0", "--json", file)
    rebuilt = _figures(file)
    assert (rebuilt["entry"]["compute_capabilities"], rebuilt["entry"]["rows"]) == (["12.0"], 2)
    plan = Path(rebuilt["file"])
    assert plan.stat().st_size == rebuilt["size"]
    assert plan.is_relative_to(cache)

    said = _run("inspect", out, "--json", file)
    facts = _figures(file)
    assert [each["path"] for each in facts["plans"]] == [str(plan), own["path"]]
    assert facts["damaged_plans"] == []
    for part in ("tensorrt_rtx", "12.0", "8.6, 8.9", own["platform"], "2 rows, pages of 128"):
        assert part in said

    plan.write_bytes(b"")
    said = _run("inspect", out, "--json", file)
    assert [each["path"] for each in _figures(file)["plans"]] == [own["path"]]
    assert f"{plan} is damaged: expected {rebuilt['size']} bytes, got 0" in said


def test_what_a_target_does_not_have_is_one_line(checkpoint: Path, tmp_path: Path) -> None:
    said = _run("export", checkpoint, tmp_path / "out", "--capacity", "100", code=1)
    assert said == "Error: capacity is for the target tensorrt. Leave it out, or choose that target."
    said = _run("export", checkpoint, tmp_path / "out", "--target", "tensorrt", "--precision", "auto", code=1)
    assert "precision 'auto' is not there for the target tensorrt" in said
    assert not (tmp_path / "out").exists()


def test_a_bundle_for_the_cpu_cannot_be_rebuilt(checkpoint: Path, tmp_path: Path, cache: Path) -> None:
    _run("export", checkpoint, tmp_path / "out", "--no-proof")
    assert "Export the model with --target tensorrt." in _run("rebuild", tmp_path / "out", code=1)
    assert not cache.exists()
