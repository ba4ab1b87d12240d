"""The app that every contender deploys, and what is changed of it before each operation."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hosts import CACHE, ROOT, Host

REQUIREMENTS = ("flask==3.1.*", "requests==2.*", "tenacity==9.*")
"""What a small app asks for: a dozen distributions with what they bring."""
ADDITIONS = ("markdown", "humanize", "toolz", "tabulate", "pyyaml", "python-slugify", "inflection", "more-itertools")
"""A new dependency for each time that one is asked for."""
ALONE = tuple(
    """
    attrs babel blinker boltons bottle cachetools certifi chardet charset-normalizer click cloudpickle colorama
    configobj cssselect decorator defusedxml distlib dnspython docopt docutils easydict et-xmlfile executing
    filelock frozendict fsspec funcy greenlet h11 hpack hyperframe humanize idna imagesize inflection iniconfig
    isodate itsdangerous jmespath jsonpointer lark markdown markupsafe mccabe more-itertools mpmath msgpack munch
    natsort oauthlib packaging parse parso pathspec pathvalidate peewee platformdirs pluggy ply polib propcache
    psutil ptyprocess pyasn1 pycodestyle pycparser pyflakes pygments pyjwt pymysql pyparsing pyrsistent pytz pyyaml
    rpds-py semver setproctitle shortuuid simplejson six smmap sniffio sortedcontainers sqlparse tabulate tblib
    threadpoolctl toml tomlkit toolz toposort tornado typing-extensions tzdata ujson unidecode urllib3 wcwidth
    webcolors webencodings
    """.split()  # noqa: SIM905 (a hundred names are read more easily like this)
)
"""A hundred distributions that bring no other, for apps with a number of them."""
IMPORTS = "import flask, requests, tenacity  # noqa\n"


@dataclass
class App:
    """A folder with the app, which is also a git repository; `number` counts its versions, `value` its settings."""

    folder: Path
    number: int = 0
    value: int = 0
    added: int = 0
    requirements: tuple[str, ...] = REQUIREMENTS

    @classmethod
    def new(cls, name: str, files: int = 0, distributions: int | None = None) -> App:
        """The first version, with so many more source files; with just so many distributions, else those of a small app."""
        folder = CACHE / f"app-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        text = (ROOT / "tests/fixtures/loss-app/web.py").read_text(encoding="utf-8")
        if distributions is None:
            text = text.replace("import json\n", f"import json\n{IMPORTS}", 1)
        (folder / "web.py").write_text(text, encoding="utf-8")
        for number in range(files):
            module = folder / f"package_{number // 100}" / f"module_{number}.py"
            module.parent.mkdir(exist_ok=True)
            module.write_text(f'"""Module {number}."""\n\n' + f"VALUE = {number}\n" * 60, encoding="utf-8")
        app = cls(folder, requirements=REQUIREMENTS if distributions is None else ALONE[:distributions])
        app.lock()
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        app.change("first")
        return app

    def lock(self) -> None:
        """Lock what it asks for now, with hashes. Locks are kept, so that asking the index is no part of a figure."""
        wanted = "\n".join([*self.requirements, *ADDITIONS[: self.added]])
        kept = CACHE / "locks" / f"{hashlib.sha256(wanted.encode()).hexdigest()[:16]}.txt"
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
