"""A bundle: the folder that is deployed. Checked before anything of it is used."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edge_autoglm.bundle.checksums import digest_of, hash_files
from edge_autoglm.bundle.manifest import MANIFEST_NAME, EngineEntry, FileEntry, Manifest, engine_json
from edge_autoglm.bundle.signature import Signature, check_signature, read_signature
from edge_autoglm.bundle.staging import recover
from edge_autoglm.errors import BundleError, DamagedBundle, ForeignBundle, TaskFileError
from edge_autoglm.values import Progress, silent

TOKENIZER = "tokenizer.json"
CHAT_TEMPLATE = "chat_template.jinja"
ENGINE_FOLDER = "engine/"
PROMPT_FOLDER = "prompts/"
TASK_SUFFIX = ".yaml"
_SOFT_PROMPTS = "soft_prompts/"

_COPY_AGAIN = "Copy the bundle again from where it came, or export it again."


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle; immutable, to be shared between threads at will.

    Attributes:
        root: The folder, absolute, links resolved.
        manifest: What it holds.
    """

    root: Path
    manifest: Manifest

    @classmethod
    def open(
        cls,
        path: str | Path,
        verify: bool = True,
        progress: Progress = silent,
        *,
        trusted_keys: Sequence[str] | None = None,
    ) -> Bundle:
        """Read the manifest and check the files against it. Files that it does not list are ignored.

        Args:
            path: The folder.
            verify: Also hash every file; otherwise sizes are compared only.
            progress: Stage ``verifying``, in bytes.
            trusted_keys: Public keys, one of which must have signed it (then every file is hashed in any case);
                ``None`` asks for no signature.

        Raises:
            ForeignBundle: Not a bundle, or of another schema version.
            DamagedBundle: A file is missing, resized or altered; the cause names it.
            UntrustedBundle: None of the trusted keys has signed it as it is.
            BundleError: A file cannot be read.
        """
        root = Path(os.path.realpath(path))
        while True:  # again only if another process put a new bundle there meanwhile
            with _reading(root):
                recover(root)
            before = _identity(root)
            try:
                manifest = _read_checked(root, verify, progress, trusted_keys)
            except BundleError:
                if _identity(root) == before:
                    raise
            else:
                if _identity(root) == before:
                    return cls(root, manifest)

    def path(self, rel: str) -> Path:
        """Absolute path of a file of the bundle.

        Raises:
            BundleError: The manifest lists no such file.
        """
        if not self._lists(rel):
            raise BundleError(f"the bundle {self.root} has no {rel}", "Export the model again.")
        return self.root / rel

    @property
    def tokenizer_path(self) -> Path:
        """The ``tokenizers`` file.

        Raises:
            BundleError: The bundle has none.
        """
        return self.path(TOKENIZER)

    @property
    def chat_template(self) -> str | None:
        """Jinja source of the model's chat template; ``None`` for a base model.

        Raises:
            DamagedBundle: The file is not UTF-8.
            BundleError: The file cannot be read.
        """
        if not self._lists(CHAT_TEMPLATE):
            return None
        with _reading(self.root):
            return _decode(self.root / CHAT_TEMPLATE)

    def task_files(self) -> list[Path]:
        """The task files, sorted by name."""
        return sorted(
            self.root / entry.path
            for entry in self.manifest.files
            if entry.path.startswith(PROMPT_FOLDER) and entry.path.endswith(TASK_SUFFIX)
        )

    def engine(self, kind: str) -> EngineEntry:
        """The engine of a kind.

        Raises:
            BundleError: The bundle has none of that kind; the cause lists those it has.
        """
        for entry in self.manifest.engines:
            if entry.kind == kind:
                return entry
        present = ", ".join(entry.kind for entry in self.manifest.engines) or "none"
        raise BundleError(
            f"the bundle {self.root} has no engine of kind {kind!r}; it has: {present}",
            "Export the model for that target, or open it with an engine that is there.",
        )

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal characters that change with what decides a prompt's answer only.

        That is the engine, the tokenizer, the chat template, and what is said of them for loading them.
        """
        model = dataclasses.asdict(dataclasses.replace(self.manifest.model, name=""))
        engines = [(entry.kind, entry.graph, entry.precision, entry.kv_type) for entry in self.manifest.engines]
        deciding = [
            entry
            for entry in self.manifest.files
            if entry.path.startswith(ENGINE_FOLDER) or entry.path in (TOKENIZER, CHAT_TEMPLATE)
        ]
        return digest_of(deciding, (model, engines))

    @property
    def signature(self) -> Signature | None:
        """Who signed it, unchecked; ``None`` for nobody.

        Raises:
            UntrustedBundle: The signature's file is damaged.
        """
        return read_signature(self.root)

    @property
    def digest(self) -> str:
        """16 hexadecimal characters that change with any file, and with what the manifest says of model and engines."""
        engines = [engine_json(entry) for entry in self.manifest.engines]
        return digest_of(self.manifest.files, (dataclasses.asdict(self.manifest.model), engines))

    def derive(
        self,
        out: Path,
        task_files: Sequence[Path],
        progress: Progress = silent,
        *,
        soft_prompts: Mapping[str, bytes] = MappingProxyType({}),
    ) -> Bundle:
        """Write a bundle with the same engine, tokenizer and soft prompts, and other prompts.

        Files that stay the same are hard links, so that this costs next to no space; copies where links are impossible.

        Args:
            out: Folder of the new bundle.
            task_files: Its task files; they keep their names.
            progress: Stage ``hashing``, in bytes.
            soft_prompts: Files of soft prompts to add, by name; one of the same name is replaced.

        Raises:
            TaskFileError: A task file cannot be read, is not named ``*.yaml``, or two have one name.
            DamagedBundle: A file of this bundle is not what its manifest says.
            ExportError: ``out`` cannot be written.
        """
        from edge_autoglm.bundle.writer import BundleWriter  # it returns bundles, so it imports this module

        prompts = _read_task_files(task_files)
        added = {soft_prompt_file(name): content for name, content in soft_prompts.items()}
        added |= {PROMPT_FOLDER + name: content for name, content in prompts.items()}
        kept = [
            entry
            for entry in self.manifest.files
            if not entry.path.startswith(PROMPT_FOLDER) and entry.path not in added
        ]
        with _reading(self.root):
            for entry in kept:
                _check_size(self.root, entry)
        with BundleWriter(out) as writer:
            for entry in kept:
                writer.link(self.root / entry.path, entry)
            for path, content in added.items():
                writer.path(path).write_bytes(content)
            return writer.commit(
                model=self.manifest.model,
                engines=self.manifest.engines,
                source=self.manifest.source,
                verification=self.manifest.verification,
                progress=progress,
            )

    def _lists(self, rel: str) -> bool:
        return any(entry.path == rel for entry in self.manifest.files)


def soft_prompt_file(name: str) -> str:
    """Path, within a bundle, of the soft prompt of a name."""
    return f"{_SOFT_PROMPTS}{name}.kv"


@contextmanager
def _reading(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"{error.filename or root} cannot be read: {(error.strerror or str(error)).lower()}",
            "Check its permissions and the disk.",
        ) from error


def _identity(root: Path) -> tuple[int, int, int] | None:
    """Changes when another folder is renamed to this path, even one that was given a deleted folder's inode."""
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _read_checked(root: Path, verify: bool, progress: Progress, trusted_keys: Sequence[str] | None) -> Manifest:
    with _reading(root):
        manifest = _read_manifest(root)
        if trusted_keys is not None:
            check_signature(root, manifest, trusted_keys)
        for entry in manifest.files:
            _check_size(root, entry)
        if verify or trusted_keys is not None:
            _check_contents(root, manifest, progress)
    return manifest


