"""Conversations that are remembered, within a token budget."""
