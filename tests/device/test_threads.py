from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_autoglm.device.threads import default_threads


@pytest.fixture
def sixteen_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def threads(folder: Path, process: str, files: dict[str, str]) -> int:
    """With control groups as given: content by path below the mount point."""
    mount = folder / "mount"
    mount.mkdir()
    for path, content in files.items():
        file = mount / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (folder / "cgroup").write_text(process)
    return default_threads(mount, folder / "cgroup")


V1 = "12:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n"


@pytest.mark.usefixtures("sixteen_cpus")
@pytest.mark.parametrize(
    ("process", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, 16),
        ("0::/app/job\n", {"app/job/cpu.max": "max 100000\n", "app/cpu.max": "300000 100000\n"}, 3),
        ("0::/app/job\n", {"app/job/cpu.max": "200000 100000\n", "cpu.max": "800000 100000\n"}, 2),
        ("0::/seen/by/host\n", {"cpu.max": "500000 100000\n"}, 5),
        (V1, {"cpu,cpuacct/docker/x/cpu.cfs_quota_us": "-1", "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000"}, 16),
        (
            V1,
            {"cpu,cpuacct/docker/x/cpu.cfs_quota_us": "300000", "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000"},
            3,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "700000", "cpu/cpu.cfs_period_us": "100000"}, 7),
        (V1, {"memory/docker/x/cpu.max": "100000 100000"}, 16),
        ("0::/\n", {"cpu.max": "garbage"}, 16),
        ("garbage", {}, 16),
        ("", {}, 16),
    ],
)
def test_quota(tmp_path: Path, process: str, files: dict[str, str], expected: int) -> None:
    assert threads(tmp_path, process, files) == expected


def test_affinity_limits_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert threads(tmp_path, "0::/\n", {"cpu.max": "800000 100000"}) == 3


def test_systems_without_affinity_or_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for count, expected in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert default_threads(tmp_path / "none", tmp_path / "none") == expected


def test_this_machine() -> None:
    assert 1 <= default_threads() <= (os.cpu_count() or 1)
