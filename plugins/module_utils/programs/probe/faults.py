"""What is wrong with an app, as it is reported."""

from __future__ import annotations

GUARD = 'if __name__ == "__main__":'


class Fault(Exception):
    """The app cannot be served; carries what is reported."""

    def __init__(self, kind: str, message: str, hint: str, detail: str = "") -> None:
        super().__init__(message)
        self.report = {"ok": False, "kind": kind, "message": message, "hint": hint, "detail": detail}


def serves_at_import(place: str, words: str) -> Fault:
    """Return the Fault for a server that is started by the import."""
    return Fault(
        "blocks-at-import",
        f"{place} calls {words} when the module is imported, which serves without end, so gunicorn never gets the app",
        f"put {words} under {GUARD} (gunicorn serves the app itself)",
    )
