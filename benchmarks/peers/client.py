"""The harness's end: starts a contestant's process, asks it, and sees that it rests before another one is measured."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import Answer, Prompt, Settings

_SHOWN = 600
_ROOT = Path(__file__).resolve().parents[2]
_RESTING_SHARE = 0.02
"""Of one core, below which a process counts as resting: thread pools spin for a while behind their last task."""
_REST_WINDOW = 0.05
_CLOSE_LIMIT = 30.0


class PeerFailure(Exception):
    """A contestant cannot be opened, has failed, or does not answer in time; the text says why."""


class PeerProcess:
    """A contestant in a process of its own.

    Args:
        kind: Of `worker.KINDS`.
        interpreter: A Python that has the contestant's package.
        log: File for what the process prints.
        limit: Seconds to wait for an answer.
        rest_limit: Seconds to wait until it computes nothing any more.
    """

    def __init__(self, kind: str, interpreter: str, log: Path, limit: float, rest_limit: float = 5.0) -> None:
        self._log, self._limit, self._rest_limit = log, limit, rest_limit
        # Wait policies are left alone: what a user gets who sets nothing. `settle` waits until spinning is over.
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    [interpreter, "-m", "benchmarks.peers.worker", kind],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    cwd=_ROOT,
                    env=environment,
                )
        except OSError as error:
            raise PeerFailure(f"{interpreter} cannot be started: {error.strerror}") from error

    def open(self, settings: Settings) -> dict[str, Any]:
        """Load the model; what the contestant says of itself."""
        about: dict[str, Any] = self._ask({"op": "open", "settings": dataclasses.asdict(settings)})["about"]
        return about

    def generate(self, prompts: Sequence[Prompt], new_tokens: int) -> list[Answer]:
        """See `Peer.generate`."""
        asked = [dataclasses.asdict(prompt) for prompt in prompts]
        reply = self._ask({"op": "generate", "prompts": asked, "new_tokens": new_tokens})
        return [Answer(**answer) for answer in reply["answers"]]

    def launches(self, prompts: Sequence[Prompt], new_tokens: int) -> int:
        """What a GPU runs while the prompts are continued: kernels, copies and fills.

        Raises:
            PeerFailure: That cannot be told, or the contestant fails.
        """
        asked = [dataclasses.asdict(prompt) for prompt in prompts]
        return int(self._ask({"op": "launches", "prompts": asked, "new_tokens": new_tokens})["launches"])

    def settle(self) -> float:
        """Wait until the process computes nothing; seconds that it took.

        Raises:
            PeerFailure: It keeps on computing, and would falsify what others are measured at.
        """
        started = time.perf_counter()
        while time.perf_counter() - started < self._rest_limit:
            before = _cpu_seconds(self._process.pid)
            time.sleep(_REST_WINDOW)
            if _cpu_seconds(self._process.pid) - before <= _RESTING_SHARE * _REST_WINDOW:
                return time.perf_counter() - started
        raise PeerFailure(f"it computes for {self._rest_limit:g} s after its answer")

    def close(self) -> None:
        """End the process, by force if need be. Idempotent."""
        with contextlib.suppress(OSError, ValueError):
            self._send({"op": "close"})
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(_CLOSE_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self._send(request)
        except OSError as error:
            raise PeerFailure(self._obituary()) from error
        line = self._read_line()
        if not line:
            raise PeerFailure(self._obituary())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise PeerFailure(str(reply["error"]))
        return reply

    def _send(self, request: dict[str, Any]) -> None:
        if self._process.stdin is None:
            raise ValueError("the process was started without standard input")
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _read_line(self) -> bytes:
        """One line; the process writes it at once, so that waiting for its beginning is waiting for all of it."""
        if self._process.stdout is None:
            raise ValueError("the process was started without standard output")
        ready, _, _ = select.select([self._process.stdout], [], [], self._limit)
        if not ready:
            self._process.kill()
            raise PeerFailure(f"no answer within {self._limit:.0f} s")
        return self._process.stdout.readline()

    def _obituary(self) -> str:
        code = self._process.wait(_CLOSE_LIMIT)
        lines = self._log.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
        return f"the process ended with {code}: {lines[-1][-_SHOWN:]}"


def _cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process (proc_pid_stat(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
