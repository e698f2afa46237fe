"""From what is expected of each arm to the probability of choosing it, one strategy a file."""

from edge_autoglm.learn.exploration.base import Exploration, check_arms
from edge_autoglm.learn.exploration.draw import choose, forced, new_decision_id
from edge_autoglm.learn.exploration.optimism import Optimism
from edge_autoglm.learn.exploration.square_cb import SquareCB
from edge_autoglm.learn.exploration.thompson import Thompson, probability_of_best

__all__ = [
    "Exploration",
    "Optimism",
    "SquareCB",
    "Thompson",
    "check_arms",
    "choose",
    "forced",
    "new_decision_id",
    "probability_of_best",
]
