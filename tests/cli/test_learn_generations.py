"""``learn status``, ``promote`` and ``rollback`` on the generations of a state folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edge_autoglm.bundle import Bundle
from edge_autoglm.cli import main
from edge_autoglm.learn.exploration import forced
from edge_autoglm.learn.learner import Learner
from edge_autoglm.learn.policies import make_policy
from edge_autoglm.learn.policy import VariantPolicy
from edge_autoglm.learn.snapshot_format import encode
from edge_autoglm.swap.store.layout import GENERATIONS, POLICY
from edge_autoglm.swap.store.new import NewGeneration
from edge_autoglm.swap.store.store import GenerationStore
from tests.learn.history import ARMS, TASK
from tests.learn.streams import some_features
from tests.swap.store.parts import a_bundle, flip


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What a runtime leaves that learnt from 20 rewards, went live with them, and learnt from 20 more."""
    folder, bundle = tmp_path / "state", a_bundle(tmp_path, weights=b"w" * 50_000)
    with Learner.open(folder, seed=0) as learner:
        store = GenerationStore(folder / GENERATIONS)
        for number in (1, 2):
            freeze(store, learner, bundle, number)
            reward(learner, 20 * number)
    return folder


def freeze(store: GenerationStore, learner: Learner, bundle: Bundle, number: int) -> None:
    store.add(NewGeneration(number, bundle, encode(learner.frozen().state()), "learnt policy"), number - 1 or None)
    store.activate(number, {"mean_kl": 0.0})


def reward(learner: Learner, start: int) -> None:
    for number in range(start, start + 20):
        decision = forced("polite")
        learner.record(decision, TASK, ARMS, some_features(number), generation=1)
        learner.feedback(decision.id, 1.0)


def learn(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["learn", *map(str, arguments)])


def figures(path: Path, *arguments: str | Path) -> dict[str, Any]:
    result = learn(*arguments, "--json", path)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def active(state: Path) -> str:
    record = GenerationStore(state / GENERATIONS).active()
    assert record is not None
    return str(record.version)


def said(result: Result) -> str:
    return " ".join(result.output.split())


def test_status_lists_the_generations(state: Path, tmp_path: Path) -> None:
    first, second = figures(tmp_path / "status.json", "status", state)["generations"]
    assert (first["version"], first["standing"], first["active"]) == ("1.0.0", "good", False)
    assert (second["version"], second["parent"], second["active"]) == ("1.0.1", 1, True)
    assert first["bytes"] > 50_000 > second["bytes"]
    assert second["metrics"] == {"mean_kl": 0.0}
    shown = said(learn("status", state))
    assert "1.0.1" in shown
    assert "active" in shown


def test_promote_puts_what_was_learnt_live_once(state: Path, tmp_path: Path) -> None:
    assert figures(tmp_path / "p.json", "promote", state) == {"promoted": True, "version": "1.0.2", "number": 3}
    with Learner.open(state, seed=0) as learner:
        store = GenerationStore(state / GENERATIONS)
        known = store.open(3)[1]
        assert known is not None
        assert encode(learner.frozen(known).state()) == encode(learner.frozen().state())
        assert learner.frozen(known).feedbacks == 40
    assert active(state) == "1.0.2"
    assert "nothing was learnt since version 1.0.2" in said(learn("promote", state))
    assert figures(tmp_path / "p.json", "promote", state)["promoted"] is False
    assert active(state) == "1.0.2"


def test_rollback_goes_to_the_good_one_before_or_to_the_one_named(state: Path, tmp_path: Path) -> None:
    learn("promote", state)
    assert figures(tmp_path / "r.json", "rollback", state) == {"version": "1.0.1", "number": 2}
    assert figures(tmp_path / "r.json", "rollback", state) == {"version": "1.0.0", "number": 1}
    assert "there is no good generation before version 1.0.0" in said(learn("rollback", state))
    assert "1.0.2 (generation 3) is active at the next start" in said(learn("rollback", state, "--to", "1.0.2"))
    assert active(state) == "1.0.2"
    standings = {
        one["version"]: one["standing"] for one in figures(tmp_path / "s.json", "status", state)["generations"]
    }
    assert standings == {"1.0.0": "given up", "1.0.1": "given up", "1.0.2": "good"}
    assert learn("promote", state).exit_code == 0


def test_promotion_after_a_rollback_has_a_version_of_its_own(state: Path) -> None:
    learn("rollback", state)
    assert active(state) == "1.0.0"
    learn("promote", state)
    assert active(state) == "1.0.2"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("rollback", "--to", "2.0.0"), "no generation of version 2.0.0 is kept. Name one of: 1.0.0"),
        (("rollback", "--to", "1.0.1"), "version 1.0.1 is active already"),
        (("promote", "--policy", "ridge"), "Use the policy and settings that the state was learnt with"),
    ],
)
def test_what_cannot_be_done_is_named(state: Path, arguments: tuple[str, ...], expected: str) -> None:
    command, *options = arguments
    result = learn(command, state, *options)
    assert result.exit_code == 1
    assert expected in said(result)
    assert active(state) == "1.0.1"


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_an_open_runtime_is_asked_instead(state: Path, command: str) -> None:
    with Learner.open(state):
        result = learn(command, state)
    assert result.exit_code == 1
    assert f"is in use by a runtime. Call rt.learner.{command}() in that app, or close it first" in said(result)


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_a_folder_without_generations_is_named_and_left_alone(tmp_path: Path, command: str) -> None:
    result = learn(command, tmp_path)
    assert result.exit_code == 1
    assert "holds no generations" in said(result)
    assert not list(tmp_path.iterdir())


def test_a_damaged_generation_is_not_gone_back_to(state: Path) -> None:
    flip(state / GENERATIONS / "000001" / POLICY, 100)
    result = learn("rollback", state)
    assert result.exit_code == 1
    assert f"{POLICY} is damaged" in said(result)
    assert active(state) == "1.0.1"


def test_a_policy_with_numbers_that_are_not_finite_is_not_promoted(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_autoglm.learn.policy.FrozenPolicy.broken_numbers", lambda policy: 3)
    result = learn("promote", state)
    assert result.exit_code == 1
    assert "3 numbers of what was learnt are not finite" in said(result)
    assert active(state) == "1.0.1"


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_the_help_teaches(command: str) -> None:
    result = learn(command, "--help")
    assert f"edge-autoglm learn {command} state" in result.output
    assert f"rt.learner.{command}()" in result.output


def test_the_limits_of_the_app_are_its_own(state: Path, tmp_path: Path) -> None:
    """An app may keep more than the default; the command line deletes nothing."""
    bundle = Bundle.open(tmp_path / "0.bundle")
    settings: VariantPolicy = make_policy()
    store = GenerationStore(state / GENERATIONS, keep=20)
    for number in range(3, 9):
        store.add(NewGeneration(number, bundle, encode(settings.freeze(seed=0).state()), "learnt"), number - 1)
        store.activate(number, {})
    assert learn("promote", state).exit_code == 0
    assert len(store.records()) == 9
