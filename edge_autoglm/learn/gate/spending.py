"""Alpha for one test after another."""

from __future__ import annotations

import math

from edge_autoglm.errors import PolicyError


def spent_alpha(alpha: float, number: int) -> float:
    """What the ``number``-th test may use, so that all together, however many, are wrong with at most ``alpha``.

    ``6 alpha / (pi^2 number^2)`` sums up to alpha. Feedback needed grows with ``log(1 / alpha)``: this series costs the
    first test 0.5 nats and the tenth 5.1, where halving costs 0.7 and 6.9, and every later one more still.

    Raises:
        PolicyError: ``alpha`` or ``number`` is out of range.

    >>> round(spent_alpha(0.05, 1), 4), round(spent_alpha(0.05, 2), 4)
    (0.0304, 0.0076)
    """
    if not 0.0 < alpha < 1.0:
        raise PolicyError(f"alpha is {alpha!r}", "Give a number between 0 and 1, such as 0.05.")
    if number < 1:
        raise PolicyError(f"the number of the test is {number}", "Count tests from 1.")
    return 6.0 * alpha / (math.pi * number) ** 2
