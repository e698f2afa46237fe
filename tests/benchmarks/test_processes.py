import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import run_measured

MEGABYTES = 300
# A small caller, because its own memory counts for what it starts; pytest's may be more than the 300 MB.
COMPARE = f"""
import sys
from pathlib import Path
from benchmarks.processes import run_measured

def peak(code):
    return run_measured([sys.executable, "-c", code], Path(sys.argv[1])).peak_rss

print(peak("bytearray({MEGABYTES} << 20)") - peak("pass"))
"""


def test_peak_memory_is_that_of_the_child(tmp_path: Path) -> None:
    repository = Path(__file__).parents[2]
    command = [sys.executable, "-c", COMPARE, str(tmp_path / "log.txt")]
    found = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    assert int(found.stdout) > 0.9 * (MEGABYTES << 20)


def test_a_failure_shows_what_was_printed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3:\nno such weights"):
        run_measured([sys.executable, "-c", "print('no such weights'); raise SystemExit(3)"], tmp_path / "log.txt")
