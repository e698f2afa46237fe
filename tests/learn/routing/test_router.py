"""Routing: learns, abstains, is kept on the disk and erased from it."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge_autoglm.errors import PolicyError, StateDamaged, StateNotWritable
from edge_autoglm.learn.routing import lessons as lessons_file
from edge_autoglm.learn.routing.features import route_features
from edge_autoglm.learn.routing.router import Router

KEY = b"secret"
TASKS = ("weather", "music", "sums")
TEXTS = {
    "weather": ("will it rain today", "is it cold outside", "do I need an umbrella", "明天会下雨吗"),
    "music": ("play some jazz", "next song please", "turn the volume up", "放一首歌"),
    "sums": ("what is 3 plus 4", "add 12 and 30", "how much is 7 times 8", "三加四等于几"),
}
LESSONS = [(text, task) for task, texts in TEXTS.items() for text in texts]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "router.safetensors"


def taught(file: Path | None = None, rounds: int = 5) -> Router:
    router = Router(KEY, file)
    router.seed({"weather": ["the weather"], "music": ["music and songs"], "sums": ["sums"]})
    for _ in range(rounds):
        router.learn(LESSONS, TASKS)
    return router


def scores(router: Router, text: str = "will it be cold and wet") -> dict[str, float]:
    return dict(router.route(text, TASKS, 0.5).scores)


def test_what_was_taught_is_told_apart_and_what_was_not_is_not_claimed() -> None:
    router = taught()
    assert [router.route(text, TASKS, 0.5).task for text, _ in LESSONS] == [task for _, task in LESSONS]
    assert router.route("shall it rain?", TASKS, 0.5).task == "weather"
    assert router.route("再放一首歌吧", TASKS, 0.5).task == "music"
    least = min(router.route(text, TASKS, 0.5).confidence for text, _ in LESSONS)
    assert router.route("xyzzy", TASKS, 0.5).confidence < least
    route = router.route("xyzzy", TASKS, least)
    assert (route.task, route.fallback) == (None, True)
    assert router.route("xyzzy", TASKS, least, fallback="music").task == "music"


def test_scores_are_probabilities_the_best_first() -> None:
    route = taught().route("play a song", TASKS, 0.5)
    assert list(route.scores.values()) == sorted(route.scores.values(), reverse=True)
    assert sum(route.scores.values()) == pytest.approx(1.0)
    assert route.confidence == route.scores["music"]


def test_seeds_alone_lead_the_way_and_are_planted_once() -> None:
    router = Router(KEY)
    seeds = {"weather": ["the weather"], "music": ["songs"], "sums": ["adding numbers"]}
    router.seed(seeds)
    assert next(iter(router.route("how is the weather", TASKS, 0.0).scores)) == "weather"
    before = scores(router)
    router.seed(seeds)
    assert scores(router) == before


def test_feedback_by_features_is_learning_from_the_text() -> None:
    one, other = taught(), taught()
    one.learn([("skip this one", "music")], TASKS)
    other.learn([(other.route("skip this one", TASKS, 0.5).features, "music")], TASKS)
    assert scores(one) == scores(other)


def test_an_unknown_task_teaches_nothing() -> None:
    router = taught()
    before = scores(router)
    with pytest.raises(PolicyError, match=r"no task 'cooking'\. Name one of: weather, music, sums\."):
        router.learn([("play", "music"), ("boil", "cooking")], TASKS)
    assert scores(router) == before


@pytest.mark.parametrize("rounds", [1, 30])  # before the first snapshot after the seeds, and beyond one
def test_it_is_the_same_after_opening_again_bit_for_bit(file: Path, rounds: int) -> None:
    router = taught(file, rounds)
    again = Router(KEY, file)
    assert scores(again) == scores(router)
    assert again.lessons == router.lessons == dict.fromkeys(TASKS, 4 * rounds)
    for one in (router, again):
        one.learn([("a drum solo", "music")], TASKS)
    assert scores(again) == scores(router)


def test_only_the_owner_may_read_it_and_no_word_is_in_it(file: Path) -> None:
    taught(file)
    kept = list(file.parent.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    content = b"".join(path.read_bytes() for path in kept)
    assert not any(word in content for word in (b"umbrella", b"jazz", "下雨".encode()))


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_lesson_that_was_being_written_is_left_out(file: Path, cut: int) -> None:
    taught(file, 1)
    log = file.with_suffix(".lessons")
    os.truncate(log, log.stat().st_size - cut)
    router = Router(KEY, file)
    assert sum(router.lessons.values()) == len(LESSONS) - 1
    router.learn([LESSONS[-1]], TASKS)
    assert scores(Router(KEY, file)) == scores(router)


def test_a_damaged_snapshot_gives_way_to_the_one_before(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    taught(file, 40)
    before = file.with_name("router-before.safetensors")
    assert before.exists()
    file.write_bytes(file.read_bytes()[:-9])
    with caplog.at_level(logging.WARNING):
        assert sum(Router(KEY, file).lessons.values()) > 0
    assert "the one before is tried" in caplog.text
    before.write_bytes(b"")
    with pytest.raises(StateDamaged, match=r"router\.safetensors is damaged.*Delete both"):
        Router(KEY, file)


def test_a_full_disk_refuses_the_lesson_and_leaves_the_file_sound(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    router = taught(file, 1)
    before = scores(router)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lessons_file.os, "fsync", full)
        with pytest.raises(StateNotWritable, match="No space left"):
            router.learn([("play", "music")], TASKS)
    assert scores(router) == before == scores(Router(KEY, file))


def test_erased_is_forgotten_here_and_on_the_disk(file: Path) -> None:
    router = taught(file, 40)
    router.erase()
    assert list(file.parent.iterdir()) == []
    assert router.lessons == {}
    assert scores(router) == scores(Router(KEY)) == pytest.approx(dict.fromkeys(TASKS, 1 / 3))


def test_threads_teach_and_ask_at_once(file: Path) -> None:
    router = taught(file, 1)

    def work() -> None:
        for text, task in LESSONS:
            router.learn([(text, task)], TASKS)
            assert sum(router.route(text, TASKS, 0.5).scores.values()) == pytest.approx(1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(router.lessons.values()) == 5 * len(LESSONS)
    assert scores(Router(KEY, file)) == scores(router)


KILLED = """
import os, sys
from pathlib import Path
from tests.learn.routing.test_router import LESSONS, TASKS, KEY
from edge_autoglm.learn.routing import router as module
from edge_autoglm.learn.routing.router import Router
module._SNAPSHOT_EVERY = 3
router = Router(KEY, Path(sys.argv[1]))
router.seed({"weather": ["the weather"]})
while True:
    router.learn([LESSONS[0]], TASKS)
    os.write(1, b"%d\\n" % sum(router.lessons.values()))
"""


@pytest.mark.stress
def test_a_process_that_is_killed_loses_no_lesson(file: Path) -> None:
    for delay in (0.0, 0.003, 0.011, 0.02):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(file)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(delay)
            child.kill()
            said = [*child.stdout.read().split("\n")]
        acknowledged = max((int(line) for line in said[:-1] if line), default=0)
        assert sum(Router(KEY, file).lessons.values()) >= acknowledged


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800", "🙂", "x" * 1_000_000, "字" * 100_000, "a b " * 250_000])
def test_any_text_has_features_of_bounded_number(text: str) -> None:
    features = route_features(text, KEY)
    assert len(features.indices) < 6000
    assert sum(Router(KEY).route(text, TASKS, 0.5).scores.values()) == pytest.approx(1.0)


def test_the_end_of_a_long_text_is_read() -> None:
    filler = "and so on " * 1000
    one, other = (route_features(filler + ending, KEY) for ending in ("summarise it", "translate it"))
    assert set(one.indices.tolist()) != set(other.indices.tolist())