def _read_manifest(root: Path) -> Manifest:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise ForeignBundle(f"{root} {what}", "Give the folder that `edge-autoglm export` wrote.")
    file = root / MANIFEST_NAME
    if not file.exists():
        raise ForeignBundle(
            f"{root} is not a bundle: it has no {MANIFEST_NAME}", "Give the folder that `edge-autoglm export` wrote."
        )
    return Manifest.from_json(_decode(file), str(file))


def _decode(file: Path) -> str:
    try:
        return file.read_bytes().decode()  # read_text would translate line ends
    except UnicodeDecodeError as error:
        raise DamagedBundle(f"{file} is damaged: {error}", _COPY_AGAIN) from error


def _check_size(root: Path, entry: FileEntry) -> None:
    file = root / entry.path
    if not Path(os.path.realpath(file)).is_relative_to(root):
        raise DamagedBundle(f"{file} is a link that leaves the bundle", _COPY_AGAIN)
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamagedBundle(f"{file} is missing", _COPY_AGAIN) from error
    if not stat.S_ISREG(status.st_mode):
        raise DamagedBundle(f"{file} is not a file", _COPY_AGAIN)
    if status.st_size != entry.size:
        raise DamagedBundle(f"{file} is damaged: expected {entry.size} bytes, got {status.st_size}", _COPY_AGAIN)


def _check_contents(root: Path, manifest: Manifest, progress: Progress) -> None:
    paths = [entry.path for entry in manifest.files]
    for expected, found in zip(manifest.files, hash_files(root, paths, "verifying", progress), strict=True):
        if found != expected:
            raise DamagedBundle(
                f"{root / expected.path} is damaged: expected sha256 {expected.sha256}, got {found.sha256}", _COPY_AGAIN
            )


def _read_task_files(files: Sequence[Path]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for file in files:
        if file.suffix != TASK_SUFFIX:
            raise TaskFileError(f"the task file {file} is not named *{TASK_SUFFIX}", "Rename it.")
        if file.name in contents:
            raise TaskFileError(f"two task files are named {file.name}, one of them {file}", "Rename one of them.")
        try:
            contents[file.name] = file.read_bytes()
        except OSError as error:
            raise TaskFileError(
                f"the task file {file} cannot be read: {(error.strerror or str(error)).lower()}", "Check its path."
            ) from error
    return contents
