"""Plans that a device built for itself: kept whole or not at all, refused where they are not what was built."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_autoglm.bundle import PlanEntry
from edge_autoglm.bundle.plan_folder import PlanFolder
from edge_autoglm.errors import BundleError, DamagedPlan, ExportError
from tests.bundle.samples import PLAN, tree

NAME = "tensorrt_rtx-1.7.1-linux-x86_64-sm86_89"


@pytest.fixture
def folder(tmp_path: Path) -> PlanFolder:
    return PlanFolder(tmp_path / "cache" / "plans" / "0123")


def writing(content: bytes, entry: PlanEntry = PLAN) -> Callable[[Path], PlanEntry]:
    """What stands for TensorRT's builder: it writes this plan."""

    def build(out: Path) -> PlanEntry:
        out.write_bytes(content)
        return entry

    return build


def test_a_bundles_folder_lies_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(tmp_path))
    assert PlanFolder.of("0123").root == tmp_path / "plans" / "0123"
    assert PlanFolder.of("0123").names() == []


def test_a_plan_is_found_again_with_what_it_is_for(folder: PlanFolder) -> None:
    kept = folder.keep(writing(b"plan"))
    assert folder.names() == [NAME]
    read = folder.read(NAME)
    assert read == kept
    assert dataclasses.replace(read.entry, path=PLAN.path) == PLAN
    assert folder.checked_path(read).read_bytes() == b"plan"


def test_checking_a_plan_is_told_in_bytes(folder: PlanFolder) -> None:
    calls: list[tuple[str, int, int]] = []
    folder.checked_path(folder.keep(writing(b"plan")), lambda *call: calls.append(call))
    assert calls == [("verifying", 0, 4), ("verifying", 4, 4)]


def test_a_new_plan_for_the_same_gpus_takes_the_old_ones_place(folder: PlanFolder) -> None:
    old = folder.keep(writing(b"old"))
    folder.kernels(old.sha256).write_bytes(b"compiled from it")
    others = folder.kernels("f" * 64)
    others.write_bytes(b"compiled from the bundle's own plan")
    new = folder.keep(writing(b"newer"))
    assert folder.read(NAME) == new != old
    assert sorted(tree(folder.root)) == sorted([f"{NAME}.json", new.entry.path, others.name])


def test_plans_of_other_gpus_and_versions_stay(folder: PlanFolder) -> None:
    folder.keep(writing(b"a"))
    folder.keep(writing(b"b", dataclasses.replace(PLAN, compute_capabilities=("8.6",))))
    folder.keep(writing(b"c", dataclasses.replace(PLAN, version="1.8.0")))
    assert [folder.checked_path(folder.read(name)).read_bytes() for name in folder.names()] == [b"b", b"a", b"c"]


def test_a_build_that_fails_leaves_nothing_and_spares_the_old_plan(folder: PlanFolder) -> None:
    def fail(out: Path) -> PlanEntry:
        out.write_bytes(b"half")
        raise ExportError("the graph cannot be compiled", "Export it again.")

    with pytest.raises(ExportError):
        folder.keep(fail)
    assert tree(folder.root) == {}
    kept = folder.keep(writing(b"plan"))
    before = tree(folder.root)
    with pytest.raises(ExportError):
        folder.keep(fail)
    assert tree(folder.root) == before
    assert folder.checked_path(kept).read_bytes() == b"plan"


def test_what_a_killed_build_left_goes_with_the_next(folder: PlanFolder) -> None:
    folder.keep(writing(b"old"))
    (folder.root / ".building.plan").write_bytes(b"half")
    (folder.root / f"{NAME}-01234567.plan").write_bytes(b"renamed, and never named by the file beside it")
    kept = folder.keep(writing(b"plan"))
    assert sorted(tree(folder.root)) == sorted([f"{NAME}.json", kept.entry.path])


@pytest.mark.skipif(sys.platform == "win32", reason="a folder cannot be locked there")
def test_builds_for_one_bundle_wait_for_each_other(folder: PlanFolder) -> None:
    first_builds, first_may_end, second_builds = threading.Event(), threading.Event(), threading.Event()

    def first(out: Path) -> PlanEntry:
        first_builds.set()
        first_may_end.wait(60)
        return writing(b"first")(out)

    def second(out: Path) -> PlanEntry:
        second_builds.set()
        return writing(b"second")(out)

    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(folder.keep, first)
        assert first_builds.wait(60)
        waiting = threads.submit(folder.keep, second)
        assert not second_builds.wait(0.2)
        first_may_end.set()
    assert slow.result() != waiting.result() == folder.read(NAME)


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_disk_that_fails_midway_spares_the_old_plan(
    folder: PlanFolder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder.keep(writing(b"plan"))
    real: Callable[..., None] = getattr(os, step)
    calls = 0

    def fail_the_second_time(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(28, "No space left on device")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail_the_second_time)
        with pytest.raises(BundleError, match="no space left on device"):
            folder.keep(writing(b"newer"))
    assert folder.checked_path(folder.read(NAME)).read_bytes() == b"plan"
    folder.keep(writing(b"newest"))
    assert len(tree(folder.root)) == 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match=r"file/plans: a plan cannot be kept there") as caught:
        PlanFolder(tmp_path / "file" / "plans").keep(writing(b"plan"))
    assert "EDGE_AUTOGLM_CACHE" in caught.value.cure


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "cannot be read: no such file"),
        (lambda file: file.write_bytes(b"pla"), "is damaged: expected 4 bytes, got 3"),
        (lambda file: file.write_bytes(b"plam"), "is damaged: expected sha256"),
    ],
)
def test_a_plan_that_is_not_what_was_built_is_refused(
    folder: PlanFolder, damage: Callable[[Path], object], message: str
) -> None:
    kept = folder.keep(writing(b"plan"))
    damage(folder.root / kept.entry.path)
    with pytest.raises(DamagedPlan, match=message) as caught:
        folder.checked_path(folder.read(NAME))
    assert kept.entry.path in caught.value.cause
    assert f"{NAME}.json" in caught.value.cure
    folder.keep(writing(b"plan"))  # the cure
    assert folder.checked_path(folder.read(NAME)).read_bytes() == b"plan"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["entry"].pop("rows"), r"field entry\.rows is missing"),
        (lambda content: content["entry"].update(page="128"), r"field entry\.page is of type str, expected int"),
        (lambda content: content.update(surplus=1), "field surplus is unknown"),
        (lambda content: content["entry"].update(path="../other.plan"), r"field entry\.path is '\.\./other\.plan'"),
    ],
)
def test_a_damaged_description_is_refused(
    folder: PlanFolder, change: Callable[[dict[str, object]], object], message: str
) -> None:
    folder.keep(writing(b"plan"))
    file = folder.root / f"{NAME}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(DamagedPlan, match=message) as caught:
        folder.read(NAME)
    assert str(file) in caught.value.cause
    file.write_bytes(b"\xff{")
    with pytest.raises(DamagedPlan, match=r"\.json is damaged"):
        folder.read(NAME)
