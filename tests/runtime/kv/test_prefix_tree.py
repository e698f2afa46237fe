from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.runtime.kv.prefix_tree import Node, PrefixTree, Tokens
from tests.runtime.kv.kv_for_tests import TOKEN_BYTES, kv_of

TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=6)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "cut", "touch", "pin", "unpin"]), TOKENS), max_size=30)


def array(tokens: list[int]) -> Tokens:
    return np.array(tokens, dtype=np.int64)


def put(tree: PrefixTree, tokens: list[int]) -> Node:
    node, held = tree.cut(array(tokens)), tree.match(array(tokens)).length
    return node if held == len(tokens) else tree.append(node, array(tokens)[held:], kv_of(tokens, held))


def emptied(tree: PrefixTree) -> list[Node]:
    """The nodes in the order in which they give way."""
    nodes = []
    while leaf := tree.oldest_leaf():
        assert not leaf.children
        tree.remove(leaf)
        nodes.append(leaf)
    return nodes


@given(STEPS)
def test_only_leaves_give_way_whatever_happened_before(steps: list[tuple[str, list[int]]]) -> None:
    tree = PrefixTree()
    pinned: list[Node] = []
    for action, tokens in steps:
        if action == "put":
            put(tree, tokens)
        elif action == "touch":
            for node in tree.match(array(tokens)).path[-1:]:
                tree.touch(node)
        elif action == "unpin":
            if pinned:
                tree.unpin(pinned.pop())
        else:
            node = tree.cut(array(tokens))
            if action == "pin":
                tree.pin(node)
                pinned.append(node)
    kept = tree.pinned_nbytes
    emptied(tree)
    assert tree.nbytes == kept == sum(node.segment.nbytes for node in tree.pinned())
    assert len(tree) == len(list(tree.pinned()))
    for node in pinned:
        tree.unpin(node)
    emptied(tree)
    assert (len(tree), tree.nbytes, tree.pinned_nbytes) == (0, 0, 0)


def test_nodes_give_way_in_the_order_of_their_last_use() -> None:
    tree = PrefixTree()
    for tokens in ([1, 2, 3], [1, 2, 4], [5], [6]):
        put(tree, tokens)
    tree.touch(tree.match(array([1, 2, 3])).path[-1])
    pinned = put(tree, [7])
    tree.pin(pinned)
    assert [node.tokens.tolist() for node in emptied(tree)] == [[4], [5], [6], [3], [1, 2]]
    tree.unpin(pinned)
    assert emptied(tree) == [pinned]


def test_a_node_that_is_split_stays_in_line() -> None:
    tree = PrefixTree()
    for tokens in ([1], [1, 2, 3], [4]):
        put(tree, tokens)
    tree.cut(array([1, 2]))
    assert [node.tokens.tolist() for node in emptied(tree)] == [[3], [4], [2], [1]]


def test_a_match_says_how_far_it_is_pinned() -> None:
    tree = PrefixTree()
    put(tree, [1, 2, 3, 4])
    tree.pin(tree.cut(array([1, 2, 3])))
    put(tree, [1, 2, 3, 4, 5])
    matches = [tree.match(array([1, 2, 3, 4, 5][:length])) for length in range(6)]
    lengths = [(match.length, match.pinned_length) for match in matches]
    assert lengths == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (5, 3)]


def test_nodes_keep_no_prompt_alive() -> None:
    tree = PrefixTree()
    tail = put(tree, [1, 2, 3, 4])
    head = tree.cut(array([1, 2]))
    for node in (head, tail):
        assert node.tokens.base is None
        assert node.segment.nbytes == 2 * TOKEN_BYTES
        assert node.segment.arrays[0].base is None
