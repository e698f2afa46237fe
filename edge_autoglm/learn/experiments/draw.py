"""Who takes part in an experiment, and which variant they get: always the same for a session."""

from __future__ import annotations

import random
from bisect import bisect_right
from hashlib import blake2b
from itertools import accumulate

from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.learn.hashing import share_of

_UNIT_BYTES = 6


class Draw:
    """The draws of one experiment. Immutable, so that threads may share it.

    There are two, independent of each other and of those of any other experiment or version: a session takes part where
    the first lies below the roll-out share, so that raising that share keeps all who are in, with the variant that the
    second gave them.

    Args:
        experiment: That may run.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        salt = f"experiment {experiment.name} {experiment.version}"
        self._joining, self._choosing = f"{salt}: takes part", f"{salt}: variant"
        self._cumulative = list(accumulate(experiment.shares))

    def variant(self, session: str | None, rng: random.Random) -> str | None:
        """The variant for a request; ``None`` where it does not take part.

        Args:
            session: Of the request; without one, it is drawn for itself.
            rng: Draws then.
        """
        joins = rng.random() if session is None else share_of(session, self._joining)
        if joins >= self.experiment.rollout:
            return None
        place = rng.random() if session is None else share_of(session, self._choosing)
        # Scaled by the last sum, which rounding may leave a hair off 1.
        return self.experiment.variants[bisect_right(self._cumulative, place * self._cumulative[-1])]

    def unit(self, session: str, key: bytes) -> int:
        """What is kept of a session: 48 bits under the state folder's key, other ones in each experiment and version.

        They tell which decisions belong together, and nothing else: not even that two experiments had one session.
        """
        told = f"{self._choosing}\0{session}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(told, digest_size=_UNIT_BYTES, key=key, person=b"experiment").digest(), "little")
