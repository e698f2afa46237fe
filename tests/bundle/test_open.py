from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.bundle import Bundle, BundleWriter
from edge_autoglm.errors import BundleError, DamagedBundle, ForeignBundle
from tests.bundle.samples import (
    CONTENTS,
    ENGINE,
    FACTS,
    FILES,
    PLANNED,
    commit,
    forbid,
    stage,
    tree,
    write_bundle,
    write_planned_bundle,
)


def test_a_bundle_opens_as_it_was_written(bundle: Bundle) -> None:
    again = Bundle.open(bundle.root)
    assert again == bundle
    assert again.manifest.model == FACTS
    assert again.manifest.source == "tiny.gguf"
    assert again.manifest.verification == {"kl": [0.25]}
    assert {entry.path: entry.size for entry in again.manifest.files} == {k: len(v) for k, v in CONTENTS.items()}
    assert {path: again.path(path).read_bytes() for path in CONTENTS} == CONTENTS
    assert again.tokenizer_path == bundle.root / "tokenizer.json"
    assert again.chat_template == CONTENTS["chat_template.jinja"].decode()
    assert [file.name for file in again.task_files()] == ["mood.yaml", "topic.yaml"]
    assert again.engine("ort") == ENGINE


def test_progress_is_told_in_bytes(bundle: Bundle) -> None:
    calls: list[tuple[str, int, int]] = []
    Bundle.open(bundle.root, progress=lambda *call: calls.append(call))
    total = sum(map(len, CONTENTS.values()))
    assert calls[0] == ("verifying", 0, total)
    assert calls[-1] == ("verifying", total, total)


