"""``edge-autoglm evolve`` on a tiny bundle, as a user types it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_autoglm import Bundle, export_model
from edge_autoglm.cli import main
from tests.checkpoints import write_tiny_llama
from tests.evolve.conftest import MOOD
from tests.evolve.world import mood_examples


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("evolve_command")
    (folder / "mood.yaml").write_text(MOOD)
    source, out = write_tiny_llama(folder / "checkpoint"), folder / "tiny.bundle"
    return export_model(source, out, "fp32", tasks=[folder / "mood.yaml"], proof=False)


@pytest.fixture
def asked(bundle: Bundle, tmp_path: Path) -> list[str]:
    rows = [f"{each.inputs['text']}\t{each.expect}" for each in mood_examples(60)]
    (tmp_path / "data.tsv").write_text("\n".join(["text\texpect", *rows]) + "\n")
    data, out = str(tmp_path / "data.tsv"), str(tmp_path / "out")
    return ["evolve", str(bundle.root), "mood", "--data", data, "--budget", "400", "--out", out, "--threads", "1"]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_it_leaves_a_prompt_set_a_report_and_a_bundle(asked: list[str], tmp_path: Path) -> None:
    figures, better = tmp_path / "figures.json", tmp_path / "better.bundle"
    result = _run(*asked, "--json", str(figures), "--bundle", str(better))
    assert result.exit_code == 0, result.output
    assert "scored prompts" in result.output
    report = json.loads(figures.read_text())
    assert report["calls"]["total"] <= report["calls"]["budget"] == 400
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "lock",
        "mood.yaml",
        "report.json",
        "report.md",
        "scores.jsonl",
    ]
    assert Bundle.open(better).task_files()[0].read_bytes() == (tmp_path / "out" / "mood.yaml").read_bytes()


def test_a_search_is_not_overwritten_and_goes_on_with_resume(asked: list[str], tmp_path: Path) -> None:
    assert "no search to go on with" in _run(*asked, "--resume").output
    assert _run(*asked).exit_code == 0
    report = (tmp_path / "out" / "report.json").read_bytes()
    again = _run(*asked)
    assert again.exit_code == 1
    assert "--resume" in again.output
    assert _run(*asked, "--resume").exit_code == 0
    assert (tmp_path / "out" / "report.json").read_bytes() == report


def test_bad_input_is_one_line(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text("text\texpect\nx\tnice\n")
    result = _run(*asked)
    assert result.exit_code == 1
    assert result.output.lstrip().startswith("Error: ")
    assert "data.tsv, line 2: its expect is 'nice'" in result.output
    assert _run(*asked, "--split", "1,2").exit_code == 2
    assert "exists already" in _run(*asked, "--bundle", str(tmp_path)).output


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_says_how_to_go_on(asked: list[str], tmp_path: Path) -> None:
    # A process that a shell started in the background ignores SIGINT, and Python leaves it at that.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heeding}; from edge_autoglm.cli import main; main()"
    command = [sys.executable, "-X", "faulthandler", "-c", program, *asked]
    command[command.index("400")] = "100000"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    scores = tmp_path / "out" / "scores.jsonl"
    end = time.monotonic() + 60
    while not (scores.exists() and scores.stat().st_size > 2000) and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        pytest.fail(f"it does not end: {process.communicate()[1]}")  # where each thread hangs
    assert process.returncode == 130, said
    assert "Go on with: edge-autoglm evolve" in said
    assert "--resume" in said
    assert "Traceback" not in said
    assert _run(*asked, "--resume").exit_code == 0
