"""``rt.experiments``: who answers, changes without a restart, and what is known afterwards."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from edge_autoglm import Bundle, Experiment, Runtime
from edge_autoglm.errors import ExperimentError, UnknownVariant
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.learn.reading import read_experiments
from tests.facade.scripted import ASKED, open_scripted
from tests.swap.world import asking, scripted
from tests.waiting import wait_until

POLITER = Experiment("politer", "reply", ("plain", "polite"))
MOOD = Experiment("framing", "mood", ("plain", "framed"))
POLITE, SHORT = asking("polite", "Say politely how it was."), asking("short", "In short?")
FILE = """
version: 1
experiments:
  - name: politer
    task: reply
    variants: [plain, polite]
"""


def runtime(**settings: object) -> Runtime:
    return open_scripted(scripted(slots=4), POLITE, SHORT, **settings)


def variants(rt: Runtime, sessions: int = 30) -> list[str]:
    return [rt.run("reply", ASKED, session=f"session {number}").variant for number in range(sessions)]


def test_a_session_keeps_its_variant_and_the_reply_tells_the_chance() -> None:
    with runtime() as rt:
        rt.experiments.set(replace(POLITER, weights=(1.0, 3.0)))
        found = variants(rt)
        assert set(found) == {"plain", "polite"}
        assert variants(rt) == found
        reply = rt.run("reply", ASKED, session="session 1")
        assert reply.propensity == {"plain": 0.25, "polite": 0.75}[reply.variant]
        explained = reply.explain()
        assert explained is not None
        assert f"{reply.variant} was drawn by the experiment politer with probability 0." in explained.summary
        stream = rt.stream("reply", ASKED, session="session 1")
        assert "".join(stream)
        assert stream.reply.variant == reply.variant
        decisions = [variant.decisions for variant in rt.experiments.results()[0].variants]
        assert sum(decisions) == 30 + 30 + 2


def test_a_variant_that_the_caller_names_is_no_part_of_it() -> None:
    with runtime() as rt:
        rt.experiments.set(POLITER)
        reply = rt.run("reply", ASKED, variant="short", session="user 7")
        assert (reply.variant, reply.propensity) == ("short", 1.0)
        assert rt.experiments.results("politer") == ()
        with pytest.raises(UnknownVariant):
            rt.run("reply", ASKED, variant="rude", session="user 7")


def test_requests_that_take_no_part_are_the_policys() -> None:
    with runtime() as rt:
        rt.experiments.set(replace(POLITER, rollout=0.0))
        assert set(variants(rt)) == {"plain", "polite", "short"}
        assert rt.run("mood", ASKED, session="user 7").variant in ("plain", "chat")
        assert rt.experiments.results("politer") == ()


def test_results_need_a_name_that_exists() -> None:
    with runtime() as rt:
        assert rt.experiments.results() == ()
        with pytest.raises(ExperimentError, match=r"no experiment 'politer'\. Name one of none"):
            rt.experiments.results("politer")
        rt.experiments.set(POLITER)
        with pytest.raises(ExperimentError, match="Name one of politer"):
            rt.experiments.results("polite")


def test_what_is_found_out_can_be_read_live_and_offline_and_goes_on_after_a_restart(
    bundle: Bundle, tmp_path: Path
) -> None:
    config, rng = RuntimeConfig(seed=1, context_length=256, promote_every=None), random.Random(2)
    drawn: dict[int, str] = {}
    for run in range(2):
        with Runtime.open(bundle, state=tmp_path / "state", threads=1, config=config) as rt:
            rt.experiments.set(MOOD)
            for number in range(60):
                reply = rt.run("mood", {"text": f"film {number}"}, session=f"session {number}")
                assert drawn.setdefault(number, reply.variant) == reply.variant
                rt.feedback(reply.id, float(rng.random() < (0.9 if reply.variant == "framed" else 0.1)))
            [live] = rt.experiments.results("framing")
        assert read_experiments(tmp_path / "state") == (live,)
        assert sum(variant.decisions for variant in live.variants) == 60 * (run + 1)
    counts = Counter(drawn.values())
    assert {variant.variant: variant.units for variant in live.variants} == dict(counts)
    assert live.differences[0].interval.estimate > 0.3


def test_the_file_is_followed_while_requests_go_on(tmp_path: Path) -> None:
    file = tmp_path / "experiments.yaml"
    file.write_text(FILE)
    with runtime(experiments=file) as rt:
        found = variants(rt)
        assert set(found) == {"plain", "polite"}
        file.write_text(FILE.replace("plain, polite", "polite, short"))
        rt.experiments.reload()
        assert set(variants(rt)) == {"polite", "short"}
        file.write_text(FILE.replace("task: reply", "tusk: reply"))
        with pytest.raises(ExperimentError, match=r"yaml: experiments\[0\].tusk is an unknown key \(line 5"):
            rt.experiments.reload()
        assert set(variants(rt)) == {"polite", "short"}
        file.write_text("version: 1\nexperiments: []\n")
        rt.experiments.reload()
        assert rt.experiments.list() == ()
        rt.experiments.set(POLITER)
        assert variants(rt) == found


def test_requests_notice_a_change_of_the_file_by_themselves(tmp_path: Path) -> None:
    file = tmp_path / "experiments.yaml"
    file.write_text(FILE)
    with runtime(experiments=file) as rt:
        assert set(variants(rt)) == {"plain", "polite"}
        file.write_text("not an experiment")
        (tmp_path / "new").write_text(FILE.replace("plain, polite", "polite, short"))
        (tmp_path / "new").replace(file)
        wait_until(lambda: set(variants(rt)) == {"polite", "short"})


def test_without_a_file_there_is_nothing_to_reload() -> None:
    with runtime() as rt, pytest.raises(ExperimentError, match="no file of experiments"):
        rt.experiments.reload()


def test_a_wrong_file_stops_a_runtime_from_opening_and_leaves_the_state_free(bundle: Bundle, tmp_path: Path) -> None:
    file, config = tmp_path / "experiments.yaml", RuntimeConfig(context_length=256, promote_every=None)
    for content, said in ((None, "cannot be read"), ("experiments: []", "has no version")):
        if content is not None:
            file.write_text(content)
        with pytest.raises(ExperimentError, match=said):
            Runtime.open(bundle, state=tmp_path / "state", threads=1, config=replace(config, experiments=file))
    with Runtime.open(bundle, state=tmp_path / "state", threads=1, config=config) as rt:
        assert rt.experiments.list() == ()


def test_changes_in_mid_traffic_fail_no_request_and_lose_no_decision() -> None:
    """Four threads ask; two change what runs: every reply is of a variant that some setting allowed."""
    with runtime() as rt:
        rt.experiments.set(POLITER)
        replies: list[tuple[str, float]] = []
        failed: list[BaseException] = []
        done = threading.Event()

        def ask(thread: int) -> None:
            number = 0
            try:
                while not done.is_set() or number < 20:
                    reply = rt.run("reply", ASKED, session=f"{thread} {number % 7}")
                    rt.feedback(reply.id, 1.0)
                    replies.append((reply.variant, reply.propensity))
                    number += 1
            except BaseException as error:
                failed.append(error)

        def change(first: int) -> None:
            for version in range(first, first + 40):
                rt.experiments.set(replace(POLITER, version=version))
                rt.experiments.set(replace(POLITER, version=version, weights=(1.0, 4.0)))

        asking_threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(4)]
        changing = [threading.Thread(target=change, args=(first,)) for first in (1, 100)]
        for thread in (*asking_threads, *changing):
            thread.start()
        for thread in changing:
            thread.join()
        done.set()
        for thread in asking_threads:
            thread.join()
        assert failed == []
        allowed = {("plain", 0.5), ("polite", 0.5), ("plain", 0.2), ("polite", 0.8)}
        assert set(replies) <= allowed
        assert rt.learner.status().feedbacks == len(replies)
        assert rt.learner.status().decisions == len(replies)
