"""Writing a bundle: staged aside, hashed, made durable, renamed. There is never half a bundle at OUT."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from edge_autoglm import __version__
from edge_autoglm.bundle.atomic import fsync_folder
from edge_autoglm.bundle.bundle import Bundle
from edge_autoglm.bundle.checksums import hash_files
from edge_autoglm.bundle.manifest import (
    CREATOR,
    MANIFEST_NAME,
    EngineEntry,
    FileEntry,
    Manifest,
    ModelFacts,
    is_contained,
)
from edge_autoglm.bundle.staging import Staging, files_below, folders_below, prepare, replace
from edge_autoglm.errors import BundleError, DamagedBundle, ExportError
from edge_autoglm.values import Progress, silent

_CURES = {
    errno.ENOSPC: "Free some space there, or choose a folder on another disk.",
    errno.EDQUOT: "Free some of your quota there, or choose a folder on another disk.",
    errno.EFBIG: "Raise the file size limit (ulimit -f), or choose a folder on another disk.",
    errno.EROFS: "Choose a folder on a disk that can be written.",
    errno.EACCES: "Choose a folder that you may write to, or ask for the permission.",
    errno.EPERM: "Choose a folder that you may write to, or ask for the permission.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}
# What writing to an open file fails with; such an error names no file.
_WRITE_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class BundleWriter:
    """Writes a bundle to ``out`` in one step.

    A context manager: files are written to the paths that ``path`` hands out, then ``commit`` makes the bundle appear
    at ``out``. Leaving the context without a commit, for whatever reason, leaves ``out`` as it was and nothing beside
    it. An ``OSError`` of writing the bundle leaves the context as an ``ExportError``. Not for use by several threads.

    Args:
        out: Folder of the new bundle; its parents are made.
        overwrite: Whether a bundle that lies there may be replaced. Anything else that lies there never is.

    Raises:
        ExportError: On entering: ``out`` exists and may not be replaced, or cannot be written.

    Example:
        >>> with BundleWriter(Path("model.bundle")) as writer:  # doctest: +SKIP
        ...     writer.path("tokenizer.json").write_text(tokenizer)
        ...     bundle = writer.commit(model=facts, engines=[engine], source="model.gguf")
    """

    def __init__(self, out: Path, overwrite: bool = False) -> None:
        # A link is followed, so that what it points to is replaced and not the link; and the working folder may change.
        self._out = Path(os.path.realpath(out))
        self._overwrite = overwrite
        self._staging: Staging | None = None
        self._expected: dict[str, FileEntry] = {}

    def __enter__(self) -> BundleWriter:
        try:
            self._staging = prepare(self._out, self._overwrite)
        except OSError as error:
            raise self._export_error(error) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if isinstance(error, OSError) and self._concerns_writing(error):
                raise self._export_error(error) from error
        finally:
            self._close()

    def path(self, rel: str) -> Path:
        """Where to write a file of the bundle; its folder is made.

        Args:
            rel: POSIX path within the bundle.

        Raises:
            ExportError: The path leaves the bundle or is the manifest's.
        """
        if not is_contained(rel) or rel == MANIFEST_NAME:
            raise ExportError(f"{rel!r} cannot be the path of a file in a bundle", "Give another name.")
        target = self._folder / rel
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def link(self, source: Path, entry: FileEntry) -> None:
        """Take over a file of another bundle at the same path: as a hard link, or as a copy where there can be none.

        Args:
            source: The file.
            entry: What the other bundle's manifest says of it; ``commit`` fails if the content is different, so that
                damage is not passed on as a good file.

        Raises:
            BundleError: The file cannot be read.
        """
        target = self.path(entry.path)
        self._expected[entry.path] = entry
        source = Path(os.path.realpath(source))  # a link to a link would stay a link
        try:
            os.link(source, target)
        except OSError:
            self._copy(source, target)

    def commit(
        self,
        *,
        model: ModelFacts,
        engines: Sequence[EngineEntry],
        source: str,
        verification: dict[str, Any] | None = None,
        progress: Progress = silent,
    ) -> Bundle:
        """Hash the staged files, write the manifest, make all of it durable and rename it to ``out``.

        Args:
            model: Facts of the model.
            engines: Their graphs are among the staged files.
            source: The checkpoint, as it was named to the exporter.
            verification: Figures, as JSON values.
            progress: Stage ``hashing``, in bytes.

        Raises:
            ExportError: ``out`` was written by another process meanwhile, or ``verification`` is not JSON.
            DamagedBundle: A linked file is not what its manifest says.
        """
        folder = self._folder
        manifest = Manifest(
            created_by=f"{CREATOR} {__version__}",
            created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time())),
            source=source,
            model=model,
            engines=tuple(engines),
            files=self._hash_staged(folder, progress),
            verification={} if verification is None else verification,
        )
        _write_manifest(folder, manifest)
        Bundle.open(folder, verify=False)  # read back what was written while nothing has been replaced yet
        for below in folders_below(folder):
            fsync_folder(below)
        fsync_folder(folder)
        replace(self._out, self._staging_or_raise(), self._overwrite)
        self._close()
        return Bundle(self._out, manifest)

    def _close(self) -> None:
        if self._staging is not None:
            self._staging.close()
            self._staging = None

    @property
    def _folder(self) -> Path:
        return self._staging_or_raise().folder

    def _staging_or_raise(self) -> Staging:
        if self._staging is None:
            raise ExportError(f"the writer of {self._out} is not open", "Use it in a with statement.")
        return self._staging

    def _hash_staged(self, folder: Path, progress: Progress) -> tuple[FileEntry, ...]:
        files = tuple(hash_files(folder, files_below(folder), "hashing", progress, fsync=True))
        for entry in files:
            expected = self._expected.get(entry.path, entry)
            if entry != expected:
                raise DamagedBundle(
                    f"{entry.path} is not what its bundle says: expected sha256 {expected.sha256}, got {entry.sha256}",
                    "Copy the bundle it comes from again, or export it again.",
                )
        return files

    def _copy(self, source: Path, target: Path) -> None:
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            if self._concerns_writing(error):
                raise
            raise BundleError(
                f"{source} cannot be read: {(error.strerror or str(error)).lower()}",
                "Check its permissions and the disk.",
            ) from error

    def _concerns_writing(self, error: OSError) -> bool:
        """Whether an error inside the context is about the new bundle, and not about a file that is read for it."""
        named = [name for name in (error.filename, error.filename2) if isinstance(name, (str, bytes, os.PathLike))]
        if named:
            return any(self._is_ours(Path(os.path.realpath(os.fsdecode(name)))) for name in named)
        # NumPy's tofile reports a short write as a bare OSError; subclasses without errno are other people's.
        return error.errno in _WRITE_FAILURES or (type(error) is OSError and error.errno is None)

    def _is_ours(self, path: Path) -> bool:
        folders = [self._out] if self._staging is None else [self._out, self._staging.folder]
        return path == self._out.parent or any(path.is_relative_to(folder) for folder in folders)

    def _export_error(self, error: OSError) -> ExportError:
        reason = (error.strerror or str(error)).lower()
        cure = _CURES.get(error.errno or 0, "Check the disk and its free space, or choose another folder.")
        return ExportError(f"cannot write the bundle {self._out}: {reason}", cure)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    try:
        text = manifest.to_json()
    except (TypeError, ValueError) as error:
        raise ExportError(f"field verification is not JSON: {error}", "Give finite JSON values only.") from error
    with (folder / MANIFEST_NAME).open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
