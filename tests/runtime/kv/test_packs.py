from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_autoglm.errors import EngineError, StateNotWritable
from edge_autoglm.runtime.engine import Chunk, KVSegment
from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.kv.pack_format import PackKey
from edge_autoglm.runtime.kv.packs import load_pack, save_pack
from edge_autoglm.runtime.kv.store import KVStore
from tests.runtime.kv.kv_for_tests import ENGINE, TOKEN_BYTES, found, store_of

KEY = PackKey(ENGINE, "tokenizer", "fp32", "onnxruntime 1.32, a processor")
PROMPTS = ([1, 2, 3, 4, 5], [1, 2, 3, 8, 9], [1, 2, 3], [7, 7], [1, 2, 3, 8, 6, 6])
HELD = 5 + 2 + 2 + 2
PREAMBLE = 48
"""Bytes of magic, header length and the header's SHA-256."""


def pinned_store(*texts: list[int]) -> KVStore:
    store = store_of(*texts)
    for tokens in texts:
        store.pin(tokens)
    return store


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "resident.kvpack"
    save_pack(path, KEY, pinned_store(*PROMPTS))
    return path


def header_of(pack: Path) -> Any:
    data = pack.read_bytes()
    return json.loads(data[PREAMBLE : PREAMBLE + int.from_bytes(data[8:16], "little")])


def with_header(pack: Path, header: bytes) -> None:
    """Another header, its length and checksum right."""
    data = pack.read_bytes()
    arrays = data[PREAMBLE + int.from_bytes(data[8:16], "little") :]
    digest = hashlib.sha256(header).digest()
    pack.write_bytes(data[:8] + len(header).to_bytes(8, "little") + digest + header + arrays)


def assert_refused(pack: Path, cause: str, key: PackKey = KEY, store: KVStore | None = None) -> None:
    store = store or store_of([5, 5])
    before = store.stats
    outcome = load_pack(pack, key, store)
    assert outcome.restored_tokens == 0
    assert outcome.reason is not None
    assert str(pack) in outcome.reason
    assert cause in outcome.reason
    assert store.stats == before


def test_a_pack_brings_back_what_was_pinned(pack: Path) -> None:
    store = store_of()
    outcome = load_pack(pack, KEY, store)
    assert (outcome.restored_tokens, outcome.reason) == (HELD, None)
    assert (store.stats.nbytes, store.stats.pinned_bytes) == (HELD * TOKEN_BYTES, 0)
    for tokens in PROMPTS:
        assert found(store, [*tokens, 0, 0]) == tokens
        store.pin(tokens)
    assert store.stats.pinned_bytes == HELD * TOKEN_BYTES


def test_the_tree_survives_and_so_does_the_file(pack: Path) -> None:
    store = store_of()
    load_pack(pack, KEY, store)
    for tokens in PROMPTS:
        store.pin(tokens)
    again = pack.with_name("again")
    assert save_pack(again, KEY, store) == pack.stat().st_size
    assert again.read_bytes() == pack.read_bytes()


def test_restored_kv_cannot_be_written_to(pack: Path) -> None:
    store = store_of()
    load_pack(pack, KEY, store)
    hit = store.longest([1, 2, 3, 4, 5, 0, 0])
    assert hit is not None
    assert not any(array.flags.writeable for segment in hit.segments for array in segment.arrays)


def test_what_is_not_pinned_is_not_saved(tmp_path: Path) -> None:
    store = store_of([1, 2, 3, 4], [9, 9])
    store.pin([1, 2])
    save_pack(tmp_path / "pack", KEY, store)
    restored = store_of()
    assert load_pack(tmp_path / "pack", KEY, restored).restored_tokens == 2
    assert (restored.covered([1, 2, 3, 4]), restored.covered([9, 9])) == (2, 0)


def test_nothing_pinned_makes_an_empty_pack(tmp_path: Path) -> None:
    save_pack(tmp_path / "pack", KEY, store_of([1, 2]))
    outcome = load_pack(tmp_path / "pack", KEY, store_of())
    assert (outcome.restored_tokens, outcome.reason) == (0, None)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
def test_arrays_of_all_cache_types_keep_their_bits(tmp_path: Path, dtype: str) -> None:
    """Token axes in the middle and in front, arrays of different types."""
    bits = np.random.default_rng(3).integers(0, 255, size=(2, 3, 5, 4, 8), dtype=np.uint8)
    kv = bits.view(dtype)[..., 0, :2].transpose(0, 2, 1, 3)  # neither contiguous nor with the tokens in front
    segment = KVSegment(ENGINE, 0, 3, (kv, np.arange(3)), (2, 0))
    store = KVStore(ENGINE, 10_000)
    store.put_pinned([4, 5, 6], segment)
    save_pack(tmp_path / "pack", KEY, store)
    restored = KVStore(ENGINE, 10_000)
    assert load_pack(tmp_path / "pack", KEY, restored).reason is None
    hit = restored.longest([4, 5, 6, 0, 0])
    assert hit is not None
    assert hit.segments[0].token_axes == (2, 0)
    for array, expected in zip(hit.segments[0].arrays, segment.arrays, strict=True):
        assert array.dtype == expected.dtype
        assert array.tobytes() == expected.tobytes()


