"""What every reward model can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.features import Features

FloatArray = npt.NDArray[np.float64]
M = TypeVar("M")


class Estimate(NamedTuple):  # a tuple is made in a third of a frozen dataclass's time, four times a decision
    """What a model expects of each arm.

    Attributes:
        means: Expected reward, ``[arms]``, roughly 0..1.
        spreads: Standard deviation of each mean, in units of the reward, above 0, ``[arms]``.
        rewards: How many rewards of the task the model has learnt from.
    """

    means: FloatArray
    spreads: FloatArray
    rewards: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelState:
    """All that a model has learnt, ready to be written: no code in it, no pickle.

    Attributes:
        facts: JSON values (names, counts, settings).
        arrays: Name -> array.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)


class RewardModel(Protocol):
    """Expects rewards of arms. Not thread-safe, except that a copy nobody changes may be read by many."""

    @property
    def can_snapshot(self) -> bool:
        """Whether ``state`` works; where it does not, the model is rebuilt by replaying the journal."""

    def sees(self, features: Features) -> bool:
        """Whether it looks at anything that this request has; what it expects is the same for all others."""

    def estimate(self, arms: Sequence[str], features: Features) -> Estimate:
        """What each arm would earn on this request; changes nothing."""

    def learn(self, arm: str, features: Features, reward: float, weight: float = 1.0) -> float:
        """Learn from the reward in 0..1 that an arm earned; ``weight`` in 0..1 is how much it counts.

        Returns:
            The mean that the arm's estimate had before.
        """

    def forget(self, task: str, kept: float) -> None:
        """Let what was learnt of a task count for the share ``kept`` of what it did; its world has changed."""

    def contributions(self, arm: str, features: Features) -> Mapping[str, float]:
        """What each feature adds to the arm's mean, the constant as ``bias``; they sum up to the mean."""

    def clone(self) -> RewardModel:
        """An untrained model of the same settings."""

    def copy(self) -> RewardModel:
        """One that knows the same and learns on its own."""

    def state(self) -> ModelState:
        """All that was learnt.

        Raises:
            PolicyError: The model cannot be written down; see ``can_snapshot``.
        """

    def restore(self, state: ModelState) -> None:
        """Take over what ``state`` gave: afterwards both behave alike, bit for bit.

        Raises:
            PolicyError: It is of another kind of model, or of other settings.
        """

    def merge(self, other: RewardModel) -> None:
        """Add what another model of the same settings learnt elsewhere.

        Raises:
            PolicyError: Its kind or settings differ.
        """


def joined_arrays(states: Iterable[tuple[object, ModelState]]) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of several named states side by side, for ``arrays_of``."""
    return {f"{name}.{key}": array for name, state in states for key, array in state.arrays.items()}


def arrays_of(name: object, arrays: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
    """Those of one state among ``joined_arrays``."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def check_alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raise ``PolicyError`` unless a state or a model has our kind and settings.

    Args:
        ours: Settings by name, the kind among them, as ``ModelState.facts`` has them under ``settings``.
        theirs: Those of the other one.
    """
    differing = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if differing:
        name = differing[0]
        raise PolicyError(
            f"the model's {name} is {ours.get(name)!r}, that of the other one {theirs.get(name)!r}",
            "Use the policy and settings that the state was learnt with.",
        )


def check_setting(name: str, value: float, fits: bool, wanted: str) -> None:
    """Raise ``PolicyError`` with the setting's name and value unless it ``fits``."""
    if not fits:
        raise PolicyError(f"the model's {name} is {value!r}", f"Give {wanted}.")


def same_kind(model: RewardModel, kind: type[M]) -> M:
    """``model`` itself, known to be of that class.

    Raises:
        PolicyError: It is of another.
    """
    if not isinstance(model, kind):
        raise PolicyError(
            f"a {type(model).__name__} cannot be merged into a {kind.__name__}", "Merge models of one kind."
        )
    return model
