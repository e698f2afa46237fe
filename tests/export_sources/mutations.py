"""Damage for fuzzing: bytes flipped, cut and moved, numbers made absurd; all of it follows from the generator."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

_NUMBER = re.compile(rb"-?\d+(\.\d+)?")
_NASTY_JSON = [
    b"0",
    b"-1",
    b"1.5",
    b"1e999",
    b"NaN",
    b"true",
    b"null",
    b'""',
    b'"\\ud800"',
    b"[]",
    b"{}",
    b"2147483648",
    b"9223372036854775807",
    b"18446744073709551616",
    b"9" * 40,
    b"9" * 6000,
    b"[" * 3000,
    b'{"a":' * 3000,
]
_NASTY_INTEGERS = [
    0,
    1,
    2,
    7,
    31,
    64,
    255,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 60,
    1 << 62,
    (1 << 63) - 1,
    (1 << 64) - 1,
]


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change up to eight bytes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= rng.randint(1, 255)
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Cut the end off."""
    return data[: rng.randrange(len(data))]


def splice(data: bytes, rng: random.Random) -> bytes:
    """Copy a part over another, into another place, or out of the file."""
    begin = rng.randrange(len(data))
    part = data[begin : begin + rng.choice([1, 4, 8, 40, 400])]
    to = rng.randrange(len(data))
    match rng.randrange(3):
        case 0:
            return data[:to] + part + data[to + len(part) :]
        case 1:
            return data[:to] + part + data[to:]
        case _:
            return data[:begin] + data[begin + len(part) :]


def text_numbers(data: bytes, rng: random.Random) -> bytes:
    """Replace a number of a JSON text by something absurd."""
    numbers = list(_NUMBER.finditer(data))
    if not numbers:
        return flip(data, rng)
    number = rng.choice(numbers)
    return data[: number.start()] + rng.choice(_NASTY_JSON) + data[number.end() :]


def binary_numbers(data: bytes, rng: random.Random) -> bytes:
    """Overwrite four or eight bytes by an integer at the edge of what fits."""
    code = rng.choice(["<I", "<Q"])
    number = struct.pack(code, rng.choice(_NASTY_INTEGERS) % (1 << 8 * struct.calcsize(code)))
    to = rng.randrange(max(1, len(data) - len(number)))
    return data[:to] + number + data[to + len(number) :]


def json_values(data: bytes, rng: random.Random) -> bytes:
    """Replace a value somewhere in a JSON document, or give an object a key twice."""
    content = json.loads(data)
    places: list[tuple[Any, Any]] = []
    _collect(content, places)
    if not places:
        return flip(data, rng)
    container, key = rng.choice(places)
    container[key] = "@@"
    text = json.dumps(content).encode()
    if rng.random() < 0.1 and isinstance(container, dict):
        return text.replace(b'"@@"', b"1, " + json.dumps(key).encode() + b": 1", 1)
    return text.replace(b'"@@"', rng.choice(_NASTY_JSON), 1)


def _collect(content: Any, places: list[tuple[Any, Any]]) -> None:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        places.append((content, key))
        _collect(value, places)


Mutation = Callable[[bytes, random.Random], bytes]
BYTES: tuple[Mutation, ...] = (flip, truncate, splice)
JSON: tuple[Mutation, ...] = (*BYTES, text_numbers, json_values, json_values)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Damage a JSON file."""
    return rng.choice(JSON)(data, rng)


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Damage a safetensors file; half of the time its header alone, with a length that fits again."""
    if rng.random() < 0.4:
        return rng.choice((*BYTES, binary_numbers))(data, rng)
    length = int.from_bytes(data[:8], "little")
    header = rng.choice(JSON)(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def mutate_gguf(data: bytes, table: tuple[int, int], rng: random.Random) -> bytes:
    """Damage a GGUF file: anywhere, in its header, or in the table of tensors, which lies at ``table``."""
    begin, end = rng.choice([(0, len(data)), (0, table[1]), (0, 400), table])
    mutation = rng.choice((*BYTES, binary_numbers, binary_numbers))
    if mutation is truncate:
        return truncate(data, rng)
    return data[:begin] + mutation(data[begin:end], rng) + data[end:]
