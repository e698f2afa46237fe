"""Resident prefixes outlive the process: a second start computes none of them, and gives the same answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime, Swapped
from edge_autoglm.errors import MemoryBudgetExceeded
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.runtime.kv.store import KVStats
from edge_autoglm.values import Reply

CONFIG = RuntimeConfig(seed=1, context_length=256, promote_every=None)
PACK = "prefixes.kv"
TEXTS = ("good", "a great film", "你好")


def start(
    bundle: Bundle, state: Path | None, config: RuntimeConfig = CONFIG, threads: int = 1
) -> tuple[KVStats, list[Reply]]:
    """Open a runtime; what its KV store did until then, and some answers."""
    with Runtime.open(bundle, state, threads=threads, config=config) as runtime:
        opened = runtime.stats.kv
        replies = [runtime.run("mood", {"text": text}, variant="framed") for text in TEXTS]
    return opened, replies


def computed_nothing(opened: KVStats) -> bool:
    """A prefix that has to be computed looks up first what is held of it."""
    return opened.lookups == 0 and opened.pinned_bytes > 0


def said(replies: list[Reply]) -> list[tuple[dict[str, float], int]]:
    return [(reply.scores, reply.usage.num_cached_tokens) for reply in replies]


def test_a_second_start_computes_no_prefix_and_answers_the_same(bundle: Bundle, tmp_path: Path) -> None:
    first, answers = start(bundle, tmp_path)
    assert (tmp_path / PACK).stat().st_mode & 0o077 == 0, "prompts are nobody else's business"
    second, again = start(bundle, tmp_path)
    assert not computed_nothing(first)
    assert computed_nothing(second)
    assert second.pinned_bytes == first.pinned_bytes
    assert said(again) == said(answers)
    assert all(reply.usage.num_cached_tokens > 10 for reply in again)


def test_a_pack_that_is_right_is_not_written_again(bundle: Bundle, tmp_path: Path) -> None:
    start(bundle, tmp_path)
    before = (tmp_path / PACK).stat()
    start(bundle, tmp_path)
    after = (tmp_path / PACK).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-20] + bytes([content[-20] ^ 1]) + content[-19:],
        lambda content: b"",
        lambda content: b"something else",
    ],
    ids=["truncated", "a bit flipped", "empty", "foreign"],
)
def test_a_damaged_pack_is_named_and_made_anew(
    bundle: Bundle, tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    _, answers = start(bundle, tmp_path)
    pack = tmp_path / PACK
    whole = pack.read_bytes()
    pack.write_bytes(damage(whole))  # type: ignore[operator]
    opened, again = start(bundle, tmp_path)
    assert not computed_nothing(opened)
    assert said(again) == said(answers)
    assert "resident prefixes are computed anew" in caplog.text
    assert str(pack) in caplog.text
    caplog.clear()
    assert computed_nothing(start(bundle, tmp_path)[0])
    assert caplog.text == ""


def test_a_pack_of_other_threads_is_not_used(bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sums may be made in another order: bits of one layout must not mix with those of another."""
    start(bundle, tmp_path)
    assert not computed_nothing(start(bundle, tmp_path, threads=2)[0])
    assert "threads" in caplog.text or "computed anew" in caplog.text
    assert computed_nothing(start(bundle, tmp_path, threads=2)[0])


def test_a_pack_that_the_budget_has_no_room_for_is_left_alone(bundle: Bundle, tmp_path: Path) -> None:
    first, _ = start(bundle, tmp_path)
    tight = RuntimeConfig(seed=1, context_length=256, promote_every=None, kv_cache_bytes=first.pinned_bytes - 1)
    with pytest.raises(MemoryBudgetExceeded, match="budget"):
        Runtime.open(bundle, tmp_path, threads=1, config=tight)
    assert computed_nothing(start(bundle, tmp_path)[0])


def test_new_prompts_compute_what_is_new_in_them_and_are_saved(
    bundle: Bundle, task_files: list[Path], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    start(bundle, state)
    changed = tmp_path / "mood.yaml"
    mood = next(file for file in task_files if file.name == "mood.yaml")
    changed.write_text(mood.read_text().replace("A film is good or bad.", "A film is great, or it is bad."))
    derived = bundle.derive(tmp_path / "derived", [changed])
    with Runtime.open(bundle, state, threads=1, config=CONFIG) as runtime:
        assert runtime.swap(derived) == Swapped(2)
        swapped = said([runtime.run("mood", {"text": text}, variant="framed") for text in TEXTS])
    opened, replies = start(derived, state)
    assert computed_nothing(opened)
    assert said(replies) == swapped == said(start(derived, None)[1])


def test_a_pack_that_cannot_be_written_is_logged_and_nothing_else(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / PACK).mkdir(parents=True)  # a folder is in the way
    _, replies = start(bundle, tmp_path)
    assert all(reply.label for reply in replies)
    assert "resident prefixes were not saved" in caplog.text
    shutil.rmtree(tmp_path / PACK)
    start(bundle, tmp_path)
    assert computed_nothing(start(bundle, tmp_path)[0])


def test_without_a_state_folder_nothing_is_kept(bundle: Bundle) -> None:
    assert not computed_nothing(start(bundle, None)[0])
    assert not computed_nothing(start(bundle, None)[0])
