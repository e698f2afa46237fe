import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.learner import nulls, robust, run, speed
from benchmarks.learner.checks import checks
from benchmarks.learner.page import write_page
from benchmarks.learner.results import Results
from benchmarks.learner.settings import LINUCB, MAIN
from benchmarks.learner.units import FIXED, UNIFORM

HOST = {"cpu": "A CPU", "cores": 2, "taken_at": "2026-11-23T00:00:00Z"}
ERRORS = {
    "led": {MAIN: 0.30, "vw cover": 0.40, "vw regcb": 0.35, LINUCB: 0.29, "river ucb": 0.9, FIXED: 0.9, UNIFORM: 0.9},
    "led drift": {MAIN: 0.4, "vw cover": 0.5, "vw regcb": 0.6, LINUCB: 0.6, "river ucb": 0.9, FIXED: 0.8, UNIFORM: 0.9},
    "words": {MAIN: 0.5, "vw cover": 0.495, "vw regcb": 0.6, LINUCB: 0.4, "river ucb": 0.9, FIXED: 0.45, UNIFORM: 0.9},
}


def entry(name: str) -> dict[str, Any]:
    family, _, kind = name.partition(" ")
    return {"name": name, "family": family, "kind": kind, "options": {}}


def streams() -> dict[str, Any]:
    samples: dict[str, list[float]] = {}
    for stream, errors in ERRORS.items():
        for name, error in errors.items():
            samples[f"{stream}/{name}/error"] = [error - 0.01, error + 0.01]
            samples[f"{stream}/{name}/last_eighth"] = [error / (1.0 if "drift" in stream else 3.0)] * 2
    contestants = [name for name in ERRORS["led"] if name not in (FIXED, UNIFORM)]
    about = {"kind": "dense", "twin": None, "steps": 100, "arms": 10}
    config = {
        "seeds": 2,
        "limit": 100,
        "left_out": "no snippets",
        "entries": [entry(name) for name in contestants],
        "streams": {"led": about, "led drift": {**about, "twin": "led"}, "words": {**about, "kind": "text"}},
    }
    curves = {stream: {name: [1.0, 0.5, 0.3] for name in contestants} for stream in ERRORS}
    return {"config": config, "host": HOST, "samples": samples, "figures": {"curves": curves}}


def test_promises_are_held_against_the_best_of_vw_in_hindsight() -> None:
    found = {(check.stream, check.what): check for check in checks(Results(streams()))}
    assert found["led", "best of VW (vw regcb)"].holds
    assert found["words", "best of VW (vw cover)"].holds
    assert found["led", "River LinUCB + 0.015"].holds
    assert not found["words", "River LinUCB + 0.015"].holds
    assert not found["words", f"{FIXED} + 0.01"].holds
    assert not found["led drift", "last eighth, twice that of led"].holds
    assert len(found) == 10


def test_the_page_shows_every_record_with_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    means = {"led/clean": 0.2, "led/late": 0.5}
    contents = {
        run.NAME: streams(),
        robust.NAME: {
            "config": {"seeds": 2, "streams": ["led"], "channels": ["clean", "late"]},
            "figures": {"means": means},
        },
        speed.NAME: {
            "config": {"arms": 8, "dense": 32, "sparse": 30, "rounds": 3},
            "samples": {MAIN: [90.0, 100.0, 500.0], "vw cover": [150.0, 160.0], LINUCB: [95.0]},
        },
        nulls.NAME: {
            "config": {"steps": 200},
            "samples": {"null/0.5": [-1.0, -1.0], "gap/0.5": [90.0, 110.0]},
            "figures": {"summary": nulls.summary({"null/0.5": [-1.0, -1.0], "gap/0.5": [90.0, 110.0]})},
        },
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"host": HOST, **content}))
    text = write_page(tmp_path).read_text()
    for name in contents:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"Record: `{name}.json`" in text
    assert "| led | 100 | 10 | 0.300 | 0.290 | 0.350 (regcb) | 0.900 | 0.900 |" in text
    assert "Without the sentiment stream: no snippets." in text
    assert "- led: 0.500 > 0.300 (late feedback, clean + 0.1)" in text
    assert "- speed: 100.000 > 95.000 (River LinUCB)" in text
    assert "| gap/0.5 | 2 | 100.0% | - | 100 |" in text


def test_without_records_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="measure first"):
        write_page(tmp_path)
