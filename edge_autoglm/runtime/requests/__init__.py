"""Kinds of requests, each as the chunks that it runs: generate, score, make a prefix resident, try an engine out."""
