"""gunicorn's settings: the user's part, and a quick way to read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gunicorn.config import KNOWN_SETTINGS, Config


def merge(settings: dict[str, Any], path: str, owned: Mapping[str, str]) -> None:
    """Run the user's `gunicorn_extra`, and put the settings that it makes into `settings`.

    In a separate namespace, in which it reads the kit's settings. Settings that the kit has to make (`owned`) are refused
    here too, since no earlier check can see what Python code sets.
    """
    names = {setting.name for setting in KNOWN_SETTINGS}
    ours = {name: value for name, value in settings.items() if name in names}
    space = {"__name__": "gunicorn_extra", "__file__": path, **ours}
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), space)  # noqa: S102  # nosec B102 # it is configuration, as gunicorn's own file is
    for name in sorted(names & set(space)):
        if name in ours and space[name] is ours[name]:
            continue
        if name in owned:
            raise SystemExit(f"gunicorn_extra must not set {name}: {owned[name]}")
        settings[name] = space[name]


class Remembered(Config):
    """gunicorn's settings, each looked up once.

    gunicorn asks for about forty settings with each request, and looks each one up in two steps. For an app that answers
    quickly, that is a tenth of its processor time. They do not change while a worker serves, unless a hook sets them here.
    """

    def __init__(self, settings: Config) -> None:
        """Begin with what `settings` has."""
        self.__dict__.update(vars(settings))

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__[name] = super().__getattr__(name)
        return value

    def set(self, name: str, value: Any) -> None:
        """Change a setting, as a hook may."""
        super().set(name, value)
        self.__dict__.pop(name, None)
