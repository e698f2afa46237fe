"""The journal: what is written is read back, what is damaged is named, what fails is undone."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge_autoglm.errors import PolicyError, StateDamaged, StateNotWritable
from edge_autoglm.learn.journal import Journal
from edge_autoglm.learn.record_codec import RecordCodec
from edge_autoglm.learn.records import DecisionRecord, FeedbackRecord, MergeRecord, Record
from edge_autoglm.learn.segments import frame, read_journal, segment_path, segment_paths
from tests.learn.streams import records_of, some_features


def decision(number: int) -> DecisionRecord:
    return DecisionRecord(f"d{number}", "mood", "plain", 1 / 3, ("plain", "übung"), some_features(number), 2, 0.1)


def feedback(number: int) -> FeedbackRecord:
    return FeedbackRecord(f"d{number}", 0.1 + 0.2, 1e9 + 0.1)


def fill(folder: Path, count: int, segment_bytes: int = 2**20, first: int = 0) -> None:
    journal = Journal(folder, lambda record: None, segment_bytes)
    for number in range(first, first + count):
        journal.append(feedback(number))
    journal.close()


def ids_of(records: Sequence[Record]) -> list[str]:
    return [record.id for record in records if not isinstance(record, MergeRecord)]


def ids(folder: Path) -> list[str]:
    return ids_of(records_of(folder))


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    """What a full disk does: a write that crosses the limit is cut short, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def through_json(*records: Record) -> list[Record]:
    """Written in one segment, and read back."""
    writer, reader = RecordCodec(), RecordCodec()
    read = []
    for record in records:
        read.append(reader.decode(writer.encode(record)))
        writer.note(record)
    return read


def test_records_keep_every_bit_through_json() -> None:
    written = replace(decision(7), latency=0.1 + 0.2, tokens=17)
    for read in through_json(written, written, decision(8), written):
        assert isinstance(read, DecisionRecord)
        if read.id == "d8":
            continue
        for name in ("indices", "values", "dense"):
            assert getattr(read.features, name).tobytes() == getattr(written.features, name).tobytes()
        assert (read.features.names, read.features.task) == (written.features.names, written.features.task)
        for name in ("id", "task", "arm", "propensity", "arms", "generation", "time", "latency", "tokens"):
            assert getattr(read, name) == getattr(written, name)


@pytest.mark.parametrize(
    "record",
    [
        feedback(1),
        FeedbackRecord("d", 0.1 + 0.2, 1e9, weight=0.15, kind="edited", source="0f" * 8),
        FeedbackRecord("d", 0.0, -1e300, weight=0.0),
        MergeRecord("ab" * 32, 5.0),
    ],
)
def test_feedback_and_merges_keep_every_bit_through_json(record: Record) -> None:
    assert through_json(record) == [record]


def test_what_is_alike_in_a_task_is_written_once_a_segment() -> None:
    writer = RecordCodec()
    first = writer.encode(decision(1))
    writer.note(decision(1))
    later = writer.encode(decision(2))
    assert b"battery" in first
    assert b"battery" not in later
    other = replace(decision(3), arms=("plain", "other"))
    assert b"battery" in writer.encode(other)


def test_a_record_that_was_not_written_after_all_names_no_shape() -> None:
    writer, reader = RecordCodec(), RecordCodec()
    lost, kept = decision(1), replace(decision(2), arms=("plain", "kept"))
    writer.encode(lost)
    reader.decode(writer.encode(kept))
    writer.note(kept)
    again = reader.decode(writer.encode(kept))
    assert isinstance(again, DecisionRecord)
    assert again.arms == kept.arms
    assert b"battery" in writer.encode(lost)


