import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.client import PeerFailure, PeerProcess
from benchmarks.peers.protocol import Answer, Prompt, Settings
from benchmarks.peers.worker import serve

SETTINGS = {"model": "m", "threads": 1, "rows": 1, "capacity": 8, "options": {}}
PROMPT = {"tokens": [5, 6], "text": "ab"}


class Counting:
    """Counts on from a prompt's last token; cannot count on from 0."""

    def __init__(self, settings: Settings) -> None:
        self.model = settings.model
        self.closed = False

    def describe(self) -> dict[str, Any]:
        return {"model": self.model}

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        if any(prompt.tokens[-1] == 0 for prompt in prompts):
            raise ValueError("nothing to count on from")
        rows = [[prompt.tokens[-1] + 1 + step for step in range(new_tokens)] for prompt in prompts]
        times = [0.5 + step for step in range(new_tokens)]
        return [Answer.of_tokens(prompt, row, times) for prompt, row in zip(prompts, rows, strict=True)]

    def close(self) -> None:
        self.closed = True


def converse(make: Callable[[Settings], Counting], *requests: dict[str, Any]) -> list[dict[str, Any]]:
    replies = io.StringIO()
    serve(io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), replies, make)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


def generate(*prompts: dict[str, Any]) -> dict[str, Any]:
    return {"op": "generate", "prompts": list(prompts), "new_tokens": 3}


def test_a_peer_is_opened_asked_and_closed() -> None:
    made: list[Counting] = []

    def make(settings: Settings) -> Counting:
        made.append(Counting(settings))
        return made[-1]

    replies = converse(make, {"op": "open", "settings": SETTINGS}, generate(PROMPT), {"op": "close"}, generate(PROMPT))
    assert replies[0] == {"about": {"model": "m"}}
    [answer] = [Answer(**content) for content in replies[1]["answers"]]
    assert (answer.tokens, answer.new_tokens, answer.first, answer.last) == ([7, 8, 9], 3, 0.5, 2.5)
    assert len(replies) == 2
    assert made[0].closed


def test_a_failure_is_an_answer_and_the_next_request_is_served() -> None:
    replies = converse(
        Counting,
        generate(PROMPT),
        {"op": "open", "settings": SETTINGS},
        generate({**PROMPT, "tokens": [0]}),
        generate(PROMPT),
    )
    assert replies[0] == {"error": "RuntimeError: no model is open"}
    assert replies[2] == {"error": "ValueError: nothing to count on from"}
    assert replies[3]["answers"][0]["tokens"] == [7, 8, 9]


def test_a_package_that_is_missing_is_an_answer(tmp_path: Path) -> None:
    # Isolated from the packages of this environment: whatever it has, that interpreter has none.
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    process = PeerProcess("openvino", str(bare), tmp_path / "log", 60.0)
    with pytest.raises(PeerFailure, match="No module named"):
        process.open(Settings(**SETTINGS))
    process.close()


def test_a_process_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    process = PeerProcess("nobody knows", sys.executable, tmp_path / "log", 60.0)
    with pytest.raises(PeerFailure, match="nobody knows"):
        process.open(Settings(**SETTINGS))
    process.close()
    dead = PeerProcess("edge", "/bin/false", tmp_path / "log", 60.0)
    with pytest.raises(PeerFailure, match="ended with 1: it printed nothing"):
        dead.open(Settings(**SETTINGS))
    dead.close()


def test_an_interpreter_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PeerFailure, match="cannot be started: No such file"):
        PeerProcess("edge", str(tmp_path / "python"), tmp_path / "log", 60.0)


def test_a_process_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    process = PeerProcess("edge", str(sleeper), tmp_path / "log", 0.1)
    with pytest.raises(PeerFailure, match="no answer within"):
        process.open(Settings(**SETTINGS))
    process.close()


def test_a_process_that_goes_on_computing_is_not_at_rest(tmp_path: Path) -> None:
    spinner = tmp_path / "python"
    spinner.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "while True: pass"\n')
    spinner.chmod(0o755)
    process = PeerProcess("edge", str(spinner), tmp_path / "log", 0.1, rest_limit=0.3)
    with pytest.raises(PeerFailure, match="it computes for"):
        process.settle()
    with pytest.raises(PeerFailure, match="no answer"):  # ends it
        process.open(Settings(**SETTINGS))
    process.close()
