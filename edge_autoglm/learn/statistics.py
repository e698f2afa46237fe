"""What one device learnt, as a file for others: sums over its rewards, no request, no id, no text."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from edge_autoglm.bundle.atomic import write_bytes_atomic
from edge_autoglm.errors import PolicyError, StateDamaged, StateError
from edge_autoglm.learn.journal import PRIVATE, not_writable
from edge_autoglm.learn.models.base import ModelState
from edge_autoglm.learn.snapshot_format import decode, encode

_KIND = {"kind": "statistics", "schema": 1}


@dataclass(frozen=True, slots=True)
class Statistics:
    """A policy's statistics.

    Attributes:
        policy: What was learnt.
        digest: Of the file, in hex.
        content: Of the file.
    """

    policy: ModelState
    digest: str
    content: bytes


def write_statistics(path: Path, policy: ModelState) -> None:
    """Write a policy's statistics.

    Raises:
        StateNotWritable: The file cannot be written; a former one is as it was.
    """
    try:
        write_bytes_atomic(path, encode(ModelState(_KIND | {"policy": policy.facts}, policy.arrays)), mode=PRIVATE)
    except OSError as error:
        raise not_writable(path.parent, error) from error


def read_statistics(path: Path) -> Statistics:
    """Statistics that `write_statistics` wrote.

    Raises:
        StateError: The file cannot be read.
        StateDamaged: It is not as it was written, or no such file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StateError(f"the file {path} cannot be read: {error.strerror or error}", "Check its name.") from error
    try:
        stored = decode(content)
        if {name: stored.facts.get(name) for name in _KIND} != _KIND:
            raise ValueError("it holds something else, or is of another version")
    except ValueError as error:
        raise StateDamaged(f"the statistics {path} are of no use: {error}", "Export them again.") from error
    return Statistics(ModelState(stored.facts["policy"], stored.arrays), sha256(content).hexdigest(), content)


def no_statistics(digest: str) -> ModelState:
    """Where nothing that was merged can be found again.

    Raises:
        PolicyError: Always.
    """
    raise PolicyError(f"the merged statistics {digest[:32]} are those of another policy", "Merge them again.")


class MergedFiles:
    """The files that were merged into a state folder, kept there for as long as a replay needs them.

    Args:
        folder: Exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, content: bytes, digest: str) -> None:
        """Keep the content of a file.

        Raises:
            StateNotWritable: It cannot be written.
        """
        try:
            write_bytes_atomic(self._path(digest), content, mode=PRIVATE)
        except OSError as error:
            raise not_writable(self._folder, error) from error

    def read(self, digest: str) -> ModelState:
        """What was merged.

        Raises:
            StateDamaged: The file is gone or altered.
        """
        path = self._path(digest)
        found = read_statistics(path) if path.exists() else None
        if found is None or found.digest != digest:
            raise StateDamaged(
                f"the merged statistics {path} are missing or altered",
                "Restore the state folder from a backup, or start with a new one.",
            )
        return found.policy

    def drop(self, digests: frozenset[str]) -> None:
        """Delete those that no replay needs any more.

        Raises:
            StateNotWritable: A file cannot be deleted.
        """
        try:
            for digest in digests:
                self._path(digest).unlink(missing_ok=True)
        except OSError as error:
            raise not_writable(self._folder, error) from error

    def _path(self, digest: str) -> Path:
        return self._folder / f"merged-{digest[:32]}.safetensors"
