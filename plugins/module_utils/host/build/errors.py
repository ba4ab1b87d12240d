"""Why a release cannot be built."""

from __future__ import annotations


class BuildError(Exception):
    """A release that cannot be built; the message says why and what to do."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output
        """What it printed; `build` leaves the last lines of it, without secrets."""


class AppError(BuildError):
    """What the app itself ran into while it was loaded, within its sandbox, where more is read-only than on the host."""


class Lacking(BuildError):
    """The release before is not what the controller remembers: the code has to be sent as a whole."""
