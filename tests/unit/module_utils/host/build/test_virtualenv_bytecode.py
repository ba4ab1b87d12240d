"""A virtualenv's bytecode is made of what root copied, by an unprivileged compiler whose answers root checks."""

from __future__ import annotations

import inspect
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.build import compiling, virtualenv_bytecode
from ansible_collections.slipway.kit.plugins.module_utils.host.build.virtualenv_bytecode import Bytecode
from ansible_collections.slipway.kit.plugins.module_utils.host.process.cells import Outcome, Sink

PYTHON = os.path.realpath(sys.executable)
TAG = str(sys.implementation.cache_tag)
SITE = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
PROGRAM = inspect.getsource(compiling)


def compiler(stdin: int, sink: Sink, program: str = PROGRAM) -> Outcome:
    """Run the compiler without a sandbox."""
    result = subprocess.run([PYTHON, "-I", "-S", "-c", program], stdin=stdin, capture_output=True, check=False)
    for first in range(0, len(result.stdout), 1000):
        sink.add(result.stdout[first : first + 1000])
    return Outcome(result.returncode, "", result.stderr.decode())


def make(
    copy: Path,
    modules: dict[str, str],
    run: Callable[[int, Sink], Outcome] = compiler,
    like: Path | None = None,
) -> str:
    """Have modules compiled of which root has copies; the tag that is noted."""
    with Bytecode(str(copy), run, str(like or ""), TAG if like else "") as bytecode:
        for name, text in modules.items():
            file = copy / SITE / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if like and (like / SITE / name).exists():
                os.link(like / SITE / name, file)
                assert bytecode.shared(f"{SITE}/{name}")
                continue
            file.write_text(text)
            os.utime(file, (virtualenv_bytecode.TIME, virtualenv_bytecode.TIME))
            with file.open() as copied:
                bytecode.copied(f"{SITE}/{name}", copied.fileno())
        return bytecode.finish()[1]


def cached(copy: Path, name: str) -> Path:
    return copy / virtualenv_bytecode.cached(f"{SITE}/{name}", TAG)


PATH = "def path():\n    return path.__code__.co_filename\n"


def test_equal_modules_get_equal_bytecode_and_each_tells_its_own_path(tmp_path: Path) -> None:
    modules = {"path.py": PATH, "pack/__init__.py": "", "pack/broken.py": "def\n", "pack/more.py": "x = 1\n" * 100_000}
    for name in ("one", "two"):
        assert make(tmp_path / name, modules) == TAG
        code = f"import sys; sys.path.insert(0, {str(tmp_path / name / SITE)!r}); import path, pack.more; print(path.path())"
        shown = subprocess.run([PYTHON, "-I", "-S", "-v", "-c", code], check=True, capture_output=True, text=True)
        assert shown.stdout.split() == [str(tmp_path / name / SITE / "path.py")]
        for module in ("path.py", "pack/__init__.py", "pack/more.py"):
            assert f"code object from '{cached(tmp_path / name, module)}'" in shown.stderr
        assert not cached(tmp_path / name, "pack/broken.py").exists()
    assert cached(tmp_path / "one", "path.py").read_bytes() == cached(tmp_path / "two", "path.py").read_bytes()


def test_only_what_changed_is_compiled(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    modules = {"path.py": PATH, "pack/broken.py": "def\n", "pack/kept.py": "x = 1\n"}
    make(one, modules)
    seen = []

    def noting(stdin: int, _sink: Sink) -> Outcome:
        seen.append(stdin)
        return Outcome(1, "", "")

    assert make(two, modules, noting, like=one) == TAG
    assert not seen, "no compiler starts for nothing"
    assert cached(two, "pack/kept.py").samefile(cached(one, "pack/kept.py"))
    assert not cached(two, "pack/broken.py").exists()
    assert make(tmp_path / "three", {**modules, "new.py": "y = 1\n"}, like=one) == TAG
    assert cached(tmp_path / "three", "new.py").exists()


def test_a_module_that_ends_the_compiler_costs_its_own_bytecode_alone(tmp_path: Path) -> None:
    deadly = PROGRAM.replace(
        "    code = compile(",
        f'    b"die" in source and os.kill(os.getpid(), {int(signal.SIGKILL)})\n    code = compile(',
    )
    names = [f"m{number}.py" for number in range(20)]
    modules = {name: "die = 1\n" if name in names[:8] else "x = 1\n" for name in names}
    assert make(tmp_path, modules, lambda stdin, sink: compiler(stdin, sink, deadly)) == "", "some is lacking"
    assert [cached(tmp_path, name).exists() for name in names] == [False] * 8 + [True] * 12


def test_a_compiler_that_does_not_read_keeps_no_one_waiting(tmp_path: Path) -> None:
    modules = {f"m{number}.py": "# text\n" * 50_000 for number in range(20)}
    assert make(tmp_path, modules, lambda _stdin, _sink: Outcome(1, "", "")) == ""


def frame(number: int, data: bytes) -> bytes:
    return struct.pack("!II", number, len(data)) + data


@pytest.mark.parametrize("tag", [b"/../../x", b"../x", b"", b"cpython-311/../x", b"x!", b"cpython-311\n"])
def test_a_tag_leads_nowhere(tmp_path: Path, tag: bytes) -> None:
    def hostile(stdin: int, sink: Sink) -> Outcome:
        while os.read(stdin, 4096):
            pass
        sink.add(frame(0, tag) + frame(1, b"bytecode"))
        return Outcome(0, "", "")

    assert make(tmp_path / "copy", {"m.py": ""}, hostile) == ""
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["m.py"]


def test_an_answer_that_was_not_asked_for_is_dropped(tmp_path: Path) -> None:
    def hostile(stdin: int, sink: Sink) -> Outcome:
        while os.read(stdin, 4096):
            pass
        for answer in (frame(0, TAG.encode()), frame(7, b"x"), frame(1, b"one"), frame(1, b"two"), frame(0, b"pypy-3")):
            sink.add(answer)
        return Outcome(0, "", "")

    assert make(tmp_path, {"m.py": ""}, hostile) == TAG
    assert cached(tmp_path, "m.py").read_bytes() == b"one"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2


def test_there_is_an_end_to_an_answer(tmp_path: Path) -> None:
    def hostile(_stdin: int, sink: Sink) -> Outcome:
        sink.add(struct.pack("!II", 1, 2**31))
        return Outcome(0, "", "")

    with pytest.raises(OSError, match="the compiler's answer is too large"):
        make(tmp_path, {"m.py": ""}, hostile)


def test_bytecode_that_has_too_many_names_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "one", {"m.py": "x = 1\n"})

    def full(*_: object, **__: object) -> None:
        raise OSError(31, "Too many links")

    monkeypatch.setattr(virtualenv_bytecode, "_link", full)
    with Bytecode(str(tmp_path / "two"), compiler, str(tmp_path / "one"), TAG) as bytecode:
        assert not bytecode.shared(f"{SITE}/m.py")
        assert bytecode.shared("share/m.py"), "none is wanted there"