def test_what_is_not_there_is_named_with_what_is(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no engine of kind 'tensorrt'; it has: ort\. "):
        bundle.engine("tensorrt")
    with pytest.raises(BundleError, match=r"has no engine/other\.onnx"):
        bundle.path("engine/other.onnx")


def test_a_base_model_has_no_chat_template(tmp_path: Path) -> None:
    kept = {path: data for path, data in CONTENTS.items() if not path.startswith(("chat", "tokenizer"))}
    bundle = write_bundle(tmp_path / "out", kept)
    assert bundle.chat_template is None
    with pytest.raises(BundleError, match=r"has no tokenizer\.json"):
        _ = bundle.tokenizer_path


def test_a_chat_template_that_is_not_text_is_named(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "out", {**CONTENTS, "chat_template.jinja": b"\xff\xfe"})
    with pytest.raises(DamagedBundle, match=r"chat_template\.jinja is damaged: .*utf-8"):
        _ = bundle.chat_template


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Shared by tests that put back what they change."""
    return write_bundle(tmp_path_factory.mktemp("intact") / "out")


@settings(deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_one_flipped_byte_anywhere_is_found_and_its_file_named(intact: Bundle, path: str, data: st.DataObject) -> None:
    file = intact.root / path
    content = file.read_bytes()
    position = data.draw(st.integers(0, len(content) - 1), "position")
    flipped = bytearray(content)
    flipped[position] ^= data.draw(st.integers(1, 255), "mask")
    file.write_bytes(flipped)
    try:
        with pytest.raises((DamagedBundle, ForeignBundle)) as caught:
            Bundle.open(intact.root)
    finally:
        file.write_bytes(content)
    assert caught.value.cause.startswith(f"{file} ")
    assert "\n" not in str(caught.value)
    assert Bundle.open(intact.root) == intact


def test_a_flipped_byte_is_told_with_both_hashes(bundle: Bundle) -> None:
    (bundle.root / "tokenizer.json").write_bytes(b"[]")
    with pytest.raises(
        DamagedBundle, match=r"tokenizer\.json is damaged: expected sha256 44136fa\w{57}, got 4f53cda\w{57}"
    ):
        Bundle.open(bundle.root)
    assert Bundle.open(bundle.root, verify=False) == bundle


@pytest.mark.parametrize("path", CONTENTS)
@pytest.mark.parametrize("verify", [True, False])
def test_a_resized_file_is_named_without_hashing_anything(bundle: Bundle, path: str, verify: bool) -> None:
    size = len(CONTENTS[path])
    calls: list[str] = []
    for content in (CONTENTS[path][:-1], CONTENTS[path] + b"x", b""):
        (bundle.root / path).write_bytes(content)
        with pytest.raises(DamagedBundle) as caught:
            Bundle.open(bundle.root, verify, lambda stage, done, total: calls.append(stage))
        assert caught.value.cause == f"{bundle.root / path} is damaged: expected {size} bytes, got {len(content)}"
    assert calls == []


@pytest.mark.parametrize("path", CONTENTS)
def test_a_missing_file_is_named(bundle: Bundle, path: str) -> None:
    file = bundle.root / path
    file.unlink()
    with pytest.raises(DamagedBundle) as caught:
        Bundle.open(bundle.root, verify=False)
    assert caught.value.cause == f"{file} is missing"
    file.mkdir()
    with pytest.raises(DamagedBundle) as caught:
        Bundle.open(bundle.root, verify=False)
    assert caught.value.cause == f"{file} is not a file"


def test_a_file_in_the_place_of_a_folder_is_named(bundle: Bundle) -> None:
    shutil.rmtree(bundle.root / "engine")
    (bundle.root / "engine").write_bytes(b"")
    with pytest.raises(DamagedBundle, match=r"engine/model\.onnx is missing"):
        Bundle.open(bundle.root)


def test_a_link_out_of_the_bundle_is_refused_though_its_content_is_right(bundle: Bundle, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (bundle.root / "engine").rename(elsewhere)
    (bundle.root / "engine").symlink_to(elsewhere)
    with pytest.raises(DamagedBundle, match=r"engine/model\.onnx is a link that leaves the bundle"):
        Bundle.open(bundle.root)


def test_a_link_within_the_bundle_is_followed(bundle: Bundle) -> None:
    (bundle.root / "engine").rename(bundle.root / "blobs")
    (bundle.root / "engine").symlink_to("blobs")
    assert Bundle.open(bundle.root) == bundle


def test_unknown_files_are_ignored(bundle: Bundle) -> None:
    (bundle.root / "prompts" / "note.yaml").write_bytes(b"not listed")
    (bundle.root / ".cache").mkdir()
    again = Bundle.open(bundle.root)
    assert again == bundle
    assert [file.name for file in again.task_files()] == ["mood.yaml", "topic.yaml"]


def test_what_is_not_a_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, message in {
        "file": "is not a folder",
        "folder": "is not a bundle: it has no manifest.json",
        "none": "does not exist",
        "none/below": "does not exist",
    }.items():
        with pytest.raises(ForeignBundle) as caught:
            Bundle.open(tmp_path / name)
        assert caught.value.cause == f"{tmp_path / name} {message}"
    assert sorted(tree(tmp_path)) == ["file"]


def test_a_manifest_that_is_not_text_is_damaged(bundle: Bundle) -> None:
    (bundle.root / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedBundle, match=r"manifest\.json is damaged: .*utf-8"):
        Bundle.open(bundle.root)


def test_a_manifest_that_cannot_be_read_is_named_with_the_reason(bundle: Bundle) -> None:
    (bundle.root / "manifest.json").unlink()
    (bundle.root / "manifest.json").mkdir()
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read: is a directory"):
        Bundle.open(bundle.root)


def test_a_file_without_permission_is_named_with_the_reason(bundle: Bundle) -> None:
    forbid(bundle.tokenizer_path)
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be read: permission denied"):
        Bundle.open(bundle.root)


def test_the_root_is_absolute_and_stays_when_a_link_moves_on(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("current").symlink_to("parent/out")
    opened = Bundle.open("current")
    Path("current").unlink()
    monkeypatch.chdir("/")
    assert opened.root == bundle.root
    assert opened.tokenizer_path.read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("path", "same_fingerprint"),
    [(path, path.startswith("prompts/")) for path in CONTENTS],
)
def test_identities_change_with_what_they_identify(tmp_path: Path, path: str, same_fingerprint: bool) -> None:
    original = write_bundle(tmp_path / "original")
    again = write_bundle(tmp_path / "again")
    changed = write_bundle(tmp_path / "changed", {**CONTENTS, path: CONTENTS[path] + b" "})
    assert (again.fingerprint, again.digest) == (original.fingerprint, original.digest)
    assert (changed.fingerprint == original.fingerprint) is same_fingerprint
    assert changed.digest != original.digest
    assert original.digest != original.fingerprint
    assert len(original.fingerprint) == len(original.digest) == 16


def test_a_plan_changes_the_digest_and_not_the_fingerprint(tmp_path: Path) -> None:
    planned = write_planned_bundle(tmp_path / "planned")
    other = write_planned_bundle(tmp_path / "other", plan=b"plam")
    with BundleWriter(tmp_path / "none") as writer:
        stage(writer)
        none = commit(writer, dataclasses.replace(PLANNED, plans=()))
    assert planned.fingerprint == other.fingerprint == none.fingerprint
    assert len({planned.digest, other.digest, none.digest}) == 3
