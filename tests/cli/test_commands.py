"""The commands on a tiny real bundle, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_autoglm.cli import _COMMANDS, main
from tests.checkpoints import write_tiny_llama


def _run(*arguments: str | Path, input: str | None = None) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=input, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported by the command itself."""
    folder = tmp_path_factory.mktemp("commands")
    checkpoint = write_tiny_llama(folder / "checkpoint")
    figures = folder / "export.json"
    _run("export", checkpoint, folder / "tiny.bundle", "--precision", "int8", "--json", figures)
    assert json.loads(figures.read_text())["precision"] == "int8"
    return folder / "tiny.bundle"


@pytest.mark.parametrize("command", _COMMANDS)
def test_help_teaches(command: str) -> None:
    assert len(_run(command, "--help")) > 100


def test_verify_and_inspect(bundle: Path, tmp_path: Path) -> None:
    assert "match their checksums" in _run("verify", bundle)
    _run("inspect", bundle, "--json", tmp_path / "facts.json")
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["model"]["family"] == "llama"
    assert facts["engines"][0]["precision"] == "int8"


def test_run_answers_and_learn_status_counts_it(bundle: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    _run("run", bundle, "sentiment", "text=a great film", "--state", state, "--json", tmp_path / "reply.json")
    reply = json.loads((tmp_path / "reply.json").read_text())
    assert reply["label"] in ("positive", "negative")
    _run("learn", "status", state, "--json", tmp_path / "status.json")
    arms = json.loads((tmp_path / "status.json").read_text())["arms"]
    assert {arm["arm"]: arm["pulls"] for arm in arms}[reply["variant"]] == 1
    assert sum(arm["pulls"] for arm in arms) == 1


def test_chat_answers_until_the_input_ends(bundle: Path) -> None:
    output = _run("chat", bundle, "--max-new-tokens", "4", input="hello\n")
    assert output.count("you> ") == 2
