"""Swaps through the public API, while requests run."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from edge_autoglm import Bundle, Rejected, RolledBack, Runtime, Swapped, export_model
from edge_autoglm.errors import SwapError
from edge_autoglm.facade.config import RuntimeConfig
from tests.checkpoints import write_tiny_llama

WORDS = ("good", "great", "bad", "a film", "the movie of this user")


def _teach(runtime: Runtime, best: str, rounds: int) -> None:
    for number in range(rounds):
        reply = runtime.run("mood", {"text": f"film {number}"})
        runtime.feedback(reply.id, 1.0 if reply.variant == best else 0.0)


def test_promotion_puts_what_was_learnt_live_and_rollback_takes_it_back(runtime: Runtime) -> None:
    _teach(runtime, "framed", 90)
    assert runtime.run("mood", {"text": "x"}).propensity == pytest.approx(1 / 3)
    assert runtime.learner.promote() == Swapped(2)
    chosen = [runtime.run("mood", {"text": f"x {number}"}) for number in range(20)]
    assert sum(reply.variant == "framed" and reply.propensity > 0.8 for reply in chosen) > 14
    assert {reply.generation for reply in chosen} == {2}
    assert isinstance(runtime.learner.rollback(), RolledBack)
    assert runtime.run("mood", {"text": "x"}).propensity == pytest.approx(1 / 3)
    with pytest.raises(SwapError, match="roll back"):
        runtime.learner.rollback()


def test_rewards_promote_by_themselves(bundle: Bundle) -> None:
    with Runtime.open(bundle, threads=1, config=RuntimeConfig(seed=1, promote_every=20)) as runtime:
        _teach(runtime, "framed", 20)
        # Behind the promotion in the only standby thread, so that it has ended when this has.
        assert isinstance(runtime.learner.promote(), Swapped)
        assert runtime.generation == 3


def test_a_new_prompt_set_shares_the_weights(
    runtime: Runtime, bundle: Bundle, task_files: list[Path], tmp_path: Path
) -> None:
    changed = tmp_path / "mood.yaml"
    mood = next(file for file in task_files if file.name == "mood.yaml")
    changed.write_text(mood.read_text().replace("name: framed", "name: reframed"))
    derived = bundle.derive(tmp_path / "derived", [changed])
    assert runtime.swap(derived) == Swapped(2)
    assert runtime.tasks == {"mood": ("plain", "reframed", "chat")}
    previous = runtime._buffer.previous
    assert previous is not None
    engines: list[Any] = [generation.model.engine for generation in (runtime._buffer.active, previous)]
    assert engines[0]._model is engines[1]._model
    assert runtime._buffer.active.model.kv is previous.model.kv


def test_a_damaged_bundle_is_rejected_and_the_file_named(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    derived = bundle.derive(tmp_path / "derived", bundle.task_files())
    weights = derived.root / "engine" / "model.onnx.data"
    data = bytearray(weights.read_bytes())
    weights.unlink()  # it is a hard link: the other bundle must stay whole
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    outcome = runtime.swap(derived.root)
    assert isinstance(outcome, Rejected)
    assert "model.onnx.data" in outcome.reason
    assert runtime.generation == 1
    assert runtime.run("mood", {"text": "x"}).label


def test_another_model_is_rejected_for_what_it_says(runtime: Runtime, task_files: list[Path], tmp_path: Path) -> None:
    other = export_model(
        write_tiny_llama(tmp_path / "other", seed=9), tmp_path / "bundle", "fp32", tasks=task_files, proof=False
    )
    outcome = runtime.swap(other)
    assert isinstance(outcome, Rejected)
    assert "KL" in outcome.reason


def test_answers_do_not_change_while_generations_do(runtime: Runtime) -> None:
    expected = {text: runtime.run("mood", {"text": text}, variant="framed").scores for text in WORDS}
    stop, answered = threading.Event(), [0] * 3
    failures: list[object] = []

    def ask(worker: int) -> None:
        while not stop.is_set():
            text = WORDS[answered[worker] % len(WORDS)]
            try:
                scores = runtime.run("mood", {"text": text}, variant="framed").scores
            except Exception as error:
                failures.append(error)
                return
            if scores != expected[text]:
                failures.append((text, scores))
            answered[worker] += 1

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    outcomes = [runtime.learner.promote() for _ in range(25)]
    stop.set()
    for thread in threads:
        thread.join()
    assert outcomes == [Swapped(number) for number in range(2, 27)]
    assert not failures
    assert all(answered)
