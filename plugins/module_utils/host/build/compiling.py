"""Compiles modules that root sends: a program that a virtualenv's interpreter runs, as the build user.

It runs by its text alone (`python -I -S -c`), so no start file of a package runs. It reads modules from standard input and
writes their bytecode to standard output. It needs no file, so root decides of which source a file's bytecode is.

Equal modules get equal bytecode, which virtualenvs can then share. Bytecode holds the time of its module, so root gives each
module one constant time. It also holds the module's path, which is given below the folder. An import puts in the real one.
"""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import marshal
import os
import struct
import sys
import warnings

MODULE = struct.Struct("!IIII")
"""Before a module: its number, its time, and how many bytes its path and its source have."""
BYTECODE = struct.Struct("!II")
"""Before bytecode: the number of its module, and how many bytes it has: none where the module cannot be compiled."""
TAG = 0
"""The number of the first answer, which is the interpreter's tag in the names of bytecode (PEP 3147). Modules count from 1."""
INPUT, OUTPUT = 0, 1


def main() -> None:
    """Compile all modules, on all processors."""
    gc.disable()  # a tree is freed by its references, and the collector would look through it again and again
    warnings.simplefilter("ignore")
    # A lock of a process ends with the process, however that ends.
    lock = os.memfd_create("lock")
    answer(lock, TAG, (sys.implementation.cache_tag or "").encode())
    for _ in os.sched_getaffinity(0):
        start(lock)
    while True:
        try:
            _pid, status = os.wait()
        except ChildProcessError:
            break
        if os.WIFSIGNALED(status):
            start(lock)  # some module is more than the compiler bears; the others are compiled still


def start(lock: int) -> None:
    """Start a process that compiles modules until there are no more."""
    if os.fork():
        return
    try:
        while compile_one(lock):
            pass
    finally:
        os._exit(0)


def compile_one(lock: int) -> bool:
    """Compile the next module; whether there was one."""
    fcntl.lockf(lock, fcntl.LOCK_EX, 1, INPUT)
    try:
        number, time, length, size = MODULE.unpack(read(MODULE.size))
        path, source = read(length), read(size)
    except struct.error:
        return False
    finally:
        fcntl.lockf(lock, fcntl.LOCK_UN, 1, INPUT)
    try:
        bytecode = compiled(source, os.fsdecode(path), time)
    except Exception:  # of another version of Python, or text that only looks like a module
        bytecode = b""
    answer(lock, number, bytecode)
    return True


def compiled(source: bytes, path: str, time: int) -> bytes:
    """The bytecode of a module, with the header of PEP 552 that holds its module's time."""
    code = compile(source, path, "exec", dont_inherit=True)
    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, time, len(source) & 0xFFFFFFFF)
    return head + marshal.dumps(code)


def answer(lock: int, number: int, data: bytes) -> None:
    """Write an answer, one process at a time."""
    fcntl.lockf(lock, fcntl.LOCK_EX, 1, OUTPUT)
    try:
        text = memoryview(BYTECODE.pack(number, len(data)) + data)
        while text:
            text = text[os.write(OUTPUT, text) :]
    finally:
        fcntl.lockf(lock, fcntl.LOCK_UN, 1, OUTPUT)


def read(size: int) -> bytes:
    """The next bytes of the input; fewer only at its end."""
    pieces = []
    while size and (piece := os.read(INPUT, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


if __name__ == "__main__":
    main()
