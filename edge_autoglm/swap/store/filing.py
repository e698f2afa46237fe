"""Putting a generation on the disk: aside, checked, made durable, renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.bundle import Bundle, FileEntry, fsync_folder
from edge_autoglm.bundle.checksums import sha256_file
from edge_autoglm.bundle.manifest import MANIFEST_NAME
from edge_autoglm.bundle.signature import SIGNATURE_NAME
from edge_autoglm.errors import BundleError
from edge_autoglm.swap.store.layout import BUNDLE, POLICY, RECORD, generation_folder, staging_folder

# What writing fails with; a copy that fails for anything else could not be read.
_WRITE_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


@dataclass(frozen=True, slots=True)
class Place:
    """A bundle whose files may be shared.

    Attributes:
        bundle: Not verified here.
        trusted: Whether it answers requests now: its files were verified when that began.
    """

    bundle: Bundle
    trusted: bool = False

    def find(self, entry: FileEntry) -> Path | None:
        """The file with that content."""
        for mine in self.bundle.manifest.files:
            if (mine.sha256, mine.size) == (entry.sha256, entry.size):
                return Path(os.path.realpath(self.bundle.root / mine.path))
        return None


def places_of(folder: Path, numbers: Sequence[int], bundle: Bundle, trusted: int | None) -> list[Place]:
    """Where to find the files of a new generation, the best place first.

    Args:
        folder: Of all generations.
        numbers: Of those that are kept.
        bundle: Of the new one.
        trusted: Number of the one that answers requests now: what the app's bundle was when that began may be something
            else by now.
    """
    found = [Place(bundle)]
    for number in sorted(numbers, reverse=True):
        try:
            kept = Bundle.open(generation_folder(folder, number) / BUNDLE, verify=False)
        except BundleError:
            continue
        if number == trusted:
            found.insert(0, Place(kept, trusted=True))
        else:
            found.append(Place(kept))
    return found


def file_generation(
    folder: Path, number: int, bundle: Bundle, record: bytes, policy: bytes | None, places: Sequence[Place]
) -> None:
    """Write a whole generation, or nothing.

    Args:
        folder: Of all generations.
        number: Not there yet.
        bundle: Its manifest says what to take over.
        record: Content of ``generation.json``.
        policy: Content of ``policy.safetensors``; ``None`` writes none.
        places: Where to find the files, the best first.

    Raises:
        BundleError: A file is nowhere as the manifest says.
        OSError: The disk is full, or fails; everything is as it was.
    """
    staged, final = staging_folder(folder, number), generation_folder(folder, number)
    try:
        shutil.rmtree(staged, ignore_errors=True)
        (staged / BUNDLE).mkdir(parents=True)
        for entry in bundle.manifest.files:
            _take_over(entry, staged / BUNDLE / entry.path, places)
        _write(staged / BUNDLE / MANIFEST_NAME, bundle.manifest.to_json().encode())
        _take_signature(bundle, staged / BUNDLE / SIGNATURE_NAME, places)
        if policy is not None:
            _write(staged / POLICY, policy)
        _write(staged / RECORD, record)
        for below in _folders(staged):
            fsync_folder(below)
        staged.rename(final)
        fsync_folder(folder)
    except BaseException:
        for path in (staged, final):
            shutil.rmtree(path, ignore_errors=True)
        raise


def _take_over(entry: FileEntry, target: Path, places: Sequence[Place]) -> None:
    """A hard link where there can be one, so that weights are stored once; a copy elsewhere."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = [(path, place.trusted) for place in places if (path := place.find(entry)) is not None]
    if any(_put(os.link, path, target, entry, trusted) for path, trusted in found):
        return
    if any(_put(shutil.copyfile, path, target, entry, False) for path, _ in found):
        return
    raise BundleError(
        f"{entry.path} with sha256 {entry.sha256} is not in {places[0].bundle.root} any more",
        "Leave a bundle where it is until it is swapped in.",
    )


def _take_signature(bundle: Bundle, target: Path, places: Sequence[Place]) -> None:
    """The manifest does not list it; whoever opens the generation checks it, where a key is asked for."""
    for place in places:
        signature = place.bundle.root / SIGNATURE_NAME
        if place.bundle.manifest == bundle.manifest and signature.is_file():
            _write(target, signature.read_bytes())
            return


def _put(put: Callable[[Path, Path], object], source: Path, target: Path, entry: FileEntry, trusted: bool) -> bool:
    """Whether the target is there now, with the content that the manifest says."""
    try:
        put(source, target)
        if trusted and target.stat().st_size == entry.size:
            return True
        if sha256_file(target, fsync=True) == entry.sha256:
            return True
    except OSError as error:
        if put is shutil.copyfile and error.errno in _WRITE_FAILURES:
            raise
    target.unlink(missing_ok=True)
    return False


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _folders(root: Path) -> Iterator[Path]:
    """A folder and those below it."""
    yield root
    yield from (path for path in root.rglob("*") if path.is_dir())
