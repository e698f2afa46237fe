"""The choice of a prompt variant: features, policy, journal and the learner that joins them."""
