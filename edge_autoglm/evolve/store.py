"""Scores on disk, so that a search that was killed goes on where it was and nothing is scored twice.

One file of JSON lines, only ever appended to; the first line says of which model and task the scores are. A search is
a function of its settings and of the scores, so that there is nothing else to write down. A last line that a kill tore
is cut off; damage anywhere else is an error, because a score that is silently wrong would choose the wrong prompt.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from edge_autoglm.errors import EvolveError, StateDamaged, StateNotWritable
from edge_autoglm.evolve.answers import Outcome
from edge_autoglm.learn.lock import FolderLock

SCORES = "scores.jsonl"
_SCHEMA = 1
_OTHER_FOLDER = "Name another folder, or delete this one to begin anew."


class ScoreStore:
    """Outcomes by what the model was asked; a context manager. One process at a time writes to a folder.

    Keys are digests of rendered prompts: scores stay valid as long as the model does, whatever a variant is called and
    however it is written, and the file has nobody's texts in it (but for generated ones).

    Args:
        folder: Made where it does not exist; ``None`` keeps everything in memory.
        model: Fingerprint of the model that scores.
        task: Name of the task.
        labels: Of the task.

    Raises:
        EvolveError: The folder has scores of another model or task.
        StateDamaged: A line is damaged; it is named.
        StateLocked: Another process writes to the folder.
        StateNotWritable: The folder cannot be written to.
    """

    def __init__(self, folder: Path | None, model: str, task: str, labels: Sequence[str] = ()) -> None:
        self._outcomes: dict[str, Outcome] = {}
        self._folder = folder
        self._header = {"schema": _SCHEMA, "model": model, "task": task, "labels": list(labels)}
        self._file: IO[bytes] | None = None
        self._lock: FolderLock | None = None
        self.torn = 0
        """Bytes of an unfinished line that were cut when the folder was opened."""

    def __enter__(self) -> ScoreStore:
        if self._folder is None:
            return self
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self._folder)
            self._open(self._folder / SCORES)
        except OSError as error:
            self.close()
            raise _not_writable(self._folder, error) from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._outcomes)

    def get(self, key: str) -> Outcome | None:
        """What is known of a prompt."""
        return self._outcomes.get(key)

    def put(self, key: str, outcome: Outcome) -> None:
        """Remember an outcome; it survives the death of the process from here on.

        Raises:
            StateNotWritable: The disk is full, say.
        """
        self._outcomes[key] = outcome
        if self._file is not None:
            self._append(_line(_record(key, outcome)))

    def close(self) -> None:
        """Let the folder go. Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _open(self, path: Path) -> None:
        content = path.read_bytes() if path.exists() else b""
        whole = content.rfind(b"\n") + 1
        self.torn = len(content) - whole
        self._read(path, content[:whole].split(b"\n")[:-1])
        self._file = path.open("ab", buffering=0)
        self._file.truncate(whole)
        if not whole:
            self._append(_line(self._header))

    def _read(self, path: Path, lines: Sequence[bytes]) -> None:
        for number, line in enumerate(lines, start=1):
            try:
                fields = json.loads(line)
                if number == 1:
                    self._check_header(path, fields)
                    continue
                key, outcome = _outcome(fields)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise StateDamaged(f"{path}, line {number}: the line is damaged", _OTHER_FOLDER) from error
            self._outcomes[key] = outcome

    def _check_header(self, path: Path, found: Any) -> None:
        if not isinstance(found, dict) or found.keys() != self._header.keys():
            raise ValueError("no header")
        for name, wanted in self._header.items():
            if found[name] != wanted:
                cause = f"{path} has scores of another {name}: {found[name]!r}, not {wanted!r}"
                raise EvolveError(cause, _OTHER_FOLDER)

    def _append(self, line: bytes) -> None:
        if self._file is None or self._folder is None:
            return
        try:
            self._file.write(line)  # unbuffered: one system call a line, which a kill leaves whole or torn at its end
        except OSError as error:
            raise _not_writable(self._folder, error) from error


def _record(key: str, outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {"asked": key}
    found |= {"logprobs": outcome.logprobs} if outcome.logprobs else {"text": outcome.text}
    return found | {"prompt_tokens": outcome.prompt_tokens, "cached_tokens": outcome.cached_tokens}


def _outcome(fields: Any) -> tuple[str, Outcome]:
    if not isinstance(fields, dict):
        raise ValueError("no object")
    logprobs = tuple(float(value) for value in fields.get("logprobs", ()))
    text = fields.get("text", "")
    key = fields["asked"]
    if not isinstance(key, str) or not isinstance(text, str):
        raise ValueError("no text")
    return key, Outcome(logprobs, text, int(fields["prompt_tokens"]), int(fields["cached_tokens"]))


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def _not_writable(folder: Path, error: OSError) -> StateNotWritable:
    cause = f"the folder {folder} cannot be written to: {error.strerror or os.strerror(error.errno or 0)}"
    return StateNotWritable(cause, "Free some space there, or name a folder that you may write to.")
