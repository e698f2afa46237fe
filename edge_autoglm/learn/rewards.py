"""What counts as a reward."""

from __future__ import annotations

import numpy as np

from edge_autoglm.errors import InvalidReward


def checked_reward(reward: object) -> float:
    """``reward`` as a float in 0..1.

    Raises:
        InvalidReward: It is NaN, infinite, outside 0..1, or not a number. A bool is refused too: whether ``False``
            means a bad answer or no feedback is for the caller to say.
    """
    if isinstance(reward, int | float | np.integer | np.floating) and not isinstance(reward, bool):
        if 0 <= reward <= 1:  # NaN fails every comparison
            return float(reward)
    raise InvalidReward(f"the reward is {repr(reward)[:60]}", "Give a number from 0 (useless) to 1 (perfect).")
