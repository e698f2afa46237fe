"""The device's conditions, from a copy of the kernel's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_autoglm.device.conditions import Conditions, read_conditions


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_everything_that_the_system_says(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "sys/class/power_supply/AC/type": "Mains\n",
            "sys/class/power_supply/BAT0/type": "Battery\n",
            "sys/class/power_supply/BAT0/capacity": "64\n",
            "sys/class/power_supply/BAT0/status": "Discharging\n",
            "sys/class/thermal/thermal_zone0/temp": "41000\n",
            "sys/class/thermal/thermal_zone1/temp": "-5000\n",
            "proc/loadavg": "1.50 1.00 0.50 1/200 4242\n",
            "proc/meminfo": "MemTotal:  4000 kB\nMemAvailable:  1000 kB\n",
        },
    )
    load = 1.5 / (os.cpu_count() or 1)
    assert read_conditions(root) == pytest.approx(
        {"battery": 0.64, "charging": 0.0, "thermal": 0.41, "load": load / (1 + load), "memory": 0.25}, abs=1e-4
    )


def test_a_battery_that_is_full_is_charging(tmp_path: Path) -> None:
    supply = "sys/class/power_supply/BAT1"
    root = write(tmp_path, {f"{supply}/type": "Battery", f"{supply}/capacity": "100", f"{supply}/status": "Full"})
    conditions = read_conditions(root)
    assert (conditions["battery"], conditions["charging"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"sys/class/power_supply/BAT0/type": "Battery", "sys/class/power_supply/BAT0/capacity": "?"},
        {"sys/class/thermal/thermal_zone0/temp": "hot"},
        {"proc/loadavg": ""},
        {"proc/loadavg": "no numbers"},
    ],
)
def test_what_the_system_does_not_say_is_left_out(tmp_path: Path, files: dict[str, str]) -> None:
    assert set(read_conditions(write(tmp_path, files))) <= {"memory"}


def test_conditions_are_not_read_for_every_request(tmp_path: Path) -> None:
    conditions = Conditions(write(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "40000"}))
    first = conditions.now()
    write(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "90000"})
    assert conditions.now() == first
    assert first["thermal"] == 0.4
