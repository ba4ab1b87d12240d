"""What the program remembers of its runs, by site."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .pairs import stamp


@dataclass
class Limit:
    """What an authority that limits the host has said."""

    until: float = 0.0
    """When it may be asked again, in seconds since 1970."""
    wanted: str = ""
    """A digest of what it was asked for: it may be asked for something else at once."""
    sentence: str = ""


@dataclass
class Entry:
    """What happened to a site's certificate."""

    succeeded: str = ""
    """When a certificate was last obtained, or found to be good."""
    failed: str = ""
    failure: str = ""
    """The last failure, empty when a later run succeeded."""
    directory: str = ""
    profile: str | None = None
    """Of the last certificate: another one is asked for when the settings change."""
    tried: float = 0.0
    """When the authority was last asked, in seconds since 1970: the next run begins with the site tried longest ago."""
    limit: Limit = field(default_factory=Limit)


@dataclass
class Record:
    """The file."""

    path: str
    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> Record:
        """What is remembered; nothing where the file is missing or broken, since the next run writes it again."""
        try:
            with open(path, encoding="utf-8") as handle:
                return cls(path, {name: _entry(row) for name, row in json.load(handle).items()})
        except (OSError, ValueError, TypeError, AttributeError):
            return cls(path)

    def entry(self, name: str) -> Entry:
        """The entry of a site, a new one where there is none."""
        return self.entries.setdefault(name, Entry())

    def success(self, name: str, directory: str = "", profile: str | None = None) -> None:
        """A site's certificate is good."""
        self._refresh()
        tried = self.entry(name).tried
        self.entries[name] = Entry(stamp(time.time()), directory=directory, profile=profile, tried=tried)
        self._write()

    def attempt(self, name: str) -> None:
        """A site's turn has come, however it ends: a run that is killed counts as well."""
        self._refresh()
        self.entry(name).tried = time.time()
        self._write()

    def failure(self, name: str, sentence: str) -> None:
        """A site's certificate could not be had."""
        self._refresh()
        entry = self.entry(name)
        entry.failed, entry.failure = stamp(time.time()), sentence
        self._write()

    def limit(self, name: str, limit: Limit) -> None:
        """The authority wants to be left alone."""
        self._refresh()
        self.entry(name).limit = limit
        self._write()

    def forget(self, name: str) -> None:
        """The site is gone."""
        self._refresh()
        if self.entries.pop(name, None):
            self._write()

    def _refresh(self) -> None:
        """Another run may have written since."""
        self.entries = Record.read(self.path).entries

    def _write(self) -> None:
        text = json.dumps({name: asdict(entry) for name, entry in sorted(self.entries.items())}, indent=1) + "\n"
        descriptor, part = tempfile.mkstemp(dir=os.path.dirname(self.path), prefix=".slipway-part-")
        try:
            with open(descriptor, "w", encoding="utf-8") as handle:
                handle.write(text)
                handle.flush()
                os.fsync(handle.fileno())
            os.rename(part, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
            raise


def _entry(row: Mapping[str, Any]) -> Entry:
    """An entry as the file has it."""
    return Entry(**{**row, "limit": Limit(**row.get("limit", {}))})
