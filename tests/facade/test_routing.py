"""``Runtime.route``: which task is meant, and that an app with several tasks keeps its KV."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm import Bundle, Runtime, RuntimeConfig
from edge_autoglm.errors import InputRejected, RequestError, UnknownTask

CONFIG = RuntimeConfig(seed=1, context_length=256, promote_every=None)


def test_tasks_are_told_apart_by_what_the_app_teaches(runtime: Runtime) -> None:
    runtime.router.learn_many([("is it any good", "mood"), ("was it bad", "mood"), ("go on like this", "echo")] * 5)
    runtime.router.learn("and then what", "echo")
    assert runtime.route("was it good?").task == "mood"
    route = runtime.route("go on", threshold=0.0)
    assert (route.task, route.fallback) == ("echo", False)
    assert set(route.scores) == {"mood", "echo"}
    assert runtime.router.lessons == {"mood": 10, "echo": 6}


def test_what_is_not_sure_goes_to_the_fallback(runtime: Runtime) -> None:
    route = runtime.route("xyzzy plugh", threshold=0.99)
    assert (route.task, route.fallback) == (None, True)
    assert runtime.route("xyzzy plugh", threshold=0.99, fallback="echo").task == "echo"


def test_feedback_teaches(runtime: Runtime) -> None:
    for _ in range(5):
        runtime.route_feedback(runtime.route("xyzzy plugh"), "echo")
    assert runtime.route("xyzzy plugh").task == "echo"


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_mistakes_of_the_caller_are_named(runtime: Runtime, threshold: float) -> None:
    with pytest.raises(RequestError, match="the threshold is"):
        runtime.route("a", threshold=threshold)
    with pytest.raises(UnknownTask, match="no task 'mode'"):
        runtime.route("a", fallback="mode")
    with pytest.raises(UnknownTask):
        runtime.router.learn("a", "mode")
    with pytest.raises(UnknownTask):
        runtime.route_feedback(runtime.route("a"), "mode")


def test_it_is_kept_and_erased_with_the_state_folder(bundle: Bundle, tmp_path: Path) -> None:
    with Runtime.open(bundle, tmp_path, threads=1, config=CONFIG) as runtime:
        for _ in range(5):
            runtime.router.learn("xyzzy plugh", "echo")
        before = runtime.route("xyzzy").scores
    with Runtime.open(bundle, tmp_path, threads=1, config=CONFIG) as runtime:
        assert runtime.route("xyzzy").scores == before
        runtime.router.erase()
        assert runtime.router.lessons == {}
        assert runtime.route("xyzzy").scores != before
    assert not list(tmp_path.glob("router*"))


def test_alternating_tasks_keep_their_resident_prefixes(runtime: Runtime) -> None:
    resident = {key: held.tokens for key, held in runtime._buffer.active.resident.items()}
    with_prefix = [key for key, tokens in resident.items() if tokens]
    assert {task for task, _ in with_prefix} == {"mood", "echo"}
    for turn in range(4):
        for task, variant in with_prefix:
            text = f"{task} {variant} {turn}"
            runtime.route(text)
            usage = runtime.run(task, {"text": text}, variant=variant).usage
            assert usage.num_cached_tokens >= resident[task, variant], (task, variant, turn)


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "🙂", "x" * 1_000_000, "字" * 300_000, 'NEAR( * "'])
def test_any_text_is_routed_somewhere(runtime: Runtime, text: str) -> None:
    assert sum(runtime.route(text).scores.values()) == pytest.approx(1.0)


def test_what_is_no_text_is_refused(runtime: Runtime) -> None:
    with pytest.raises(InputRejected, match="of type NoneType"):
        runtime.route(None)  # type: ignore[arg-type]
    with pytest.raises(InputRejected, match="of type int"):
        runtime.router.learn(3, "echo")  # type: ignore[arg-type]
