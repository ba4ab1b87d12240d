"""Compiles what was installed into a virtualenv: a program that the virtualenv's interpreter runs, as the build user.

It runs by its text alone (`python -I -S -c`), with the folder as its argument, so no start file of a package runs.
`compileall -j` does the same, but hands each file to its processes alone. That takes half as much time again.

Equal modules get equal bytecode, which virtualenvs can then share. Bytecode holds the time of its module, so each module gets
one constant time. It also holds the module's path, which is given below the folder. An import puts in the real one.
"""

from __future__ import annotations

import contextlib
import os
import py_compile
import sys

TIME = 315532800
"""1980-01-01, the first time that an archive can hold."""


def main() -> None:
    """Compile all modules, on all processors. What cannot be compiled has no bytecode, which is no fault."""
    folder = sys.argv[1]
    files = modules(folder)
    number = min(len(os.sched_getaffinity(0)), len(files))
    children = []
    for first in range(number):
        child = os.fork()
        if not child:
            try:
                for file in files[first::number]:
                    make(file, os.path.relpath(file, folder))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def modules(folder: str) -> list[str]:
    """The files of all modules below `folder`."""
    paths = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(".py"))
    return [path for path in paths if not os.path.islink(path)]


def make(file: str, shown: str) -> None:
    """Compile one module, with `shown` as its path."""
    with contextlib.suppress(Exception):
        os.utime(file, (TIME, TIME))
        py_compile.compile(file, dfile=shown, doraise=True)


if __name__ == "__main__":
    main()
