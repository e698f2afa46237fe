"""The example runs as its reader would run it, on a tiny random model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime, export_model
from tests.checkpoints import write_tiny_llama

APP = Path(__file__).parents[2] / "examples" / "device_app.py"

TASK = """
name: sentiment
description: Is a text positive or negative?
kind: classify
inputs: [text]
labels: [positive, negative]
variants:
  - {name: plain, prompt: "{{ text }}"}
  - {name: review, prompt: "Review: {{ text }}\\nSentiment:"}
probes:
  - {text: good}
  - {text: bad}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("kiosk")
    (folder / "sentiment.yaml").write_text(TASK)
    write_tiny_llama(folder / "tiny")
    return export_model(
        folder / "tiny", folder / "kiosk.bundle", precision="fp32", tasks=[folder / "sentiment.yaml"], proof=False
    )


def run_app(bundle: Bundle, state: Path, lines: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(APP), str(bundle.root), str(state)]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=False)


def test_it_is_at_most_fifty_lines_and_uses_public_names_only() -> None:
    lines = APP.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 50
    assert [line for line in lines if "edge_autoglm." in line] == []


def test_it_answers_learns_and_takes_an_update(bundle: Bundle, tmp_path: Path) -> None:
    update = tmp_path / "sentiment.yaml"
    update.write_text(TASK.replace("Review:", "Comment:"))
    bundle.derive(tmp_path / "update.bundle", [update])
    served = run_app(
        bundle,
        tmp_path / "state",
        f"good film\tpositive\n!update {tmp_path / 'update.bundle'}\nbad film\tnegative\nno correction\n",
    )
    assert served.returncode == 0, served.stderr
    answers = [line.split("\t") for line in served.stdout.splitlines()]
    assert [comment for _, _, comment in answers] == ["good film", "bad film", "no correction"]
    assert {label for label, _, _ in answers} <= {"positive", "negative"}
    assert "Swapped" in served.stderr
    with Runtime.open(bundle, state=tmp_path / "state") as runtime:
        assert runtime.learner.status().feedbacks == 2


def test_a_line_it_cannot_answer_does_not_stop_it(bundle: Bundle, tmp_path: Path) -> None:
    served = run_app(bundle, tmp_path / "state", f"{'bad ' * 600}\ngood film\n")
    assert served.returncode == 0
    assert [line.split("\t")[2] for line in served.stdout.splitlines()] == ["good film"]
    assert served.stderr.startswith("kiosk: ")
