"""What is written of a generation is read back, and a changed byte is noticed."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.swap.store.pointer import Pointer, decode_pointer, encode_pointer
from edge_autoglm.swap.store.record import (
    SCHEMA_VERSION,
    ForeignSchema,
    GenerationRecord,
    Standing,
    decode_record,
    encode_record,
)
from edge_autoglm.swap.store.sealed import seal
from edge_autoglm.swap.store.version import Change, Version, change_between, next_version

RECORD = GenerationRecord(
    number=7,
    version=Version(1, 4, 2),
    parent=5,
    reason="bundle новый",
    created="2026-11-23T08:00:00+00:00",
    bundle_digest="0123456789abcdef",
    engine_fingerprint="fedcba9876543210",
    policy_digest="ab" * 32,
    metrics={"mean_kl": 0.1 + 0.2},
    standing=Standing.GIVEN_UP,
    standing_reason="answers nothing",
)
FIRST = replace(RECORD, parent=None, policy_digest=None, standing=Standing.GOOD, metrics={})
POINTER = Pointer(active=7, last_number=9, bundles=("aa", "bb"))


@pytest.mark.parametrize("record", [RECORD, FIRST])
def test_a_record_is_read_back(record: GenerationRecord) -> None:
    assert decode_record(encode_record(record)) == record


def test_figures_that_are_not_finite_are_read_back() -> None:
    read = decode_record(encode_record(replace(RECORD, metrics={"a": math.inf, "b": -math.inf, "c": math.nan})))
    assert (read.metrics["a"], read.metrics["b"]) == (math.inf, -math.inf)
    assert math.isnan(read.metrics["c"])


@pytest.mark.parametrize("pointer", [POINTER, Pointer()])
def test_a_pointer_is_read_back(pointer: Pointer) -> None:
    assert decode_pointer(encode_pointer(pointer)) == pointer


@pytest.mark.parametrize("bit", [0, 5])
def test_every_flipped_bit_and_every_cut_is_noticed(bit: int) -> None:
    content = encode_record(RECORD)
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << bit
        for damaged in (bytes(flipped), content[:position]):
            with pytest.raises(ValueError, match=r".+"):
                decode_record(damaged)


@pytest.mark.parametrize(("content", "decode"), [(RECORD, decode_record), (POINTER, decode_pointer)])
def test_another_schema_is_told_from_damage(content: GenerationRecord | Pointer, decode: object) -> None:
    data = encode_record(content) if isinstance(content, GenerationRecord) else encode_pointer(content)
    fields = json.loads(data)
    del fields["checksum"]
    newer = seal({**fields, "schema_version": SCHEMA_VERSION + 1, "more": 1})
    assert callable(decode)
    with pytest.raises(ForeignSchema, match="schema 2, not 1"):
        decode(newer)


@pytest.mark.parametrize(
    "change", [{"number": "7"}, {"parent": True}, {"metrics": [1]}, {"standing": "fine"}, {"version": "1.4"}]
)
def test_a_field_of_another_type_is_refused(change: dict[str, object]) -> None:
    fields = json.loads(encode_record(RECORD))
    del fields["checksum"]
    with pytest.raises(ValueError, match=r".+"):
        decode_record(seal(fields | change))


def test_versions_count_what_changes() -> None:
    old = ("engine", "bundle")
    assert change_between(old, ("other", "another")) is Change.ENGINE
    assert change_between(old, ("engine", "another")) is Change.PROMPTS
    assert change_between(old, old) is Change.POLICY
    versions = [str(next_version(Version(1, 2, 3), change, [])) for change in Change]
    assert versions == ["2.0.0", "1.3.0", "1.2.4"]


parts = st.integers(0, 4)
versions = st.builds(Version, parts, parts, parts)


@given(versions, st.sampled_from(Change), st.lists(versions))
def test_a_new_version_is_above_its_parent_and_used_by_none(
    parent: Version, change: Change, used: list[Version]
) -> None:
    new = next_version(parent, change, used)
    assert new > parent
    assert new not in used
    assert Version.parse(str(new)) == new


@pytest.mark.parametrize("text", ["1.2", "1.2.3.4", "01.2.3", "1.2.x", "", "v1.2.3", "1.2.3\n"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        Version.parse(text)
