"""Bad input on the command line: one line that names cause and cure, exit code 1, nothing half-written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_autoglm import Bundle, export_model
from edge_autoglm.cli import main
from tests.checkpoints import write_tiny_llama

TASK = """
name: mood
description: Is a text good or bad?
kind: classify
inputs: [text]
labels: [good, bad]
variants:
  - name: plain
    prompt: "{{ text }}"
  - name: framed
    prompt: "Film: {{ VARIABLE }}"
probes:
  - text: a great movie
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama; tests that damage it copy it first."""
    return write_tiny_llama(tmp_path_factory.mktemp("cli") / "checkpoint")


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """It, exported."""
    return export_model(checkpoint, tmp_path_factory.mktemp("cli-bundle") / "tiny.bundle", "fp32", proof=False)


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def _refused(result: Result, *named: str) -> None:
    assert result.exit_code == 1, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    for text in named:
        assert text in message
    assert message.rstrip().endswith((".", ")"))
    assert "Traceback" not in result.output


def _copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def _edit(checkpoint: Path, tmp_path: Path, **changes: object) -> Path:
    copy = _copy(checkpoint, tmp_path)
    config = copy / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    return copy


@pytest.mark.parametrize("name", ["nowhere.gguf", "nowhere/at/all"])
def test_a_missing_source(tmp_path: Path, name: str) -> None:
    _refused(_run("export", tmp_path / name, tmp_path / "out"), name)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "letter.gguf").write_text("Dear all,")
    _refused(_run("export", tmp_path / "letter.gguf", tmp_path / "out"), "letter.gguf", "GGUF")
    assert not (tmp_path / "out").exists()


def test_truncated_safetensors(checkpoint: Path, tmp_path: Path) -> None:
    copy = _copy(checkpoint, tmp_path)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    _refused(_run("export", copy, tmp_path / "out"), "model.safetensors", "bytes")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_a_truncated_gguf(smollm2_gguf: Path, tmp_path: Path, share: float) -> None:
    cut = tmp_path / "cut.gguf"
    with smollm2_gguf.open("rb") as file:
        cut.write_bytes(file.read(int(smollm2_gguf.stat().st_size * share)))
    _refused(_run("export", cut, tmp_path / "out"), "cut.gguf", "bytes")
    assert [entry.name for entry in tmp_path.iterdir()] == ["cut.gguf"]


def test_an_unsupported_family(checkpoint: Path, tmp_path: Path) -> None:
    copy = _edit(checkpoint, tmp_path, architectures=["RwkvForCausalLM"])
    _refused(_run("export", copy, tmp_path / "out"), "RwkvForCausalLM", "LlamaForCausalLM")


@pytest.mark.parametrize("command", ["verify", "run"])
def test_a_bundle_with_one_flipped_byte(bundle: Bundle, tmp_path: Path, command: str) -> None:
    copy = Path(shutil.copytree(bundle.root, tmp_path / "copy"))
    weights = copy / "engine" / "model.onnx.data"
    data = bytearray(weights.read_bytes())
    data[12345] ^= 16
    weights.write_bytes(data)
    arguments = [copy] if command == "verify" else [copy, "sentiment", "text=x"]
    _refused(_run(command, *arguments), "model.onnx.data", "sha256")


def test_a_template_with_an_undefined_variable(checkpoint: Path, tmp_path: Path) -> None:
    task = tmp_path / "mood.yaml"
    task.write_text(TASK.replace("VARIABLE", "film"))
    result = _run("export", checkpoint, tmp_path / "out", "--task", task)
    _refused(result, "mood.yaml", "variants[1]", "film")
    assert not (tmp_path / "out").exists()


def test_a_prompt_longer_than_the_capacity(bundle: Bundle) -> None:
    _refused(_run("run", bundle.root, "sentiment", "text=" + "word " * 600), "512", "Shorten")


def test_a_state_folder_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = _run("run", bundle.root, "sentiment", "text=x", "--state", tmp_path / "file" / "state")
    _refused(result, str(tmp_path / "file"))


def test_figures_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    _refused(_run("inspect", bundle.root, "--json", tmp_path / "no" / "folder.json"), "folder.json")


def test_an_input_that_is_no_pair(bundle: Bundle) -> None:
    result = _run("run", bundle.root, "sentiment", "lovely")
    assert result.exit_code == 2
    assert "name=value" in result.output
