"""A radix tree over token ids whose nodes hold KV segments.

Prompts with a common beginning share the nodes of that beginning, as in RadixAttention (Zheng et al. 2024, "SGLang:
Efficient Execution of Structured Language Model Programs", section 3). A pure data structure: no locks, no budget.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_autoglm.runtime.engine import KVSegment

Tokens = npt.NDArray[np.int64]
_NO_TOKENS: Tokens = np.zeros(0, dtype=np.int64)


@dataclass(slots=True, eq=False)
class Node:
    """Tokens that follow those of the parent, and their KV.

    Attributes:
        tokens: ``[segment.length]``; the first one is the node's key in the parent.
        segment: Their KV; begins where the parent's ends.
        parent: ``None`` for the root, which holds no tokens.
        pins: How many pins lie on this node or below it.
        children: By first token.
    """

    tokens: Tokens
    segment: KVSegment
    parent: Node | None
    pins: int = 0
    children: dict[int, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """What the tree holds of some tokens.

    Attributes:
        path: Nodes from the top down; the last one may be matched in part.
        length: Leading tokens held.
    """

    path: tuple[Node, ...]
    length: int

    @property
    def pinned_length(self) -> int:
        """Leading tokens that are pinned."""
        return max((min(node.segment.end, self.length) for node in self.path if node.pins), default=0)


class PrefixTree:
    """Nodes know how many pins lie on them or below; the others are kept in the order of their last use.

    A use of a node is one of all nodes above it. They are queued from the bottom up, so that the least recently used
    unpinned node never has children.
    """

    def __init__(self) -> None:
        self._root = Node(_NO_TOKENS, KVSegment("", 0, 0, (), ()), None)
        self._idle: OrderedDict[Node, None] = OrderedDict()
        self._nodes = 0
        self.nbytes = 0
        """Memory of all segments."""
        self.pinned_nbytes = 0
        """Memory of those that are pinned."""

    def __len__(self) -> int:
        return self._nodes

    def match(self, tokens: Tokens) -> Match:
        """The longest beginning of ``tokens`` that is held."""
        path: list[Node] = []
        node, length = self._root, 0
        while length < len(tokens):
            child = node.children.get(int(tokens[length]))
            if child is None:
                break
            shared = _shared(child.tokens, tokens[length:])
            path.append(child)
            node, length = child, length + shared
            if shared < len(child.tokens):
                break
        return Match(tuple(path), length)

    def cut(self, tokens: Tokens) -> Node:
        """The node at which the longest held beginning of ``tokens`` ends; a node that reaches further is split."""
        match = self.match(tokens)
        if not match.path:
            return self._root
        last = match.path[-1]
        return last if match.length == last.segment.end else self._split(last, match.length)

    def append(self, node: Node, tokens: Tokens, segment: KVSegment) -> Node:
        """Hang a new leaf below a node.

        Args:
            node: From ``cut``; has no child that begins with the same token.
            tokens: At least one.
            segment: Their KV; begins where the node ends.
        """
        leaf = Node(tokens.copy(), segment, node)  # no view, which would keep a whole prompt alive
        node.children[int(tokens[0])] = leaf
        self._idle[leaf] = None
        self._nodes += 1
        self.nbytes += segment.nbytes
        self.touch(leaf)
        return leaf

    def touch(self, node: Node) -> None:
        """The node, and with it those above, was used just now."""
        for each in _upwards(node):
            if not each.pins:
                self._idle.move_to_end(each)

    def pin(self, node: Node) -> None:
        """Keep the node and those above it out of the queue until as many calls of ``unpin``."""
        for each in _upwards(node):
            if not each.pins:
                del self._idle[each]
                self.pinned_nbytes += each.segment.nbytes
            each.pins += 1

    def unpin(self, node: Node) -> None:
        """Take back one ``pin`` of the same node; what is free again counts as used just now."""
        for each in _upwards(node):
            each.pins -= 1
            if not each.pins:
                self._idle[each] = None
                self.pinned_nbytes -= each.segment.nbytes

    def oldest_leaf(self) -> Node | None:
        """The unpinned leaf that was not used for longest; ``None`` if everything is pinned."""
        return next(iter(self._idle), None)

    def remove(self, leaf: Node) -> None:
        """Take an unpinned leaf out."""
        if leaf.parent is not None:
            del leaf.parent.children[int(leaf.tokens[0])]
        del self._idle[leaf]
        self._nodes -= 1
        self.nbytes -= leaf.segment.nbytes

    def pinned(self) -> Iterator[Node]:
        """All pinned nodes, every one behind its parent."""
        waiting = [self._root]
        while waiting:
            below = [node for node in waiting.pop().children.values() if node.pins]
            yield from below
            waiting.extend(below)

    def _split(self, node: Node, position: int) -> Node:
        """Move a node's tokens before ``position`` into a new parent; the node itself stays where its pins end."""
        tokens, segment, size = node.tokens, node.segment, position - node.segment.begin
        head = Node(tokens[:size].copy(), segment.part(segment.begin, position), node.parent, node.pins)
        head.children[int(tokens[size])] = node
        if node.parent is not None:
            node.parent.children[int(tokens[0])] = head
        node.tokens, node.segment, node.parent = tokens[size:].copy(), segment.part(position, segment.end), head
        self._nodes += 1
        if not head.pins:
            self._idle[head] = None
            self.touch(head)
        return head


def _shared(left: Tokens, right: Tokens) -> int:
    """Number of equal leading tokens."""
    length = min(len(left), len(right))
    differ = left[:length] != right[:length]
    return int(differ.argmax()) if differ.any() else length


def _upwards(node: Node) -> Iterator[Node]:
    """The node and those above it, without the root."""
    while node.parent is not None:
        yield node
        node = node.parent
