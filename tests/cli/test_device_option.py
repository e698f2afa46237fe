"""``--device`` of the commands that run a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_autoglm import Bundle, export_model
from edge_autoglm.cli import main
from edge_autoglm.facade.device_choice import DEVICES
from tests.checkpoints import write_tiny_llama

COMMANDS = ("run", "chat", "bench", "evolve")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """For the CPU."""
    folder = tmp_path_factory.mktemp("device")
    return export_model(write_tiny_llama(folder / "checkpoint"), folder / "tiny.bundle", "fp32", proof=False)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples of the task ``sentiment``."""
    lines = [f"film {number}\t{('positive', 'negative')[number % 2]}" for number in range(40)]
    file = tmp_path_factory.mktemp("examples") / "labelled.tsv"
    file.write_text("text\texpect\n" + "\n".join(lines) + "\n")
    return file


def call(command: str, bundle: Bundle, labelled: Path, tmp_path: Path, device: str) -> Result:
    rest: dict[str, list[object]] = {
        "run": ["sentiment", "text=good"],
        "chat": ["--max-new-tokens", "4"],
        "bench": ["--prompt-tokens", "8", "--new-tokens", "2", "--repeat", "1", "--warmup", "0", "--threads", "1"],
        "evolve": ["sentiment", "--data", labelled, "--budget", "200", "--out", tmp_path / "search"],
    }
    arguments = [command, bundle.root, *rest[command], "--device", device]
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_device_and_what_it_takes(command: str) -> None:
    text = " ".join(CliRunner().invoke(main, [command, "--help"], terminal_width=200).output.split())
    assert "|".join(DEVICES) in text
    assert "--target tensorrt" in text
    assert "doctor BUNDLE" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_cannot_run_the_bundle_is_one_line_that_says_why(
    command: str, bundle: Bundle, labelled: Path, tmp_path: Path
) -> None:
    result = call(command, bundle, labelled, tmp_path, "tensorrt")
    assert result.exit_code == 1
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: the bundle")
    assert "Export the model with --target tensorrt" in message
    assert "Traceback" not in result.output


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_where_a_request_was_answered_is_said(bundle: Bundle, tmp_path: Path, device: str) -> None:
    arguments = ["run", bundle.root, "sentiment", "text=good", "--device", device, "--json", tmp_path / "reply.json"]
    result = CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)
    assert " ms on cpu, id" in " ".join(result.stdout.split())
    assert json.loads((tmp_path / "reply.json").read_text())["device"] == "cpu"


@pytest.mark.parametrize("command", ["run", "chat", "bench"])
def test_the_cpu_can_be_asked_for(command: str, bundle: Bundle, labelled: Path, tmp_path: Path) -> None:
    result = call(command, bundle, labelled, tmp_path, "cpu")
    assert result.exit_code == 0, result.output


def test_an_unknown_device_is_refused(bundle: Bundle, labelled: Path, tmp_path: Path) -> None:
    result = call("run", bundle, labelled, tmp_path, "npu")
    assert result.exit_code == 2
    assert "'npu' is not one of 'auto', 'cpu', 'cuda', 'tensorrt'" in result.stderr
