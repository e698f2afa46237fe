"""Whatever is wrong with a GGUF file, the answer is one error that names the file; never a stray exception."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_autoglm.errors import NotAModel, SourceError, TruncatedSource, UnsupportedModel
from edge_autoglm.export.sources import open_checkpoint
from edge_autoglm.export.sources.gguf_header import read_header


def _last_byte_of_data(path: Path) -> int:
    checkpoint = open_checkpoint(str(path))
    ends = [
        entry.offset + 4 * checkpoint.read(name).size
        for entry, name in zip(read_header(path).tensors.values(), checkpoint.names(), strict=True)
    ]
    return max(ends)


def _data_start(path: Path) -> int:
    return min(entry.offset for entry in read_header(path).tensors.values())


def test_a_text_file_is_not_a_model(tmp_path: Path) -> None:
    path = tmp_path / "readme.gguf"
    path.write_text("Download the model from the site.")
    with pytest.raises(NotAModel, match=r"readme\.gguf is not a GGUF file"):
        open_checkpoint(str(path))


@pytest.mark.parametrize("content", [b"", b"GG"])
def test_a_file_shorter_than_the_magic_is_not_a_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "empty.gguf"
    path.write_bytes(content)
    with pytest.raises(NotAModel, match="is not a GGUF file"):
        open_checkpoint(str(path))


def test_a_file_cut_anywhere_in_its_header_is_truncated(tiny_gguf: Path, tmp_path: Path) -> None:
    whole = tiny_gguf.read_bytes()
    cut = tmp_path / "cut.gguf"
    # Every length up to the first metadata, then a prime step through metadata and tensor table.
    for length in [*range(4, 200), *range(200, _data_start(tiny_gguf) - 32, 211)]:
        cut.write_bytes(whole[:length])
        with pytest.raises(TruncatedSource, match=rf"cut\.gguf .*expected at least \d+ bytes, got {length}"):
            open_checkpoint(str(cut))


def test_a_file_cut_in_its_data_says_both_sizes(tiny_gguf: Path, tmp_path: Path) -> None:
    whole, end = tiny_gguf.read_bytes(), _last_byte_of_data(tiny_gguf)
    cut = tmp_path / "cut.gguf"
    for length in (_data_start(tiny_gguf), end // 2, end - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(TruncatedSource, match=rf"cut\.gguf is truncated.* {end} bytes, the file has {length}"):
            open_checkpoint(str(cut))


def test_a_file_that_shrinks_after_opening_is_truncated(tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "shrinking.gguf"
    path.write_bytes(tiny_gguf.read_bytes())
    checkpoint = open_checkpoint(str(path))
    path.write_bytes(tiny_gguf.read_bytes()[: _data_start(tiny_gguf) + 5])
    with pytest.raises(TruncatedSource, match=r"shrinking\.gguf is truncated"):
        checkpoint.read("model.embed_tokens.weight")


def test_a_file_that_vanishes_after_opening_is_named(tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "gone.gguf"
    path.write_bytes(tiny_gguf.read_bytes())
    checkpoint = open_checkpoint(str(path))
    path.unlink()
    with pytest.raises(SourceError, match=r"gone\.gguf cannot be read any more"):
        checkpoint.read("model.embed_tokens.weight")


@pytest.mark.parametrize(
    ("version", "cause"), [(1, "GGUF version 1"), (9, "GGUF version 9"), (0x03000000, "big-endian")]
)
def test_an_unknown_version_is_named(version: int, cause: str, tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<I", version) + tiny_gguf.read_bytes()[8:])
    with pytest.raises(UnsupportedModel, match=cause):
        open_checkpoint(str(path))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_in_the_header_never_raise_anything_else(
    data: st.DataObject, tiny_gguf: Path, tmp_path: Path
) -> None:
    content = bytearray(tiny_gguf.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(4, _data_start(tiny_gguf) - 1))
        content[position] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "flipped.gguf"
    path.write_bytes(content)
    with contextlib.suppress(SourceError):
        open_checkpoint(str(path)).tokenizer()
