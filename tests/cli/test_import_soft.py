from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from edge_autoglm import export_model
from edge_autoglm.cli import main
from tests.checkpoints import write_tiny_llama
from tests.soft_prompts import rows_of, write_peft


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_a_soft_prompt_is_imported_and_answers(tmp_path: Path) -> None:
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    export_model(str(checkpoint), tmp_path / "old", "fp32", proof=False)
    peft = write_peft(tmp_path / "peft", rows_of(checkpoint, [5, 6, 7]))
    figures = tmp_path / "figures.json"
    arguments = (tmp_path / "old", peft, "sentiment", tmp_path / "new", "--name", "tuned", "--json", figures)
    assert "3 virtual tokens (0.0 MB of KV) in front of plain." in run("prompts", "import-soft", *arguments)
    written = json.loads(figures.read_text())
    assert (written["variant"], written["base"], written["tokens"]) == ("tuned", "plain", 3)
    answer = run("run", tmp_path / "new", "sentiment", "text=What a day", "--variant", "tuned")
    assert "(3 cached)" in answer
    refused = run("prompts", "import-soft", *arguments, code=1)
    assert "exists and is not empty" in refused


def test_a_folder_that_is_none_of_pefts_is_one_line(tmp_path: Path) -> None:
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    export_model(str(checkpoint), tmp_path / "old", "fp32", proof=False)
    out = run(
        "prompts", "import-soft", tmp_path / "old", tmp_path, "sentiment", tmp_path / "new", "--name", "t", code=1
    )
    assert "is no PEFT folder (no adapter_config.json). Give a folder that PEFT has saved." in out
    assert not (tmp_path / "new").exists()
