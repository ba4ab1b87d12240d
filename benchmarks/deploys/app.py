"""The app that every contender deploys, and what is changed of it before each operation."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hosts import CACHE, ROOT, Host

REQUIREMENTS = ("flask==3.1.*", "requests==2.*", "tenacity==9.*")
"""What a small app asks for: a dozen distributions with what they bring."""
ADDITIONS = ("markdown", "humanize", "toolz", "tabulate", "pyyaml", "python-slugify", "inflection", "more-itertools")
"""A new dependency for each time that one is asked for."""
IMPORTS = "import flask, requests, tenacity  # noqa\n"


@dataclass
class App:
    """A folder with the app, which is also a git repository; `number` counts its versions, `value` its settings."""

    folder: Path
    number: int = 0
    value: int = 0
    added: int = 0

    @classmethod
    def new(cls, name: str, files: int = 0, added: int = 0) -> App:
        """The first version, with so many more source files and dependencies."""
        folder = CACHE / f"app-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        text = (ROOT / "tests/fixtures/loss-app/web.py").read_text(encoding="utf-8")
        (folder / "web.py").write_text(text.replace("import json\n", f"import json\n{IMPORTS}", 1), encoding="utf-8")
        for number in range(files):
            module = folder / f"package_{number // 100}" / f"module_{number}.py"
            module.parent.mkdir(exist_ok=True)
            module.write_text(f'"""Module {number}."""\n\n' + f"VALUE = {number}\n" * 60, encoding="utf-8")
        app = cls(folder, added=added)
        app.lock()
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        app.change("first")
        return app

    def lock(self) -> None:
        """Lock what it asks for now, with hashes. Locks are kept, so that asking the index is no part of a figure."""
        wanted = "\n".join([*REQUIREMENTS, *ADDITIONS[: self.added]])
        kept = CACHE / "locks" / f"{self.added}.txt"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            argv = [str(ROOT / ".venv/bin/uv"), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
            locked = subprocess.run(
                [*argv, "--generate-hashes", "-"], input=wanted, capture_output=True, text=True, check=True
            )
            kept.write_text(locked.stdout, encoding="utf-8")
        shutil.copyfile(kept, self.folder / "requirements.txt")

    def change(self, operation: str) -> None:
        """Do what the operation's name says to the app, and commit it."""
        if operation in ("nothing", "rollback"):
            return
        self.number += 1
        if operation == "code":
            with (self.folder / "web.py").open("a", encoding="utf-8") as out:
                out.write(f"# version {self.number}\n")
        elif operation == "configuration":
            self.value += 1
        elif operation == "dependency":
            self.added += 1
            self.lock()
        git = ["git", "-C", str(self.folder), "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", f"Version {self.number}"], check=True)
        subprocess.run([*git, "tag", f"v{self.number}"], check=True)

    def publish(self, host: Host) -> None:
        """Put every version into a repository on the host, from which the rivals take it: nearer than any server."""
        bundle = self.folder / ".git/all.bundle"
        subprocess.run(["git", "-C", str(self.folder), "bundle", "create", "--quiet", str(bundle), "--all"], check=True)
        script = (
            "cat > /tmp/all.bundle; test -d /srv/git/app.git || git init --quiet --bare /srv/git/app.git; "
            "git -C /srv/git/app.git fetch --quiet /tmp/all.bundle 'refs/*:refs/*'"
        )
        host.run(script, text=bundle.read_bytes())
