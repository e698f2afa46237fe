"""Whatever is wrong with a GGUF file, the answer is one error that names the file; never a stray exception."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

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


def table_row(name: str, shape: tuple[int, ...] = (64, 320), kind: int = 0, offset: int = 0) -> bytes:
    return (
        struct.pack("<Q", len(name))
        + name.encode()
        + struct.pack("<I", len(shape))
        + struct.pack(f"<{len(shape)}Q", *shape)
        + struct.pack("<IQ", kind, offset)
    )


def entry(key: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value


def file_of(path: Path, entries: list[bytes], rows: list[bytes], data: int = 64 * 320 * 4) -> Path:
    """A GGUF file by hand, with what the package ``gguf`` would not write."""
    text = struct.pack("<Q", len("llama")) + b"llama"
    entries = [entry("general.architecture", 8, text), *entries]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(rows), len(entries)) + b"".join(entries + rows)
    path.write_bytes(head + bytes(-len(head) % 32) + bytes(data))
    return path


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ([table_row("token_embd.weight", shape=(1 << 60, 1 << 60))], "'token_embd.weight' needs \\d+ bytes"),
        ([table_row("token_embd.weight", shape=(64, 0))], r"'token_embd.weight' has the shape \(0, 64\)"),
        ([table_row("token_embd.weight", shape=(1,) * 5)], "'token_embd.weight' has 5 dimensions"),
        ([table_row("token_embd.weight", kind=999)], "'token_embd.weight' is of ggml type 999"),
        ([table_row("token_embd.weight", kind=26)], "'token_embd.weight' is of ggml type I32"),
        (
            [table_row("token_embd.weight", shape=(60, 320), kind=2)],
            "'token_embd.weight' have 60 values, no multiple of 32",
        ),
        ([table_row("token_embd.weight", offset=17)], "'token_embd.weight' starts at 17, no multiple of 32"),
        ([table_row("token_embd.weight", offset=1 << 62)], "'token_embd.weight' needs \\d+ bytes"),
        ([table_row("token_embd.weight"), table_row("token_embd.weight")], "names a tensor twice"),
        (
            [table_row("token_embd.weight"), table_row("output_norm.weight", shape=(64,), offset=1024)],
            "'output_norm.weight' overlaps tensor 'token_embd.weight'",
        ),
    ],
)
def test_a_table_that_lies_is_refused(rows: list[bytes], cause: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=cause):
        open_checkpoint(str(file_of(tmp_path / "odd.gguf", [], rows)))


@pytest.mark.parametrize(
    ("entries", "cause"),
    [
        ([entry("k", 9, struct.pack("<IQ", 8, 1 << 60))], "ends inside its header, in k"),
        ([entry("k", 9, struct.pack("<IQ", 4, 1 << 60))], "ends inside its header, in k"),
        ([entry("k", 9, struct.pack("<IQ", 9, 1))], "'k' has the unknown value type 9"),
        ([entry("k", 8, struct.pack("<Q", (1 << 64) - 1))], "ends inside its header, in k"),
        ([entry("k", 99, b"")], "'k' has the unknown value type 99"),
        ([entry("k", 4, bytes(4)), entry("k", 4, bytes(4))], "'k' occurs twice"),
        ([entry("general.alignment", 4, struct.pack("<I", 0))], "general.alignment is 0"),
        ([entry("general.alignment", 4, struct.pack("<I", 24))], "general.alignment is 24"),
        ([entry("split.count", 9, struct.pack("<IQ", 0, 2) + b"ab")], "parts"),
    ],
)
def test_metadata_that_lie_are_refused(entries: list[bytes], cause: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=cause):
        open_checkpoint(str(file_of(tmp_path / "odd.gguf", entries, [table_row("token_embd.weight")])))


@pytest.mark.parametrize("place", [8, 16])
def test_a_count_that_no_file_can_hold_is_refused(place: int, tiny_gguf: Path, tmp_path: Path) -> None:
    content = bytearray(tiny_gguf.read_bytes())
    content[place : place + 8] = struct.pack("<Q", (1 << 64) - 1)
    (tmp_path / "odd.gguf").write_bytes(content)
    with pytest.raises(SourceError, match=r"odd\.gguf"):
        open_checkpoint(str(tmp_path / "odd.gguf"))
