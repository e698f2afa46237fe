from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import TaskFileError
from edge_autoglm.prompts import builtin_task_files, load_task
from edge_autoglm.prompts.versions import UNVERSIONED, Bump, Version, parse_version
from tests.prompts.task_texts import HEADER, PLAIN, PROBES

PART = st.integers(0, 999_999_999)
VERSIONS = st.builds(Version, PART, PART, PART)


@given(VERSIONS)
def test_a_version_is_read_as_it_is_written(version: Version) -> None:
    assert parse_version(str(version)) == version


@given(VERSIONS, st.sampled_from(Bump))
def test_a_bump_is_seen_as_that_bump(version: Version, bump: Bump) -> None:
    assert version.bump_to(version.bumped(bump)) is bump
    assert version.bumped(bump) >= version
    assert version.bumped(bump).bump_to(version) is Bump.NONE


def test_versions_are_ordered_as_numbers() -> None:
    texts = ["0.9.9", "1.0.0", "1.0.10", "1.2.0", "1.10.0", "10.0.0"]
    assert sorted(map(parse_version, reversed(texts))) == [parse_version(text) for text in texts]


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4", "v1.2.3", "1.02.3", "1.2.-3", "1.2.3-rc1", "1.2.3\n", "١.٢.٣"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(TaskFileError, match="is no version"):
        parse_version(text)


def test_a_task_has_the_version_of_its_file_outside_its_fingerprint(write_task: Callable[[str], Path]) -> None:
    body = f"{HEADER}variants:\n{PLAIN}{PLAIN.replace('plain', 'other')}{PROBES}"
    without = load_task(write_task(body))
    versioned = load_task(write_task(f"version: 2.3.4\n{body}"))
    assert (without.version, versioned.version) == (UNVERSIONED, Version(2, 3, 4))
    assert without.fingerprint == versioned.fingerprint


def test_the_library_is_versioned() -> None:
    assert all(load_task(path).version > UNVERSIONED for path in builtin_task_files())
