"""What is taken as a number in 0..1."""

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
    return checked_share(reward, "reward", "Give a number from 0 (useless) to 1 (perfect).")


def checked_share(value: object, what: str, cure: str) -> float:
    """``value`` as a float in 0..1; an error calls it ``what`` and ends with ``cure``.

    Raises:
        InvalidReward: It is anything else.
    """
    number = value if isinstance(value, int | float | np.integer | np.floating) else math.nan
    # NaN fails every comparison.
    if isinstance(value, bool) or not 0 <= number <= 1:
        # Python refuses to spell out an int of thousands of digits.
        shown = "a huge int" if isinstance(value, int) and abs(value) > 10**9 else reprlib.repr(value)
        raise InvalidReward(f"the {what} is {shown}", cure)
    return float(number)
