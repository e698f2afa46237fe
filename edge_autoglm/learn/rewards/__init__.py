"""From what a user says or does to a reward in 0..1 and how much it counts."""

from edge_autoglm.learn.rewards.checked import checked_reward as checked_reward
