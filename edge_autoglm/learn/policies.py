"""Policies by name, one settings file or command-line word each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_autoglm.errors import PolicyError
from edge_autoglm.learn.drift import DriftWatch
from edge_autoglm.learn.exploration import Exploration, Optimism, Thompson
from edge_autoglm.learn.ftrl import FTRLProximal
from edge_autoglm.learn.models.base import RewardModel
from edge_autoglm.learn.models.ftrl import FTRLModel
from edge_autoglm.learn.models.mixture import MixtureModel
from edge_autoglm.learn.models.ridge import RidgeModel
from edge_autoglm.learn.models.river import RiverModel
from edge_autoglm.learn.policy import VariantPolicy


def _ftrl(**settings: Any) -> FTRLModel:
    return FTRLModel(FTRLProximal(**settings))


_MODELS: dict[str, tuple[Callable[..., RewardModel], Callable[[], Exploration]]] = {
    "mixture": (MixtureModel, Optimism),
    "ridge": (RidgeModel, Optimism),
    "thompson": (RidgeModel, Thompson),
    "ftrl": (_ftrl, Optimism),
    "river": (RiverModel, Optimism),
}
POLICIES = tuple(_MODELS)
"""Names that ``make_policy`` knows."""


def make_policy(
    name: str = "mixture",
    *,
    seed: int | None = None,
    exploration: Exploration | None = None,
    watch: DriftWatch | None = None,
    **settings: Any,
) -> VariantPolicy:
    """An untrained policy.

    - ``mixture``: context-free means, ridges and FTRL, trusted by recent error; the best of all that was measured.
    - ``ridge``: exact and mergeable; dense features only.
    - ``thompson``: the same, exploring by Thompson sampling.
    - ``ftrl``: sparse features only.
    - ``river``: any River classifier or regressor for each arm; needs ``prototype``.

    Args:
        name: One of ``POLICIES``.
        seed: Of the exploration's random stream; ``None`` draws one.
        exploration: Instead of the policy's usual one.
        watch: For drift, instead of the usual one.
        settings: Of the model's class.

    Raises:
        PolicyError: There is no such policy, or it has no such setting, or that is out of range.

    >>> make_policy("ridge", seed=1, lambdas=(1.0, 10.0)).model.lambdas
    (1.0, 10.0)
    """
    if name not in _MODELS:
        raise PolicyError(f"there is no policy {name!r}", f"Name one of {', '.join(POLICIES)}.")
    make_model, make_exploration = _MODELS[name]
    try:
        model = make_model(**settings)
    except TypeError as error:
        raise PolicyError(f"the policy {name!r} cannot be made: {error}", "Check the names of the settings.") from error
    return VariantPolicy(model, exploration or make_exploration(), seed, watch)
