"""A kiosk that sorts visitors' comments, learns from the staff's corrections, and takes updates without a stop.

    python device_app.py kiosk.bundle state < comments.tsv

A line is a comment, or a comment, a tab and the label that the staff gave it. The line ``!update FOLDER`` swaps in
another bundle while the kiosk goes on answering.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import Future

from edge_autoglm import EdgeAutoGLMError, Runtime, SwapOutcome


def serve(runtime: Runtime, lines: Iterable[str]) -> None:
    """Answer every line; a line that cannot be answered is reported and does not stop the kiosk."""
    updates: list[Future[SwapOutcome]] = []
    for line in lines:
        comment, _, correction = line.rstrip("\n").partition("\t")
        try:
            if comment.startswith("!update "):
                updates.append(runtime.swap_in_background(comment.removeprefix("!update ")))
                continue
            reply = runtime.run("sentiment", {"text": comment}, context={"busy": len(updates) > 0})
            print(f"{reply.label}\t{reply.variant}\t{comment}")
            if correction:
                runtime.feedback(reply.id, 1.0 if correction == reply.label else 0.0)
        except EdgeAutoGLMError as error:
            print(f"kiosk: {error}", file=sys.stderr)
    for update in updates:
        print(update.result(), file=sys.stderr)


def main() -> None:
    """Open the bundle and serve standard input until it ends."""
    bundle, state = sys.argv[1:]
    with Runtime.open(bundle, state=state) as runtime:
        serve(runtime, sys.stdin)


if __name__ == "__main__":
    main()
