"""Why a rewrite does not apply."""

from __future__ import annotations


class NoMatch(Exception):
    """A graph is not of the form that a rewrite is for; the message says why, for the notes.

    Control flow within this package: the next rewrite is tried, or an `ExportError` is raised.
    """
