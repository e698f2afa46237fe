"""Scores on disk: torn, damaged, foreign, locked."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm.errors import EvolveError, StateDamaged, StateLocked, StateNotWritable
from edge_autoglm.evolve.answers import Outcome
from edge_autoglm.evolve.store import SCORES, ScoreStore

LABELS = Outcome((-0.1, -2.3000000000000003), "", 12, 4)
TEXT = Outcome((), "fine,\n\u2028„thanks“", 9, 0)


def _store(folder: Path, model: str = "m") -> ScoreStore:
    return ScoreStore(folder, model, "mood", ("good", "bad"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with _store(tmp_path / "search") as store:
        store.put("a", LABELS)
        store.put("b", TEXT)
    return tmp_path / "search"


def test_what_was_put_is_there_again_to_the_bit(folder: Path) -> None:
    with _store(folder) as store:
        assert (store.get("a"), store.get("b"), store.get("c"), len(store)) == (LABELS, TEXT, None, 2)


def test_a_kill_at_any_byte_loses_the_last_line_at_most(folder: Path) -> None:
    content = (folder / SCORES).read_bytes()
    for size in range(len(content) + 1):
        (folder / SCORES).write_bytes(content[:size])
        with _store(folder) as store:
            assert len(store) == max(content[:size].count(b"\n") - 1, 0)
            store.put("c", LABELS)
        with _store(folder) as store:
            assert store.get("c") == LABELS


@pytest.mark.parametrize("damage", [b"\x00", b'{"asked": 3}', b"[]", b'{"asked":"a","logprobs":["x"]}'])
def test_damage_in_the_middle_is_named_by_line(folder: Path, damage: bytes) -> None:
    lines = (folder / SCORES).read_bytes().split(b"\n")
    (folder / SCORES).write_bytes(b"\n".join([lines[0], damage, *lines[2:]]))
    with pytest.raises(StateDamaged, match="line 2"), _store(folder):
        pass


def test_scores_of_another_model_are_refused(folder: Path) -> None:
    with pytest.raises(EvolveError, match="another model: 'm', not 'other'"), _store(folder, "other"):
        pass


def test_one_process_at_a_time(folder: Path) -> None:
    with _store(folder), pytest.raises(StateLocked), _store(folder):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateNotWritable, match="file"), _store(tmp_path / "file" / "below"):
        pass


def test_without_a_folder_nothing_is_written() -> None:
    with ScoreStore(None, "m", "mood") as store:
        store.put("a", LABELS)
        assert store.get("a") == LABELS
