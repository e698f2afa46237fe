"""A process killed at any step, and a disk that fills up at any byte: never half a bundle, never no bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edge_autoglm.bundle import Bundle, BundleWriter
from edge_autoglm.errors import ExportError
from tests.bundle.samples import CONTENTS, commit, stage, tree, write_bundle

ROOT = Path(__file__).parents[2]
OTHER = {**CONTENTS, "engine/model.onnx": b"another graph"}

# Forks a child a step; the child replaces the bundle and kills itself just before its n-th file operation.
KILLER = """
import json, os, signal, sys
from pathlib import Path
from edge_autoglm.bundle import Bundle
from tests.bundle.samples import tree, write_bundle
from tests.bundle.test_crash import OTHER

out = Path(sys.argv[1])
watched = {"open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree", "fcntl.flock"}

def replace_until(step):
    operations = 0
    def hook(event, arguments):
        nonlocal operations
        if event in watched:
            operations += 1
            if operations == step:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    write_bundle(out, OTHER, overwrite=True)
    os._exit(0)

step, seen, siblings, finished = 0, [], set(), False
write_bundle(out)
while not finished:
    step += 1
    child = os.fork()
    if child == 0:
        replace_until(step)
    finished = os.waitpid(child, 0)[1] == 0
    siblings |= {name.split("-")[0] for name in os.listdir(out.parent)}
    seen.append(Bundle.open(out).digest)
    write_bundle(out, overwrite=True)
    assert os.listdir(out.parent) == [out.name], os.listdir(out.parent)
print(json.dumps({"seen": seen, "siblings": sorted(siblings)}))
"""


def run(script: str, *arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_before_any_file_operation_either_the_old_or_the_new_bundle_is_there(tmp_path: Path) -> None:
    old = write_bundle(tmp_path / "old").digest
    new = write_bundle(tmp_path / "new", OTHER).digest
    (tmp_path / "parent").mkdir()
    report = json.loads(run(KILLER, str(tmp_path / "parent" / "out")))
    seen = report["seen"]
    turn = seen.index(new)
    assert seen == [old] * turn + [new] * (len(seen) - turn)
    assert turn > 20
    assert report["siblings"] == [".out.partial", ".out.previous", "out"]  # every kind of leftover was met


REPLACER = """
import sys
from pathlib import Path
from tests.bundle.samples import CONTENTS, write_bundle
from tests.bundle.test_crash import OTHER

for _ in range(int(sys.argv[2])):
    for contents in (OTHER, CONTENTS):
        write_bundle(Path(sys.argv[1]), contents, overwrite=True)
"""


@pytest.mark.stress
def test_a_bundle_that_is_being_replaced_opens_as_the_old_or_the_new_one(bundle: Bundle, tmp_path: Path) -> None:
    valid = {bundle.digest, write_bundle(tmp_path / "other", OTHER).digest}
    seen = set()
    with subprocess.Popen([sys.executable, "-c", REPLACER, str(bundle.root), "12"], cwd=ROOT) as replacer:
        while replacer.poll() is None:
            seen.add(Bundle.open(bundle.root).digest)
    assert replacer.returncode == 0
    assert seen == valid
    assert os.listdir(bundle.root.parent) == ["out"]


# Opens the bundle; when it looks into the folder first, a process that replaces it has just renamed it and died.
RENAMED = """
import os, sys
from pathlib import Path
from edge_autoglm.bundle import Bundle

out = Path(sys.argv[1])

def hook(event, arguments):
    if event in ("os.listdir", "os.scandir") and arguments and os.fspath(arguments[0]) == str(out) and out.exists():
        if not renamed:
            renamed.append(True)
            out.rename(out.with_name(".out.previous-1-abcd"))

renamed = []
sys.addaudithook(hook)
print(Bundle.open(out).digest, *renamed)
"""


def test_a_bundle_that_is_renamed_while_it_is_looked_for_is_found(bundle: Bundle) -> None:
    assert run(RENAMED, str(bundle.root)).split() == [bundle.digest, "True"]


# Replaces the bundle; something happens between the rename of the old one and that of the new one.
BETWEEN = """
import os, sys, time
from pathlib import Path
from edge_autoglm.errors import ExportError
from tests.bundle.samples import write_bundle
from tests.bundle.test_crash import OTHER

out, happening = Path(sys.argv[1]), sys.argv[2]

