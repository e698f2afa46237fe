"""Texts that are to be kept: what may be stored, and how much room it takes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from edge_autoglm.errors import InputRejected, RequestError


def check_text(what: str, text: object) -> str:
    """The text itself.

    Args:
        what: It is, for a message.
        text: Given by the app.

    Raises:
        InputRejected: It is no text, is empty, or has a NUL or half a surrogate pair.
    """
    if not isinstance(text, str) or not text.strip():
        problem = "empty" if isinstance(text, str) else f"of type {type(text).__name__}"
        raise InputRejected(f"{what} is {problem}", "Give a text.")
    if "\0" in text:
        raise InputRejected(f"{what} has a NUL character at position {text.index(chr(0))}", "Take it out of the text.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        cause = f"{what} has half a surrogate pair at position {error.start}"
        raise InputRejected(cause, "Decode the text with errors='replace' before you hand it over.") from error
    return text


def check_budget(name: str, budget: int) -> int:
    """The budget itself.

    Raises:
        RequestError: It is below 1.
    """
    if budget < 1:
        raise RequestError(f"the budget for {name} is {budget} bytes", "Give 1 or more.")
    return budget


def check_fits(what: str, nbytes: int, budget: int) -> None:
    """Raise ``InputRejected`` for what is larger than all the room there is."""
    if nbytes > budget:
        raise InputRejected(
            f"{what} takes {nbytes} bytes, the store holds {budget}", "Shorten it, or open the runtime with more room."
        )


def make_room(
    connection: sqlite3.Connection, table: str, budget: int, remove: Callable[[Iterable[int]], object]
) -> bool:
    """Remove the oldest items until the texts of a table fit their budget; whether any had to go."""
    [(held,)] = connection.execute(f"SELECT coalesce(sum(nbytes), 0) FROM {table}").fetchall()
    leaving: list[int] = []
    if held > budget:
        for item, nbytes in connection.execute(f"SELECT id, nbytes FROM {table} ORDER BY id"):
            leaving.append(item)
            held -= nbytes
            if held <= budget:
                break
    remove(leaving)
    return bool(leaving)
