"""Does the candidate's model say the same as the active one, and if not, how far are they apart?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.decoding.logprobs import log_softmax
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.swap.checks.randomisation import sign_flip_p_value

_Row = npt.NDArray[np.float64]

_CONFIDENCE = 0.95
_LARGEST_RATIO = 20.0
"""Nats to which a log-likelihood ratio is cut, so that a token which one model rules out does not decide alone."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """How unlike two models are in the next tokens of some texts.

    Attributes:
        p_value: Of the hypothesis that both draw them from the same distributions.
        mean_kl: Kullback-Leibler divergence of the second model from the first, in nats, mean over the texts.
        bound: Which the mean over all such texts stays below, at 95 % confidence.
        samples: Next tokens that were drawn from each.
    """

    p_value: float
    mean_kl: float
    bound: float
    samples: int


def same_vocabulary(one: LanguageModel, other: LanguageModel, windows: Sequence[Sequence[int]]) -> bool:
    """Whether two models read texts as the same tokens."""
    if one.engine.facts.vocab_size != other.engine.facts.vocab_size:
        return False
    if one.tokenizer.fingerprint == other.tokenizer.fingerprint:
        return one.add_bos_id == other.add_bos_id
    mine, yours = one.tokenizer, other.tokenizer
    if (mine.vocab_size, mine.special_ids, one.add_bos_id) != (yours.vocab_size, yours.special_ids, other.add_bos_id):
        return False
    if any(mine.token_bytes(token) != yours.token_bytes(token) for token in range(mine.vocab_size)):
        return False
    texts = [mine.decode(window) for window in windows]
    return all(mine.encode(text) == yours.encode(text) for text in texts)


def divergence(
    reference: LanguageModel,
    candidate: LanguageModel,
    windows: Sequence[Sequence[int]],
    samples: int,
    rng: np.random.Generator,
) -> Divergence:
    """Compare the distributions of the next token at up to ``samples`` positions of some token sequences.

    At each position, one token x is drawn from the reference and one, y, from the candidate. The statistic sums
    ``g(x) - g(y)``, where ``g = log p_reference - log p_candidate`` is the log-likelihood ratio there, which tells the
    two apart best (Neyman and Pearson 1933). Where the models agree, x and y are exchangeable, whatever ``g``: so the
    sign-flip test keeps its level, at any number of positions, for models that agree up to rounding as well.

    Raises:
        EngineError: Logits are no numbers.
    """
    order = rng.permutation(len(windows))
    differences: list[float] = []
    means: list[float] = []
    for index in order:
        left = samples - len(differences)
        if left <= 0:
            break
        window = windows[index]
        pairs = zip(reference.observe(window)[:left], candidate.observe(window)[:left], strict=True)
        found = [_at_position(log_softmax(mine), log_softmax(yours), rng) for mine, yours in pairs]
        differences += [difference for difference, _ in found]
        means.append(float(np.mean([kl for _, kl in found])))
    p_value = sign_flip_p_value(np.array(differences), rng)
    return Divergence(p_value, float(np.mean(means)), _upper_bound(means), len(differences))


def kl_divergence(log_p: _Row, log_q: _Row) -> float:
    """``KL(p || q)`` in nats; infinite if q rules out what p does not."""
    return _kl(np.exp(log_p), log_p, log_q)


def _at_position(log_p: _Row, log_q: _Row, rng: np.random.Generator) -> tuple[float, float]:
    """Difference of a pair of draws, and the divergence."""
    p = np.exp(log_p)
    x, y = _draw(p, rng), _draw(np.exp(log_q), rng)
    return _log_ratio(log_p, log_q, x) - _log_ratio(log_p, log_q, y), _kl(p, log_p, log_q)


def _kl(p: _Row, log_p: _Row, log_q: _Row) -> float:
    possible = p > 0  # a token of probability 0 adds nothing, whatever the other says
    if possible.all():
        return max(0.0, float(p @ (log_p - log_q)))
    return max(0.0, float(p[possible] @ (log_p[possible] - log_q[possible])))


def _draw(p: _Row, rng: np.random.Generator) -> int:
    """A token, by inverting the cumulative distribution."""
    cumulative = np.cumsum(p)
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))


def _log_ratio(log_p: _Row, log_q: _Row, token: int) -> float:
    return float(np.clip(log_p[token] - log_q[token], -_LARGEST_RATIO, _LARGEST_RATIO))


def _upper_bound(means: Sequence[float]) -> float:
    """One-sided t bound over texts; positions of one text are too alike to count each."""
    count, mean = len(means), float(np.mean(means))
    if count < 2 or not math.isfinite(mean):
        return math.inf
    return mean + t_quantile(_CONFIDENCE, count - 1) * float(np.std(means, ddof=1)) / math.sqrt(count)


def t_quantile(probability: float, degrees: int) -> float:
    """Of Student's t distribution, by its expansion at the normal one (Abramowitz and Stegun, 26.7.5).

    To within 2 % from 3 degrees of freedom on, for probabilities of 0.9 to 0.99.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return math.fsum(term / float(degrees) ** power for power, term in enumerate(terms))
