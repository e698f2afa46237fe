"""Searches for better prompts: rewrites race on the user's labelled examples, and the best become a new prompt set."""

from edge_autoglm.evolve.optimizer import Evolved, PromptOptimizer
from edge_autoglm.evolve.settings import STRATEGIES, EvolveSettings
from edge_autoglm.evolve.splits import Shares

__all__ = ["STRATEGIES", "EvolveSettings", "Evolved", "PromptOptimizer", "Shares"]
