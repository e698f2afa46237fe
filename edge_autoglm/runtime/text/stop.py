"""Stop texts in a stream of text pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Lets text through up to a stop text, and holds back what may become one.

    The stop text that is *complete first* wins; of those complete at the same character, the longest. So the result
    does not depend on how the text was cut into pieces. The stop text itself is not let through.

    Args:
        stops: Non-empty texts; none lets everything through.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Take the next piece.

        Returns:
            Text to let through, and whether a stop text was found; after that nothing more may be pushed.
        """
        text = self._held + text
        begin = self._find(text)
        if begin is not None:
            self._held = ""
            return text[:begin], True
        keep = self._unfinished(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def finish(self) -> str:
        """Text that was held back and turned out not to be a stop text."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        """Where the winning stop text begins."""
        found = [(begin + len(stop), begin) for stop in self._stops if (begin := text.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _unfinished(self, text: str) -> int:
        """Length of the longest end of ``text`` with which a stop text begins."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