def test_a_type_that_packs_do_not_know_is_refused_when_saving(tmp_path: Path) -> None:
    store = KVStore(ENGINE, 100)
    store.put_pinned([1], KVSegment(ENGINE, 0, 1, (np.zeros(1, dtype="complex64"),), (0,)))
    with pytest.raises(EngineError, match="complex64"):
        save_pack(tmp_path / "pack", KEY, store)
    assert list(tmp_path.iterdir()) == []


def test_a_restored_prefix_of_the_scripted_engine_answers_as_a_fresh_one(tmp_path: Path) -> None:
    engine = ScriptedEngine(vocab_size=50)
    key = dataclasses.replace(KEY, engine=engine.facts.fingerprint)
    tokens = [(7 * i + i // 3) % 50 for i in range(40)]
    [expected] = engine.forward([Chunk(0, tokens)])
    store = KVStore(engine.facts.fingerprint, 10_000)
    store.put_pinned(tokens[:30], engine.copy_out(0, 0, 30))
    save_pack(tmp_path / "pack", key, store)
    store = KVStore(engine.facts.fingerprint, 10_000)
    load_pack(tmp_path / "pack", key, store)
    hit = store.longest(tokens)
    assert hit is not None
    engine.copy_in(1, hit.segments, hit.length)
    [restored] = engine.forward([Chunk(1, tokens[30:])])
    assert np.array_equal(restored, expected)


def test_a_pack_fits_to_the_last_byte_and_counts_what_is_pinned(pack: Path) -> None:
    assert load_pack(pack, KEY, store_of(budget=HELD)).reason is None
    assert_refused(pack, "needs 88 bytes, the KV budget leaves 80", store=store_of([5, 5], budget=HELD - 1))
    store = store_of([5, 5], budget=HELD + 1)
    pin = store.pin([5, 5])
    assert_refused(pack, "needs 88 bytes, the KV budget leaves 80", store=store)
    pin.release()
    assert load_pack(pack, KEY, store).reason is None
    assert (store.covered([5, 5]), store.stats.nbytes) == (0, HELD * TOKEN_BYTES)


def test_a_pack_joins_what_the_store_holds(pack: Path) -> None:
    store = store_of([1, 2, 4, 4], [3, 3], [1, 2, 3, 4, 5, 6])
    assert load_pack(pack, KEY, store).restored_tokens == HELD
    for tokens in (*PROMPTS, [1, 2, 4, 4], [3, 3], [1, 2, 3, 4, 5, 6]):
        assert store.covered(tokens) == len(tokens)
    assert store.stats.nbytes == (HELD + 2 + 2 + 1) * TOKEN_BYTES


@pytest.mark.parametrize("field", ["engine", "tokenizer", "kv_type", "build"])
def test_a_foreign_pack_is_refused(pack: Path, field: str) -> None:
    assert_refused(pack, f"made for {field}", dataclasses.replace(KEY, **{field: "another"}))


def test_another_engine_than_the_stores_is_refused(pack: Path) -> None:
    assert_refused(pack, "belongs to engine", store=KVStore("another", 10_000))
    with pytest.raises(EngineError, match="another"):
        save_pack(pack, KEY, KVStore("another", 10_000))


def test_every_flipped_bit_is_found(pack: Path) -> None:
    sound = pack.read_bytes()
    for position in range(len(sound)):
        damaged = bytearray(sound)
        damaged[position] ^= 1 << position % 8
        pack.write_bytes(damaged)
        assert_refused(pack, "damaged")


def test_a_pack_cut_off_anywhere_is_refused(pack: Path) -> None:
    sound = pack.read_bytes()
    for length in range(len(sound)):
        pack.write_bytes(sound[:length])
        assert_refused(pack, "damaged")
    pack.write_bytes(sound + b"\0")
    assert_refused(pack, "88 bytes, 89 are there")


def test_a_newer_schema_is_refused(pack: Path) -> None:
    with_header(pack, json.dumps({**header_of(pack), "schema_version": 2, "more": []}).encode())
    assert_refused(pack, "schema version 2")


def set_field(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(header: Any) -> None:
        for step in path[:-1]:
            header = header[step]
        header[path[-1]] = value

    return change


def drop(*path: Any) -> Callable[[Any], None]:
    def change(header: Any) -> None:
        for step in path[:-1]:
            header = header[step]
        del header[path[-1]]

    return change


ARRAY = ("segments", 0, "arrays", 0)
FORGERIES: dict[str, tuple[Callable[[Any], object], str]] = {
    "no schema": (drop("schema_version"), "lacks a field"),
    "no key": (drop("key"), "lacks a field"),
    "a key of a list": (set_field("key", value=[1]), "lacks a field"),
    "a key with more": (set_field("key", "more", value=1), "lacks a field"),
    "no segments": (drop("segments"), "lacks a field"),
    "segments of a number": (set_field("segments", value=3), "lacks a field"),
    "segments of numbers": (set_field("segments", value=[3]), "lacks a field"),
    "fewer segments": (drop("segments", -1), "72 bytes, 88 are there"),
    "no tokens": (drop("segments", 0, "tokens"), "lacks a field"),
    "more tokens": (set_field("segments", 0, "tokens", value=[1, 2, 3, 4]), "names 4"),
    "empty segment": (lambda header: header["segments"][0].update(tokens=[], length=0), "segment of 0 tokens"),
    "token out of range": (set_field("segments", 0, "tokens", 0, value=2**31), "out of range"),
    "negative token": (set_field("segments", 0, "tokens", 0, value=-1), "out of range"),
    "token of text": (set_field("segments", 0, "tokens", 0, value="1"), "number"),
    "token of truth": (set_field("segments", 0, "tokens", 0, value=True), "number"),
    "tokens of text": (set_field("segments", 0, "tokens", value="123"), "list"),
    "wrong begin": (set_field("segments", 0, "begin", value=1), "begins at token 1"),
    "own parent": (set_field("segments", 0, "parent", value=0), "as its parent"),
    "later parent": (set_field("segments", 0, "parent", value=10**9), "as its parent"),
    "no parent": (set_field("segments", 2, "parent", value=None), "begins at token"),
    "axis outside": (set_field("segments", 0, "token_axes", value=[1]), "on axis 1"),
    "axes too many": (set_field("segments", 0, "token_axes", value=[0, 0]), "2 token axes"),
    "no arrays": (lambda header: header["segments"][0].update(arrays=[], token_axes=[]), "0 arrays"),
    "another shape": (set_field(*ARRAY, "shape", value=[4]), "hold 3 tokens"),
    "a huge shape": (set_field(*ARRAY, "shape", value=[3, 2**40]), "laid out unlike"),
    "huge shapes": (
        lambda header: [
            array.update(shape=[*array["shape"], 2**60]) for entry in header["segments"] for array in entry["arrays"]
        ],
        "begins at byte",
    ),
    "another layout": (set_field("segments", 1, "arrays", 0, "shape", value=[2, 1]), "laid out unlike"),
    "objects": (set_field(*ARRAY, "dtype", value="|O"), "unknown type"),
    "a list for a type": (set_field(*ARRAY, "dtype", value=[]), "lacks a field"),
    "overlap": (set_field("segments", 1, "arrays", 0, "offset", value=0), "begins at byte 0"),
    "no checksum": (set_field(*ARRAY, "sha256", value="0"), "checksum"),
    "a wrong checksum": (set_field(*ARRAY, "sha256", value="0" * 64), "fails its checksum"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_header_that_says_what_cannot_be_is_refused(pack: Path, name: str) -> None:
    change, cause = FORGERIES[name]
    header = header_of(pack)
    change(header)
    with_header(pack, json.dumps(header).encode())
    assert_refused(pack, cause)


@pytest.mark.parametrize("header", [b"[]", b"{", b"\xff", b"[" * 100_000, b'{"schema_version": %s}' % (b"9" * 5000)])
def test_a_header_that_is_no_object_is_refused(pack: Path, header: bytes) -> None:
    with_header(pack, header)
    assert_refused(pack, "header is not")


def test_a_header_length_beyond_the_file_allocates_nothing(pack: Path) -> None:
    data = bytearray(pack.read_bytes())
    data[8:16] = (2**63).to_bytes(8, "little")
    pack.write_bytes(data)
    assert_refused(pack, f"a header of {2**63} bytes")


def test_a_pack_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none", "cannot be read")
    assert_refused(tmp_path, "cannot be read")


def test_what_cannot_be_written_leaves_the_old_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "pack"):
        with pytest.raises(StateNotWritable, match=path.name):
            save_pack(path, KEY, pinned_store([1, 2]))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_behind_is_overwritten(pack: Path) -> None:
    pack.with_name(f".{pack.name}.partial").write_bytes(b"x" * 100_000)
    sound = pack.read_bytes()
    assert save_pack(pack, KEY, pinned_store(*PROMPTS)) == len(sound)
    assert pack.read_bytes() == sound
    assert list(pack.parent.iterdir()) == [pack]


def test_kv_of_prompts_is_for_this_user_only(pack: Path) -> None:
    assert pack.stat().st_mode & 0o077 == 0


def test_a_store_takes_segments_whole_or_not_at_all() -> None:
    held = pinned_store([1, 2, 3], [1, 2, 4]).pinned()
    store = store_of([5])
    for wrong in ([held[1], held[0]], [dataclasses.replace(held[1], parent=None)], held[1:]):
        with pytest.raises(EngineError, match="first 0"):
            store.restore(wrong)
    assert store.stats.segments == 1
    store.restore(held)
    assert found(store, [1, 2, 4, 0, 0]) == [1, 2, 4]


def test_what_lies_behind_a_restored_prefix_gives_way_before_another_restored_one() -> None:
    store = store_of([1, 2, 3, 4, 5, 6], budget=9)
    store.restore(pinned_store([1, 2, 3, 4, 5], [7, 7, 7, 7]).pinned())
    assert [store.covered(tokens) for tokens in ([1, 2, 3, 4, 5, 6], [7, 7, 7, 7])] == [5, 4]
