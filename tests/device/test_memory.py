from __future__ import annotations

import mmap
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edge_autoglm.device.memory import available_memory, current_rss, memory_limit, peak_rss, physical_memory
from tests.device.machine import machine

MB = 1024**2
MEMINFO = (
    "MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:    4194304 kB\nHugePages_Total:       0\n"
)
RAM, FREE = 8192 * MB, 4096 * MB
V1 = "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n"
NO_LIMIT = "9223372036854771712\n"


def group(folder: str, **files: str) -> dict[str, str]:
    return {f"sys/fs/cgroup/{folder}{name.replace('__', '.')}": content for name, content in files.items()}


@pytest.mark.parametrize(
    ("process", "files", "limit", "available"),
    [
        ("", {}, RAM, FREE),
        ("0::/\n", group("", memory__max="max\n", memory__current=str(100 * MB)), RAM, FREE),
        ("0::/\n", group("", memory__max=str(512 * MB), memory__current=str(100 * MB)), 512 * MB, 412 * MB),
        ("0::/\n", group("", memory__max=str(512 * MB), memory__high=str(400 * MB)), 400 * MB, 400 * MB),
        ("0::/\n", group("", memory__max=str(100 * MB), memory__current=str(101 * MB)), 100 * MB, 0),
        (
            "0::/\n",
            group(
                "",
                memory__max=str(512 * MB),
                memory__current=str(500 * MB),
                memory__stat=f"anon {90 * MB}\nactive_file {10 * MB}\ninactive_file {400 * MB}\n",
            ),
            512 * MB,
            412 * MB,
        ),
        (  # the group above has the smaller limit, and others in it use it
            "0::/app/job\n",
            group("app/job/", memory__max=str(900 * MB), memory__current=str(10 * MB))
            | group("app/", memory__max=str(800 * MB), memory__current=str(300 * MB)),
            800 * MB,
            500 * MB,
        ),
        (  # a larger limit with less room below a smaller one with more
            "0::/app\n",
            group("app/", memory__max=str(600 * MB), memory__current=str(10 * MB))
            | group("", memory__max=str(700 * MB), memory__current=str(650 * MB)),
            600 * MB,
            50 * MB,
        ),
        (V1, group("memory/docker/x/", memory__limit_in_bytes=NO_LIMIT), RAM, FREE),
        (
            V1,
            group(
                "memory/docker/x/",
                memory__limit_in_bytes=str(300 * MB),
                memory__usage_in_bytes=str(200 * MB),
                memory__stat=f"inactive_file 1\ntotal_inactive_file {50 * MB}\n",
            ),
            300 * MB,
            150 * MB,
        ),
        (V1, group("memory/", memory__limit_in_bytes=str(700 * MB)), 700 * MB, 700 * MB),
        ("0::/\n", group("", memory__max="garbage"), RAM, FREE),
    ],
)
def test_limits(tmp_path: Path, process: str, files: dict[str, str], limit: int, available: int) -> None:
    root = machine(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": process, **files})
    assert physical_memory(root) == RAM
    assert memory_limit(root) == limit
    assert available_memory(root) == available


def test_a_limit_above_the_ram_is_none(tmp_path: Path) -> None:
    files = group("", memory__max=str(2 * RAM), memory__current="0")
    root = machine(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n", **files})
    assert memory_limit(root) == RAM
    assert available_memory(root) == FREE


def test_what_the_system_hides_is_unknown(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    assert current_rss(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_process() -> None:
    physical, limit, available = physical_memory(), memory_limit(), available_memory()
    assert physical is not None
    assert limit is not None
    assert available is not None
    assert 0 < available <= physical
    assert limit <= physical
    before = current_rss()
    with mmap.mmap(-1, 64 * MB) as block:  # fresh pages: an allocator may have resident ones left
        for _ in range(64):
            block.write(b"x" * MB)
        after, peak = current_rss(), peak_rss()
    assert before is not None
    assert after is not None
    assert peak is not None
    assert 60 * MB < after - before < 80 * MB
    assert peak >= after


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_stays_and_is_not_that_of_the_process_it_came_from() -> None:
    held = bytearray(b"x") * (256 * MB)
    code = (
        "from edge_autoglm.device.memory import current_rss, peak_rss\n"
        "first = peak_rss()\n"
        f"bytearray(b'x') * {100 * MB}\n"
        "print(first, peak_rss(), current_rss())\n"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, peak, now = map(int, child.stdout.split())
    assert first < len(held) / 2
    assert peak - first > 90 * MB
    assert now < peak - 90 * MB


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries give back by themselves, or never")
def test_freed_memory_goes_back() -> None:
    code = (
        "import numpy as np\n"
        "from edge_autoglm.device.memory import current_rss, give_back_freed_memory\n"
        "held = [np.ones(1000) for _ in range(10_000)]\n"
        "last = np.ones(1000)\n"  # on top of the heap, so that it cannot simply shrink
        "del held\n"
        "before = current_rss()\n"
        "give_back_freed_memory()\n"
        "print(before - current_rss())\n"
    )
    given_back = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(given_back.stdout) > 40 * MB
