from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_autoglm.bundle import Bundle
from edge_autoglm.errors import BundleError, DamagedBundle, ExportError, TaskFileError
from tests.bundle.samples import CONTENTS, PLAN, forbid, tree, write_planned_bundle

KEPT = {path for path in CONTENTS if not path.startswith("prompts/")}


@pytest.fixture
def task(tmp_path: Path) -> Path:
    file = tmp_path / "new.yaml"
    file.write_bytes(b"name: new\n")
    return file


def test_a_derived_bundle_shares_the_engine_and_has_prompts_of_its_own(
    bundle: Bundle, tmp_path: Path, task: Path
) -> None:
    calls: list[tuple[str, int, int]] = []
    derived = bundle.derive(tmp_path / "derived", [task], lambda *call: calls.append(call))
    assert Bundle.open(derived.root) == derived
    assert {entry.path for entry in derived.manifest.files} == KEPT | {"prompts/new.yaml"}
    assert [file.read_bytes() for file in derived.task_files()] == [b"name: new\n"]
    assert all((derived.root / path).samefile(bundle.root / path) for path in KEPT)
    assert derived.fingerprint == bundle.fingerprint
    assert derived.digest != bundle.digest
    assert derived.manifest.model == bundle.manifest.model
    assert derived.manifest.engines == bundle.manifest.engines
    assert derived.manifest.verification == bundle.manifest.verification
    assert calls[-1][0] == "hashing"
    assert calls[-1][1] == calls[-1][2] > 0


def test_plans_go_along(tmp_path: Path, task: Path) -> None:
    planned = write_planned_bundle(tmp_path / "planned")
    derived = Bundle.open(planned.derive(tmp_path / "derived", [task]).root)
    assert [engine.plans for engine in derived.manifest.engines] == [(PLAN,)]
    assert derived.path(PLAN.path).samefile(planned.path(PLAN.path))
    assert derived.fingerprint == planned.fingerprint


def test_deleting_either_bundle_leaves_the_other_whole(bundle: Bundle, tmp_path: Path, task: Path) -> None:
    derived = bundle.derive(tmp_path / "derived", [task])
    for path in bundle.root.rglob("*.onnx*"):
        path.unlink()
    assert Bundle.open(derived.root) == derived


def test_files_are_copied_where_there_can_be_no_links(
    bundle: Bundle, tmp_path: Path, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    derived = bundle.derive(tmp_path / "derived", [task])
    assert Bundle.open(derived.root).fingerprint == bundle.fingerprint
    assert not any((derived.root / path).samefile(bundle.root / path) for path in KEPT)


def test_a_link_within_the_bundle_becomes_a_file(bundle: Bundle, tmp_path: Path, task: Path) -> None:
    (bundle.root / "engine" / "model.onnx").rename(bundle.root / "blob")
    (bundle.root / "engine" / "model.onnx").symlink_to("../blob")
    derived = bundle.derive(tmp_path / "derived", [task])
    assert not (derived.root / "engine" / "model.onnx").is_symlink()
    assert Bundle.open(derived.root) == derived


def test_damage_is_not_passed_on_as_a_good_file(bundle: Bundle, tmp_path: Path, task: Path) -> None:
    (bundle.root / "engine" / "model.onnx").write_bytes(b"grapf")
    with pytest.raises(DamagedBundle, match=r"engine/model\.onnx is not what its bundle says: expected sha256"):
        bundle.derive(tmp_path / "derived", [task])
    (bundle.root / "engine" / "model.onnx").write_bytes(b"grap")
    with pytest.raises(DamagedBundle, match=r"engine/model\.onnx is damaged: expected 5 bytes, got 4"):
        bundle.derive(tmp_path / "derived", [task])
    assert sorted(os.listdir(tmp_path)) == ["new.yaml", "parent"]


def test_task_files_that_cannot_be_taken_are_named(bundle: Bundle, tmp_path: Path, task: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("sub/new.yaml", "new.txt", "back\\slash.yaml"):
        (tmp_path / name).write_bytes(b"name: other\n")
    for names, error, message in [
        (
            ["new.yaml", "sub/new.yaml"],
            TaskFileError,
            r"two task files are named new\.yaml, one of them .*/sub/new\.yaml",
        ),
        (["new.txt"], TaskFileError, r"new\.txt is not named \*\.yaml"),
        (["gone.yaml"], TaskFileError, r"gone\.yaml cannot be read: no such file or directory"),
        (["back\\slash.yaml"], ExportError, "cannot be the path of a file in a bundle"),
    ]:
        with pytest.raises(error, match=message):
            bundle.derive(tmp_path / "derived", [tmp_path / name for name in names])
    assert not (tmp_path / "derived").exists()


def test_a_bundle_is_not_derived_onto_itself(bundle: Bundle, task: Path) -> None:
    before = tree(bundle.root)
    with pytest.raises(ExportError, match="exists and is not empty"):
        bundle.derive(bundle.root, [task])
    assert tree(bundle.root) == before


def test_an_engine_without_permission_is_named(bundle: Bundle, tmp_path: Path, task: Path) -> None:
    forbid(bundle.root / "engine")
    with pytest.raises(BundleError, match=r"engine/model\.onnx cannot be read: permission denied"):
        bundle.derive(tmp_path / "derived", [task])
