"""The process of one contestant: opens it, answers the harness, and waits without computing in between.

python -m benchmarks.peers.worker KIND
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from benchmarks.peers.protocol import Peer, Prompt, Settings

KINDS = {
    "edge": "benchmarks.peers.edge:EdgePeer",
    "edge_engine": "benchmarks.gpu.edge_engine:EdgeEngine",
    "llama_cpp": "benchmarks.peers.llama_cpp:LlamaCppPeer",
    "ort_genai": "benchmarks.peers.ort_genai:OrtGenaiPeer",
    "openvino": "benchmarks.peers.openvino_genai:OpenVinoPeer",
    "torch": "benchmarks.gpu.torch_peer:TorchPeer",
    "transformers": "benchmarks.peers.transformers_peer:TransformersPeer",
}
"""Kind -> module and class. They are imported when chosen, because no interpreter need have all of them."""

Message = dict[str, Any]


def serve(requests: TextIO, replies: TextIO, make: Callable[[Settings], Peer]) -> None:
    """Answer requests until the harness closes or goes away; a failure is an answer too."""
    peer: Peer | None = None
    try:
        for line in requests:
            request = json.loads(line)
            if request["op"] == "close":
                break
            reply: Message
            try:
                if request["op"] == "open":
                    peer = make(Settings(**request["settings"]))
                    reply = {"about": peer.describe()}
                elif peer is None:
                    raise RuntimeError("no model is open")
                elif request["op"] == "launches":
                    reply = {"launches": _launches(peer, request)}
                else:
                    reply = {"answers": _generate(peer, request)}
            except Exception as error:
                # Whatever goes wrong in other people's code, the other contestants go on.
                reply = {"error": f"{type(error).__name__}: {error}"}
            replies.write(json.dumps(reply) + "\n")
            replies.flush()
    finally:
        if peer is not None:
            peer.close()


def _generate(peer: Peer, request: Message) -> list[Message]:
    prompts = [Prompt(**prompt) for prompt in request["prompts"]]
    return [dataclasses.asdict(answer) for answer in peer.generate(prompts, request["new_tokens"])]


def _launches(peer: Peer, request: Message) -> int:
    """Of a call that has been made once already: what it had to prepare is not counted."""
    from benchmarks.gpu.launches import launch_counter

    _generate(peer, request)
    return launch_counter().count(lambda: _generate(peer, request))


def _load(kind: str) -> Callable[[Settings], Peer]:
    """The class of a kind, imported at the first request, so that a missing package is an answer."""

    def make(settings: Settings) -> Peer:
        module, _, name = KINDS[kind].partition(":")
        peer: Peer = getattr(importlib.import_module(module), name)(settings)
        return peer

    return make


def main() -> None:
    """Serve the harness on standard input and output."""
    [kind] = sys.argv[1:]
    # Libraries print to standard output, from C too: they get standard error, and replies a descriptor of their own.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies, _load(kind))


if __name__ == "__main__":
    main()