def test_what_is_appended_is_read_back_in_order_over_many_openings_and_segments(tmp_path: Path) -> None:
    for first in range(0, 30, 10):
        seen: list[Record] = []
        journal = Journal(tmp_path, seen.append, segment_bytes=400)
        assert ids_of(seen) == [f"d{number}" for number in range(first)]
        for number in range(first, first + 10):
            journal.append(decision(number) if number % 3 == 0 else feedback(number))
        assert journal.size == sum(path.stat().st_size for path in segment_paths(tmp_path))
        journal.close()
    assert ids(tmp_path) == [f"d{number}" for number in range(30)]
    assert len(segment_paths(tmp_path)) > 5


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    fill(tmp_path, 10, segment_bytes=200)
    assert {path.stat().st_mode & 0o777 for path in segment_paths(tmp_path)} == {0o600}


def test_a_write_cut_short_at_any_byte_is_cut_off_and_the_rest_kept(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for length in range(last, len(whole)):
        path.write_bytes(whole[:length])
        seen: list[Record] = []
        journal = Journal(tmp_path, seen.append)
        assert ids_of(seen) == ["d0", "d1"]
        assert journal.torn == length - last
        journal.append(feedback(9))
        journal.close()
        assert ids(tmp_path) == ["d0", "d1", "d9"]


@pytest.mark.parametrize("tail", [bytes(5000), b"0123abcd {" + bytes(4096) + b'"reward":1.0}\n'])
def test_blocks_that_did_not_reach_the_disk_are_cut_off(tmp_path: Path, tail: bytes) -> None:
    fill(tmp_path, 2)
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(tail)
    Journal(tmp_path, lambda record: None).close()
    assert ids(tmp_path) == ["d0", "d1"]


def test_reading_alone_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(b"half a rec")
    before = segment_path(tmp_path, 1).read_bytes()
    assert read_journal(tmp_path, lambda record: None).torn == 10
    assert segment_path(tmp_path, 1).read_bytes() == before


def test_a_flipped_byte_is_damage_and_not_taken_for_a_torn_write(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    for position in range(len(whole) - 1):  # a lost end of the last line does look like a torn write
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(StateDamaged, match=rf"{path}, line [1234],"):
            read_journal(tmp_path, lambda record: None)


@pytest.mark.parametrize("segment", [1, 2])
def test_the_end_of_a_sealed_segment_is_not_torn_but_damaged(tmp_path: Path, segment: int) -> None:
    fill(tmp_path, 12, segment_bytes=300)
    path = segment_path(tmp_path, segment)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(StateDamaged, match=f"{path.name}, line"):
        read_journal(tmp_path, lambda record: None)


def test_a_line_taken_out_is_noticed(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    path = segment_path(tmp_path, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(StateDamaged, match="line 3"):
        read_journal(tmp_path, lambda record: None)


@pytest.mark.parametrize("segment", [1, 2])
def test_a_missing_segment_is_named(tmp_path: Path, segment: int) -> None:
    fill(tmp_path, 20, segment_bytes=300)
    segment_path(tmp_path, segment).unlink()
    with pytest.raises(StateDamaged, match=f"{segment_path(tmp_path, segment).name} is missing"):
        Journal(tmp_path, lambda record: None)


def test_a_segment_of_another_journal_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    fill(tmp_path / "a", 20, segment_bytes=300)
    fill(tmp_path / "b", 20, segment_bytes=300, first=50)
    segment_path(tmp_path / "a", 2).write_bytes(segment_path(tmp_path / "b", 2).read_bytes())
    with pytest.raises(StateDamaged, match=r"journal-000002\.log, line 1"):
        read_journal(tmp_path / "a", lambda record: None)


@pytest.mark.parametrize(
    "payload", [b'{"schema": 3, "segment": 1}', b'{"schema": 1, "segment": 7}'], ids=["schema", "number"]
)
def test_a_header_of_another_kind_is_named(tmp_path: Path, payload: bytes) -> None:
    segment_path(tmp_path, 1).write_bytes(frame(payload, 0)[0])
    with pytest.raises(StateDamaged, match=r"line 1.*schema 1 or 2 of segment 1"):
        read_journal(tmp_path, lambda record: None)


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"k":"new"}',
        b'{"k":"merge"}',
        b'{"k":"feedback","id":"d"}',
        b'{"k":"decision","indices":[1]}',
        b'{"k":"decision","shape":3}',
    ],
)
def test_a_record_of_another_kind_is_named(tmp_path: Path, payload: bytes) -> None:
    fill(tmp_path, 0)
    tail = read_journal(tmp_path, lambda record: None)
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(frame(payload, tail.crc)[0])
    with pytest.raises(StateDamaged, match="line 2"):
        read_journal(tmp_path, lambda record: None)


@pytest.mark.parametrize("room", [0, 1, 60])
def test_a_full_disk_is_reported_and_the_half_written_record_undone(tmp_path: Path, room: int) -> None:
    journal = Journal(tmp_path, lambda record: None)
    journal.append(feedback(0))
    size = journal.size
    with (
        no_file_may_grow_beyond(size + room),
        pytest.raises(StateNotWritable, match=rf"{tmp_path} cannot be written.*Free some disk space"),
    ):
        journal.append(feedback(1))
    assert segment_path(tmp_path, 1).stat().st_size == journal.size == size
    journal.append(feedback(2))
    journal.sync()
    journal.close()
    assert ids(tmp_path) == ["d0", "d2"]


def test_a_segment_that_cannot_be_begun_leaves_the_current_one_in_use(tmp_path: Path) -> None:
    journal = Journal(tmp_path, lambda record: None, segment_bytes=1000)
    written = 0
    while journal.size < 1000:
        journal.append(feedback(written))
        written += 1
    with no_file_may_grow_beyond(10), pytest.raises(StateNotWritable):
        journal.append(feedback(998))
    assert len(segment_paths(tmp_path)) == 1
    journal.append(feedback(999))
    journal.close()
    assert ids(tmp_path) == [f"d{number}" for number in [*range(written), 999]]
    assert len(segment_paths(tmp_path)) == 2


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=["io", "ctrl-c"])
@pytest.mark.parametrize(
    "failing_call", [2, 3, 4]
)  # the first seals the old segment; then: new one, its folder, opening
def test_a_new_segment_that_fails_half_way_leaves_a_sound_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int, error: BaseException
) -> None:
    journal = Journal(tmp_path, lambda record: None, segment_bytes=1)
    journal.append(feedback(0))
    calls, fsync = 0, os.fsync

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing_call:
            raise error
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises((StateNotWritable, KeyboardInterrupt)):
            journal.append(feedback(1))
    assert ids(tmp_path) == ["d0"]
    journal.append(feedback(2))
    journal.close()
    assert ids(tmp_path) == ["d0", "d2"]


@pytest.mark.parametrize("act", ["sync", "seal a full segment"])
def test_after_a_device_failure_nothing_more_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    journal = Journal(tmp_path, lambda record: None, segment_bytes=1 if act != "sync" else 2**20)
    journal.append(feedback(0))

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(StateNotWritable, match="Input/output error"):
            journal.sync() if act == "sync" else journal.append(feedback(1))
    for later in (journal.sync, lambda: journal.append(feedback(1))):
        with pytest.raises(StateNotWritable, match="failed earlier"):
            later()
    journal.close()
    assert ids(tmp_path) == ["d0"]


def test_progress_ends_at_the_whole_size(tmp_path: Path) -> None:
    fill(tmp_path, 3000, segment_bytes=100_000)
    calls: list[tuple[str, int, int]] = []
    read_journal(tmp_path, lambda record: None, lambda *call: calls.append(call))
    total = sum(path.stat().st_size for path in segment_paths(tmp_path))
    assert calls[-1] == ("journal", total, total)
    done = [call[1] for call in calls]
    assert done == sorted(done)
    assert len(calls) > 4


def test_a_segment_size_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="segment_bytes is 0"):
        Journal(tmp_path, lambda record: None, segment_bytes=0)
