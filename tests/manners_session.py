"""A program: the session of an app with a bundle, guarded against sockets. Prints what it left behind as JSON.

    python tests/manners_session.py BUNDLE STATE GUARD ACT

GUARD is ``audit`` (Python code that touches a socket fails), ``seccomp`` (the process is killed with SIGSYS when any of
its threads, native ones too, asks the kernel for a socket) or ``none``. ACT is ``session``, ``idle``, ``python-socket``
or ``native-socket``; the last two do what is forbidden, to show that the guards stand.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

CANNOT_GUARD = 77
"""Exit status where the kernel does not take the filter."""

_IO_URING_SETUP = 425
_FORBIDDEN = {"x86_64": (0xC000003E, (41, 53, _IO_URING_SETUP)), "aarch64": (0xC00000B7, (198, 199, _IO_URING_SETUP))}
"""Of the kernel's audit.h and unistd.h: architecture; socket, socketpair and the way round them."""

_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL_PROCESS, _ALLOW = 0x80000000, 0x7FFF0000
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE = 0, 4


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def _kill_on_socket() -> None:
    """A seccomp filter: inherited by every thread, and not to be taken off again."""
    architecture, numbers = _FORBIDDEN[platform.machine()]
    to_kill = range(len(numbers), 0, -1)
    instructions = [
        _Instruction(_LOAD, 0, 0, _OFFSET_ARCHITECTURE),
        _Instruction(_JUMP_IF_EQUAL, 0, len(numbers) + 1, architecture),
        _Instruction(_LOAD, 0, 0, _OFFSET_NUMBER),
        *(_Instruction(_JUMP_IF_EQUAL, distance, 0, number) for distance, number in zip(to_kill, numbers, strict=True)),
        _Instruction(_RETURN, 0, 0, _ALLOW),
        _Instruction(_RETURN, 0, 0, _KILL_PROCESS),
    ]
    array = (_Instruction * len(instructions))(*instructions)
    program = _Program(len(instructions), array)
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, filter_mode = 38, 22, 2
    zero = ctypes.c_ulong(0)
    refused = libc.prctl(no_new_privileges, ctypes.c_ulong(1), zero, zero, zero) or libc.prctl(
        set_seccomp, ctypes.c_ulong(filter_mode), ctypes.byref(program), zero, zero
    )
    if refused:
        print(os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(CANNOT_GUARD)


def _refuse_sockets(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        print(f"REFUSED {event} {arguments}", file=sys.stderr, flush=True)
        os._exit(1)  # an exception could be caught by the library that is at fault


def _session(bundle: Path, state: Path) -> dict[str, Any]:
    from edge_autoglm import Runtime, RuntimeConfig, Swapped

    config = RuntimeConfig(tasks=("sentiment", "summarize"), context_length=512)
    with Runtime.open(bundle, state=state, threads=2, config=config) as runtime:
        reply = runtime.run("sentiment", {"text": "a great film"})
        runtime.feedback(reply.id, 1.0)
        pieces = list(runtime.stream("summarize", {"text": "the film is good and the text is bad"}))
        runtime.score("the film is", [" good", " bad"])
        runtime.generate("the movie", max_new_tokens=4, temperature=0.7, seed=1)
        swapped = isinstance(runtime.swap(bundle), Swapped)
        runtime.run("sentiment", {"text": "a bad film"})
        open_files = _open_files()
    return {"label": reply.label, "pieces": len(pieces), "swapped": swapped, "open_files": open_files}


def _idle(bundle: Path, state: Path) -> dict[str, Any]:
    """CPU time of all threads while an open runtime waits, after it has worked."""
    from edge_autoglm import Runtime, RuntimeConfig

    config = RuntimeConfig(tasks=("sentiment",), context_length=512)
    with Runtime.open(bundle, state=state, threads=2, config=config) as runtime:
        runtime.run("sentiment", {"text": "a great film"})
        runtime.swap(bundle)
        cpu, wall = time.process_time(), time.perf_counter()
        time.sleep(1.5)
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def _open_files() -> list[str]:
    if not Path("/proc/self/fd").is_dir():
        return []
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:  # the listing's own
            continue
    return found


def main() -> None:
    bundle, state, guard, act = sys.argv[1:]
    if guard == "audit":
        sys.addaudithook(_refuse_sockets)
    elif guard == "seccomp":
        _kill_on_socket()
    if act == "python-socket":
        import socket

        socket.socket().close()
    elif act == "native-socket":
        ctypes.CDLL(None).socket(2, 1, 0)
    elif act == "idle":
        print(json.dumps(_idle(Path(bundle), Path(state))))
    else:
        print(json.dumps(_session(Path(bundle), Path(state))))


if __name__ == "__main__":
    main()
