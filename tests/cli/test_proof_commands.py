"""What the commands say of the proof, and when they fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_autoglm.cli import main
from tests.checkpoints import write_tiny_llama


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("proof-cli") / "checkpoint")


@pytest.fixture(scope="module")
def proven(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A bundle that the command exported, and what it said."""
    out = tmp_path_factory.mktemp("proven") / "tiny.bundle"
    return out, _run("export", checkpoint, out, "--json", out.with_suffix(".json"))


def test_export_shows_the_proof(proven: tuple[Path, Result]) -> None:
    out, result = proven
    assert result.exit_code == 0, result.output
    for part in (
        "perplexity",
        "KL, nats a token",
        "most probable",
        "of 20",
        "(limit 0.01)",
        "within the budget of int8",
    ):
        assert part in result.output
    figures = json.loads(out.with_suffix(".json").read_text())
    assert figures["verification"]["within_budget"] is True
    assert figures["kv"] == "fp32"


def test_export_refuses_beyond_the_budget_in_one_line(checkpoint: Path, tmp_path: Path) -> None:
    result = _run("export", checkpoint, tmp_path / "out", "--max-kl", "0.00001")
    assert result.exit_code == 1
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert "KL" in message
    assert "--force" in message
    assert not list(tmp_path.iterdir())


def test_export_by_force_says_what_is_wrong(checkpoint: Path, tmp_path: Path) -> None:
    result = _run("export", checkpoint, tmp_path / "out", "--max-kl", "0.00001", "--force")
    assert result.exit_code == 0, result.output
    assert "BEYOND the budget of int8" in result.output
    assert "Shipped by force" in result.output


def test_a_bundle_without_proof_is_called_that(checkpoint: Path, tmp_path: Path) -> None:
    assert "Not proven" in _run("export", checkpoint, tmp_path / "out", "--no-proof").output
    assert "Not proven" in _run("inspect", tmp_path / "out").output
    assert "Not proven" in _run("verify", tmp_path / "out").output


def test_inspect_shows_figures_and_groups(proven: tuple[Path, Result], tmp_path: Path) -> None:
    out, _ = proven
    output = _run("inspect", out, "--json", tmp_path / "facts.json").output
    for part in ("llama", "KV cache", "engine/model.onnx.data", "perplexity", "sha256"):
        assert part in output
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["engines"][0]["groups"]
    for group, precision in facts["engines"][0]["groups"].items():
        assert group in output
        assert precision in output
    assert facts["verification"]["kl"] < 0.01


def test_verify_shows_the_recorded_figures(proven: tuple[Path, Result]) -> None:
    output = _run("verify", proven[0]).output
    assert "match their checksums" in output
    assert "measured at its export" in output


def test_verify_against_the_source_measures_again(
    proven: tuple[Path, Result], checkpoint: Path, tmp_path: Path
) -> None:
    result = _run("verify", proven[0], "--against", checkpoint, "--json", tmp_path / "verify.json")
    assert result.exit_code == 0, result.output
    assert "measured now" in result.output
    figures = json.loads((tmp_path / "verify.json").read_text())
    assert figures["against"]["kl"] == pytest.approx(figures["verification"]["kl"])


def test_verify_fails_where_the_source_is_another_model(proven: tuple[Path, Result], tmp_path: Path) -> None:
    other = write_tiny_llama(tmp_path / "other", seed=5)
    result = _run("verify", proven[0], "--against", other, "--json", tmp_path / "verify.json")
    assert result.exit_code == 1
    assert "differs from the original" in result.stderr
    assert json.loads((tmp_path / "verify.json").read_text())["against"]["within_budget"] is False


def test_limits_without_a_source_are_a_mistake(proven: tuple[Path, Result]) -> None:
    result = _run("verify", proven[0], "--max-kl", "1")
    assert result.exit_code == 2
    assert "--against" in result.output