def hook(event, arguments):
    if event == "os.rename" and os.fspath(arguments[1]) == str(out) and not out.exists():
        if ".previous-" in os.fspath(arguments[0]):
            return
        print("between", flush=True)
        if happening == "error":
            raise OSError(5, "Input/output error", str(out))
        if happening == "interrupt":
            raise KeyboardInterrupt
        time.sleep(0.5)

sys.addaudithook(hook)
try:
    write_bundle(out, OTHER, overwrite=True)
except (ExportError, KeyboardInterrupt) as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("happening", "told"),
    [("error", "ExportError cannot write the bundle {out}: input/output error"), ("interrupt", "KeyboardInterrupt")],
)
def test_when_the_last_rename_fails_the_old_bundle_is_put_back(bundle: Bundle, happening: str, told: str) -> None:
    between, message = run(BETWEEN, str(bundle.root), happening).splitlines()
    assert between == "between"
    assert message.startswith(told.format(out=bundle.root))
    assert os.listdir(bundle.root.parent) == ["out"]
    assert Bundle.open(bundle.root) == bundle


@pytest.mark.skipif(sys.platform == "win32", reason="needs folder locks")
def test_opening_between_the_two_renames_of_a_live_writer_waits_for_it(bundle: Bundle, tmp_path: Path) -> None:
    new = write_bundle(tmp_path / "new", OTHER).digest
    command = [sys.executable, "-c", BETWEEN, str(bundle.root), "pause"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "between\n"
        assert Bundle.open(bundle.root).digest == new
        assert writer.stdout.read() == ""
    assert writer.returncode == 0


# A write beyond the limit fails with EFBIG; no file system of its own is needed.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from edge_autoglm.errors import ExportError
from tests.bundle.samples import write_bundle
from tests.bundle.test_crash import OTHER

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_bundle(Path(sys.argv[1]), OTHER, overwrite=True)
except ExportError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("limit", [100, 1000], ids=["in a staged file", "in the manifest"])
def test_a_write_that_fails_leaves_the_old_bundle_and_nothing_else(bundle: Bundle, limit: int) -> None:
    before = tree(bundle.root.parent)
    message = run(LIMITED, str(bundle.root), str(limit))
    assert message.startswith(f"cannot write the bundle {bundle.root}: file too large. Raise the file size limit")
    assert message.count("\n") == 1
    assert tree(bundle.root.parent) == before
    assert os.listdir(bundle.root.parent) == ["out"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB of our own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk_leaves_the_old_bundle_and_nothing_else(small_disk: Path) -> None:
    old = write_bundle(small_disk / "out")
    for size in (250_000, 10_000_000):
        with pytest.raises(ExportError) as caught:
            write_bundle(small_disk / "out", {**CONTENTS, "engine/model.onnx.data": bytes(size)}, overwrite=True)
        assert caught.value.cause == f"cannot write the bundle {small_disk / 'out'}: no space left on device"
        assert caught.value.cure == "Free some space there, or choose a folder on another disk."
        assert os.listdir(small_disk) == ["out"]
        assert Bundle.open(small_disk / "out") == old


def test_a_disk_that_fills_up_at_the_manifest_leaves_nothing(small_disk: Path) -> None:
    def export() -> None:
        with BundleWriter(small_disk / "out") as writer:
            stage(writer)
            fill(small_disk / "ballast")
            commit(writer)

    with pytest.raises(ExportError, match="no space left on device"):
        export()
    assert os.listdir(small_disk) == ["ballast"]


def test_a_copy_that_does_not_fit_is_told(bundle: Bundle, small_disk: Path, tmp_path: Path) -> None:
    large = write_bundle(tmp_path / "large", {**CONTENTS, "engine/model.onnx.data": bytes(1_000_000)})
    task = tmp_path / "task.yaml"
    task.write_bytes(b"name: task\n")
    with pytest.raises(ExportError, match="no space left on device"):
        large.derive(small_disk / "out", [task])
    assert os.listdir(small_disk) == []
    assert bundle.derive(small_disk / "out", [task]).fingerprint == bundle.fingerprint


def test_a_disk_that_cannot_be_written_is_told(small_disk: Path) -> None:
    old = write_bundle(small_disk / "out")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert Bundle.open(small_disk / "out") == old
    with pytest.raises(ExportError, match=r"read-only file system\. Choose a folder on a disk that can be written\."):
        write_bundle(small_disk / "out", OTHER, overwrite=True)
    assert Bundle.open(small_disk / "out") == old


def test_a_mount_point_is_refused_before_the_work(small_disk: Path) -> None:
    with pytest.raises(ExportError, match=r"is a mount point.* Name a folder inside it\."), BundleWriter(small_disk):
        pytest.fail("the body must not run")
