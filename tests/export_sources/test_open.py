"""Which reader a source gets, and what a reader of nothing says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_autoglm.errors import MissingDependency, NotAModel, SourceError, SourceNotFound
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.sources.hub import byte_counter
from tests.checkpoints import write_tiny_llama


@pytest.mark.parametrize(
    "source", ["missing.gguf", "org/missing.gguf", "./no/such/folder", "a\0b", "~no-such-user/model"]
)
def test_what_does_not_exist_is_not_found(source: str) -> None:
    with pytest.raises(SourceNotFound, match="there is no file or folder"):
        open_checkpoint(source)


def test_a_path_that_the_system_refuses_is_named() -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        open_checkpoint("x" * 5000)


def test_a_weights_file_points_to_its_folder(tmp_path: Path) -> None:
    folder = write_tiny_llama(tmp_path / "tiny")
    with pytest.raises(NotAModel, match=r"holds weights only\. Give the folder"):
        open_checkpoint(str(folder / "model.safetensors"))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"\x80\x04")
    with pytest.raises(NotAModel, match=r"model\.bin is not a checkpoint"):
        open_checkpoint(str(path))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match=r"no config\.json.*Give a folder with config\.json and safetensors"):
        open_checkpoint(str(tmp_path))


def in_child(source: str, hub_cache: Path) -> subprocess.CompletedProcess[str]:
    """Open a source in a process whose hub is offline and whose cache is ``hub_cache``."""
    code = (
        "import sys\n"
        "from edge_autoglm.export.sources import open_checkpoint\n"
        "checkpoint = open_checkpoint(sys.argv[1])\n"
        "print(checkpoint.location, checkpoint.shape('model.norm.weight'), checkpoint.tokenizer().eos_token_ids)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(hub_cache)}
    return subprocess.run(
        [sys.executable, "-c", code, source], capture_output=True, text=True, check=False, env=environment
    )


def test_a_hub_model_in_the_cache_opens_without_a_network(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--maker--tiny-llama-1.5"
    write_tiny_llama(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    child = in_child("maker/tiny-llama-1.5", tmp_path)
    assert child.stdout == "maker/tiny-llama-1.5 (64,) (2,)\n", child.stderr


def test_a_hub_model_that_is_not_in_the_cache_is_not_found_offline(tmp_path: Path) -> None:
    child = in_child("maker/tiny-llama", tmp_path)
    assert child.returncode != 0
    last_line = child.stderr.strip().splitlines()[-1]
    assert "SourceNotFound" in last_line
    assert "maker/tiny-llama is no file or folder here, the hub cannot be reached" in last_line
    assert last_line.endswith("go online for the first export.")


def test_an_id_that_the_hub_library_refuses_is_an_error_of_the_source(tmp_path: Path) -> None:
    last_line = in_child("maker/double--dash", tmp_path).stderr.strip().splitlines()[-1]
    assert "SourceError: downloading maker/double--dash failed (HFValidationError" in last_line


def test_a_missing_hub_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependency, match=r"maker/tiny is no file.*edge-autoglm\[export\]"):
        open_checkpoint("maker/tiny")


def test_a_download_reports_its_bytes_and_draws_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    reports: list[tuple[str, int, int]] = []
    counter = byte_counter(lambda *report: reports.append(report))
    with counter(total=1000, unit="B", name="any", disable=None) as bar, counter(total=7, unit="it"):
        bar.update(400)
        bar.update(600)
    assert reports[-1] == ("download", 1000, 1000)
    assert all(total == 1000 for _, _, total in reports)
    assert capsys.readouterr() == ("", "")


def test_importing_the_readers_loads_none_of_the_optional_packages() -> None:
    code = (
        "import sys, edge_autoglm.export.sources\n"
        "print([name for name in ('gguf', 'safetensors', 'huggingface_hub') if name in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "[]\n"
