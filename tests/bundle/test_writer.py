from __future__ import annotations

import calendar
import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from edge_autoglm import __version__
from edge_autoglm.bundle import Bundle, BundleWriter
from edge_autoglm.errors import DamagedBundle, ExportError
from tests.bundle.samples import CONTENTS, ENGINE, FACTS, commit, stage, tree, write_bundle

OTHER = {**CONTENTS, "engine/model.onnx": b"another graph"}


def export(out: Path, finish: Callable[[BundleWriter], object], overwrite: bool = True) -> None:
    with BundleWriter(out, overwrite) as writer:
        stage(writer, OTHER)
        finish(writer)


def test_the_bundle_appears_on_commit_and_alone(tmp_path: Path) -> None:
    out = tmp_path / "new" / "parents" / "out"
    before = int(time.time())
    with BundleWriter(out) as writer:
        stage(writer)
        assert not out.exists()
        bundle = commit(writer)
        assert Bundle.open(out) == bundle
    assert bundle.root == out
    assert os.listdir(out.parent) == ["out"]
    assert set(tree(out)) == {*CONTENTS, "manifest.json"}
    assert bundle.manifest.created_by == f"edge-autoglm {__version__}"
    created = time.strptime(bundle.manifest.created_at + " UTC", "%Y-%m-%dT%H:%M:%SZ %Z")
    assert before <= calendar.timegm(created) <= time.time()


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write_bundle(tmp_path / "out") == Bundle.open(tmp_path / "out")


@pytest.mark.parametrize("raised", [ValueError("boom"), KeyboardInterrupt(), SystemExit(1), None])
@pytest.mark.parametrize("overwrite", [True, False])
def test_without_a_commit_nothing_changes(bundle: Bundle, raised: BaseException | None, overwrite: bool) -> None:
    before = tree(bundle.root.parent)
    out = bundle.root if overwrite else bundle.root.with_name("second")

    def interrupt(_: BundleWriter) -> None:
        if raised is not None:
            raise raised

    with nullcontext() if raised is None else pytest.raises(type(raised)):
        export(out, interrupt, overwrite)
    assert tree(bundle.root.parent) == before
    assert os.listdir(bundle.root.parent) == ["out"]


def test_a_progress_callback_can_cancel(bundle: Bundle) -> None:
    def cancel(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(bundle.root, lambda writer: writer.commit(model=FACTS, engines=[ENGINE], source="", progress=cancel))
    assert os.listdir(bundle.root.parent) == ["out"]
    assert Bundle.open(bundle.root) == bundle


def test_what_happens_after_the_commit_does_not_undo_it(tmp_path: Path) -> None:
    def commit_and_go_on(writer: BundleWriter) -> None:
        commit(writer)
        writer.path("late")

    with pytest.raises(ExportError, match="is not open"):
        export(tmp_path / "out", commit_and_go_on)
    assert Bundle.open(tmp_path / "out").manifest.model == FACTS
    assert os.listdir(tmp_path) == ["out"]


def test_an_existing_bundle_is_replaced_only_when_asked_to(bundle: Bundle) -> None:
    with pytest.raises(ExportError, match=r"exists and is not empty\. .*--force"):
        write_bundle(bundle.root, OTHER)
    assert Bundle.open(bundle.root) == bundle
    replaced = write_bundle(bundle.root, OTHER, overwrite=True)
    assert Bundle.open(bundle.root) == replaced
    assert replaced.digest != bundle.digest
    assert os.listdir(bundle.root.parent) == ["out"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "newer"])
def test_a_damaged_or_newer_bundle_may_be_replaced(bundle: Bundle, damage: str) -> None:
    manifest = bundle.root / "manifest.json"
    text = manifest.read_text()
    if damage == "flip":
        manifest.write_text(text.replace("tiny.gguf", "tinx.gguf"))
    elif damage == "newer":
        manifest.write_text(text.replace('"schema_version": 1', '"schema_version": 9'))
    elif damage == "truncate":
        bundle.path("engine/model.onnx").write_bytes(b"")
    else:
        bundle.path("engine/model.onnx").unlink()
    assert write_bundle(bundle.root, OTHER, overwrite=True) == Bundle.open(bundle.root)


