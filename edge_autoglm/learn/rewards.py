"""What counts as a reward."""

from __future__ import annotations

import math
import reprlib

import numpy as np

from edge_autoglm.errors import InvalidReward


def checked_reward(reward: object) -> float:
    """``reward`` as a float in 0..1.

    Raises:
        InvalidReward: It is NaN, infinite, outside 0..1, or not a number. A bool is refused too: whether ``False``
            means a bad answer or no feedback is for the caller to say.
    """
    value = reward if isinstance(reward, int | float | np.integer | np.floating) else math.nan
    # NaN fails every comparison.
    if isinstance(reward, bool) or not 0 <= value <= 1:
        # Python refuses to spell out an int of thousands of digits.
        shown = "a huge int" if isinstance(reward, int) and abs(reward) > 10**9 else reprlib.repr(reward)
        raise InvalidReward(f"the reward is {shown}", "Give a number from 0 (useless) to 1 (perfect).")
    return float(value)
