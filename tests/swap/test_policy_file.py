from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_autoglm.errors import RequestError
from edge_autoglm.swap.health import HealthPolicy
from edge_autoglm.swap.policy import CanaryPolicy, DrainPolicy, ShadowPolicy, SwapPolicy, TripwirePolicy


def policy_file(folder: Path, text: str) -> Path:
    path = folder / "swap.yaml"
    path.write_text(text)
    return path


def test_a_file_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    stages = ["check: {max_kl: 0.1}", "shadow: {requests: 20}", "drain: {max_seconds: 5}"]
    stages.append("canary: {requests: 50, share: 0.2}")
    assert SwapPolicy.load(policy_file(tmp_path, "\n".join(("schema: 1", *stages)))) == SwapPolicy(
        check=HealthPolicy(max_kl=0.1),
        shadow=ShadowPolicy(requests=20),
        canary=CanaryPolicy(requests=50, share=0.2),
        tripwires=TripwirePolicy(),
        drain=DrainPolicy(5),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("schema: 2\n", "is of schema 2"),
        ("canary: {share: 0.1}\n", "is of schema None"),
        ("schema: 1\ncanari: {}\n", "has no stage 'canari'"),
        ("schema: 1\ncanary: {shares: 0.1}\n", "canary has no 'shares'"),
        ("schema: 1\ncanary: 3\n", "canary is no mapping"),
        ("schema: 1\ncanary: {share: 0.9}\n", "canary.share of the swap policy is 0.9"),
        ("schema: 1\ncanary: {share: much}\n", "of the wrong kind"),
        ("schema: 1\nshadow: {min_agreement: .nan}\n", "min_agreement of the swap policy is nan"),
        ("schema: 1\ntripwires: {latency: -1}\n", "tripwires.latency"),
        ("schema: 1\ndrain: {max_seconds: -1}\n", "drain.max_seconds"),
        ("- 1\n", "is no mapping"),
        ("a: [\n", "cannot be read"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RequestError, match=re.escape(told)):
        SwapPolicy.load(policy_file(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere\.yaml cannot be read"):
        SwapPolicy.load(tmp_path / "nowhere.yaml")