@pytest.mark.parametrize(
    "foreign",
    [
        {"thesis.txt": b"years of work"},
        {".hidden": b""},
        {"manifest.json": b'{"name": "a web app", "icons": []}'},
        {"manifest.json": b"\xff"},
        {"sub/manifest.json": b"{}"},
    ],
)
def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path, foreign: dict[str, bytes]) -> None:
    for path, data in foreign.items():
        (tmp_path / "out" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / path).write_bytes(data)
    with pytest.raises(ExportError, match="out is not a bundle and is not overwritten"):
        write_bundle(tmp_path / "out", overwrite=True)
    assert tree(tmp_path / "out") == foreign
    assert os.listdir(tmp_path) == ["out"]


def test_an_empty_subfolder_does_not_make_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "out" / "sub").mkdir(parents=True)
    with pytest.raises(ExportError, match="is not a bundle"):
        write_bundle(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "sub").is_dir()


def test_a_bundle_with_something_else_in_it_is_not_replaced(bundle: Bundle) -> None:
    (bundle.root / "state").mkdir()
    (bundle.root / "state" / "journal").write_bytes(b"all that was learnt")
    with pytest.raises(ExportError, match="holds state/journal, which is not part of the bundle there"):
        write_bundle(bundle.root, OTHER, overwrite=True)
    assert Bundle.open(bundle.root) == bundle
    assert (bundle.root / "state" / "journal").read_bytes() == b"all that was learnt"


def test_what_appears_at_out_during_the_export_is_not_replaced(tmp_path: Path) -> None:
    def lose(writer: BundleWriter) -> None:
        write_bundle(tmp_path / "out", CONTENTS)
        writer.commit(model=FACTS, engines=[ENGINE], source="the loser")

    with pytest.raises(ExportError, match="exists and is not empty"):
        export(tmp_path / "out", lose, overwrite=False)
    assert Bundle.open(tmp_path / "out").manifest.source == "tiny.gguf"
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_and_a_mount_point_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    with pytest.raises(ExportError, match=r"file is a file\. "):
        write_bundle(tmp_path / "file", overwrite=True)
    with pytest.raises(ExportError, match="is a mount point"):
        write_bundle(Path(tmp_path.anchor), overwrite=True)
    with pytest.raises(ExportError, match=r"cannot write the bundle .*/file/out: "):
        write_bundle(tmp_path / "file" / "out")
    assert tree(tmp_path) == {"file": b"data"}


def test_a_link_at_out_is_followed_and_stays(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle.root)
    replaced = write_bundle(tmp_path / "current", OTHER, overwrite=True)
    assert (tmp_path / "current").is_symlink()
    assert replaced.root == bundle.root
    assert Bundle.open(bundle.root) == replaced


def test_the_working_folder_may_change_during_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with BundleWriter(Path("out")) as writer:
        monkeypatch.chdir("/")
        stage(writer)
        commit(writer)
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("rel", ["../out2/file", "/etc/file", "engine/../../file", "", ".", "manifest.json", "a\\b"])
def test_paths_out_of_the_bundle_are_refused(tmp_path: Path, rel: str) -> None:
    with BundleWriter(tmp_path / "out") as writer, pytest.raises(ExportError, match="cannot be the path of a file"):
        writer.path(rel)
    assert os.listdir(tmp_path) == []


def test_a_writer_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is not open"):
        BundleWriter(tmp_path / "out").path("file")


def test_what_cannot_be_read_back_is_never_renamed(bundle: Bundle) -> None:
    missing = dataclasses.replace(ENGINE, graph="engine/missing.onnx")
    with pytest.raises(DamagedBundle, match=r"'engine/missing\.onnx', which is not among the files"):
        export(bundle.root, lambda writer: writer.commit(model=FACTS, engines=[missing], source=""))
    figures = {"perplexity": float("nan")}
    with pytest.raises(ExportError, match="field verification"):
        export(bundle.root, lambda writer: writer.commit(model=FACTS, engines=[], source="", verification=figures))
    assert Bundle.open(bundle.root) == bundle
    assert os.listdir(bundle.root.parent) == ["out"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES])
def test_a_failed_write_is_told_with_folder_cause_and_cure(tmp_path: Path, code: int) -> None:
    with pytest.raises(ExportError) as caught, BundleWriter(tmp_path / "out") as writer:
        raise OSError(code, os.strerror(code), writer.path("engine/model.onnx.data"))
    assert caught.value.cause == f"cannot write the bundle {tmp_path / 'out'}: {os.strerror(code).lower()}"
    assert caught.value.cure.endswith(".")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError("4096 requested and 512 written")]
)
def test_a_failed_write_without_a_file_name_is_told_too(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(ExportError, match="cannot write the bundle"), BundleWriter(tmp_path / "out"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/source/config.json"),
        PermissionError(errno.EACCES, "Permission denied", "/source/model.safetensors"),
        OSError(errno.ENOSPC, "No space left on device", "/cache/download"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        TimeoutError("the hub did not answer"),
    ],
)
def test_trouble_with_other_files_is_passed_on_as_it_is(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError) as caught, BundleWriter(tmp_path / "out"):  # noqa: PT011 -- the very same object
        raise error
    assert caught.value is error
    assert os.listdir(tmp_path) == []


def test_a_name_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"file name too long\. Choose a shorter name\."):
        write_bundle(tmp_path / ("n" * 250))


HOLD = """
import sys
from pathlib import Path
from edge_autoglm.bundle import BundleWriter
with BundleWriter(Path(sys.argv[1])) as writer:
    writer.path("engine/model.onnx.data").write_bytes(bytes(1000))
    print("staged", flush=True)
    sys.stdin.read()
"""


def test_only_what_a_dead_process_staged_is_cleared_away(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "staged\n"
        (partial,) = os.listdir(tmp_path)
        assert partial.startswith(f".out.partial-{other.pid}-")
        with BundleWriter(out):
            assert (tmp_path / partial / "engine" / "model.onnx.data").stat().st_size == 1000
        other.send_signal(signal.SIGKILL)
    assert os.listdir(tmp_path) == [partial]
    write_bundle(out)
    assert os.listdir(tmp_path) == ["out"]


def test_staging_of_an_earlier_process_with_our_own_id_is_cleared_away(tmp_path: Path) -> None:
    # In a container every run has the same process id.
    stale = tmp_path / f".out.partial-{os.getpid()}-0"
    (stale / "engine").mkdir(parents=True)
    neighbour = tmp_path / ".out2.partial-1-0"
    neighbour.mkdir()
    write_bundle(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [neighbour.name, "out"]


@pytest.fixture
def aside(bundle: Bundle) -> Path:
    """What a writer that dies between its two renames leaves: the old bundle is aside, there is none at OUT."""
    folder = bundle.root.with_name(".out.previous-1-0")
    bundle.root.rename(folder)
    return folder


@pytest.mark.usefixtures("aside")
@pytest.mark.parametrize("empty_folder", [False, True])
def test_opening_puts_back_the_bundle_that_a_dead_writer_had_set_aside(bundle: Bundle, empty_folder: bool) -> None:
    if empty_folder:
        bundle.root.mkdir()
    assert Bundle.open(bundle.root) == bundle
    assert os.listdir(bundle.root.parent) == ["out"]


@pytest.mark.usefixtures("aside")
def test_writing_puts_back_the_bundle_that_a_dead_writer_had_set_aside(bundle: Bundle) -> None:
    with pytest.raises(ExportError, match="exists and is not empty"):
        write_bundle(bundle.root, OTHER)
    assert Bundle.open(bundle.root) == bundle
    assert os.listdir(bundle.root.parent) == ["out"]


def test_an_old_bundle_is_cleared_away_once_the_new_one_is_in_place(bundle: Bundle, aside: Path) -> None:
    shutil.copytree(aside, bundle.root)
    assert Bundle.open(bundle.root) == bundle
    assert aside.exists()
    write_bundle(bundle.root, OTHER, overwrite=True)
    assert os.listdir(bundle.root.parent) == ["out"]


def test_an_old_bundle_stays_while_something_else_lies_at_out(bundle: Bundle, aside: Path) -> None:
    bundle.root.mkdir()
    (bundle.root / "foreign").write_bytes(b"")
    with pytest.raises(ExportError, match="is not a bundle"):
        write_bundle(bundle.root, overwrite=True)
    assert Bundle.open(aside).digest == bundle.digest
