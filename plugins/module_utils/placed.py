"""Files of the inventory in a release's code (`files`): what is in them, rendered on the controller.

Their contents may be secret, since any user of the inventory may write a secret there. So no message quotes the contents,
nor a secret that a template's failure quotes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleTemplateError
from ansible.parsing.vault import is_encrypted
from ansible_collections.slipway.kit.plugins.module_utils import generated, inventory, reading, rendering, templated
from ansible_collections.slipway.kit.plugins.module_utils.contract.masking import hide
from ansible_collections.slipway.kit.plugins.module_utils.model import releases
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, Placed
from ansible_collections.slipway.kit.plugins.module_utils.sources import Files

TEMPLATE = ".j2"
"""The ending of a file that is rendered."""
FACTS = "ansible_facts"
"""The variable that holds what hosts say about themselves."""
LIMIT = 1024 * 1024
"""Bytes of one file: all of them travel in a module call."""


class PlacedError(Exception):
    """A file that cannot be placed: `placed` and why, as the end of a sentence that begins with its key."""

    def __init__(self, placed: Placed, why: str) -> None:
        super().__init__(why)
        self.placed = placed


def contents(
    templar: Any, task_vars: Mapping[str, Any], loader: Any, app: App, secrets: Mapping[str, Any]
) -> dict[str, bytes]:
    """The contents of an app's files, by their place in the code. Raises PlacedError for the first that has none.

    Templates see the host's variables, the resolved app as `app`, and `secrets`. The release's id, which is a hash of what
    this returns, is `releases.RELEASE` in them.
    """
    return {one.place: _content(templar, task_vars, loader, one, app, secrets) for one in app.files}


def hashes(contents: Mapping[str, bytes]) -> dict[str, str]:
    """What tells one content from another, by place."""
    return {place: hashlib.sha256(data).hexdigest() for place, data in contents.items()}


def origin(task_vars: Mapping[str, Any], placed: Placed) -> str:
    """Where the file is that a placed one is made of."""
    return os.path.normpath(os.path.join(inventory.base(task_vars), os.path.expanduser(placed.origin)))


def needs_no_host(task_vars: Mapping[str, Any], placed: Placed) -> bool:
    """Whether it can be rendered before any host was asked: it does not use what a host says about itself."""
    if not is_template(placed):
        return True
    try:
        return FACTS.encode() not in reading.data(origin(task_vars, placed), LIMIT)
    except OSError:
        return True


def is_template(placed: Placed) -> bool:
    """Whether it is rendered."""
    return placed.origin.endswith(TEMPLATE)


def hidden(path: str) -> bool:
    """Whether a file is encrypted by ansible-vault, and so not for any reader."""
    return bool(is_encrypted(reading.data(path, 64)))


def _content(
    templar: Any,
    task_vars: Mapping[str, Any],
    loader: Any,
    placed: Placed,
    app: App,
    secrets: Mapping[str, Any],
) -> bytes:
    path = origin(task_vars, placed)
    if not os.path.isfile(path):
        what = "is no file" if os.path.exists(path) else "does not exist"
        raise PlacedError(placed, f"is {placed.origin}, which {what} ({path}); correct it")
    try:
        if os.path.getsize(path) > LIMIT:
            raise _too_large(placed)
        if is_template(placed):
            data = _rendered(templar, task_vars, loader, path, placed, app, secrets).encode("utf-8", "surrogateescape")
        else:
            with open(loader.get_real_file(path), "rb") as handle:  # decrypted, where ansible-vault has encrypted it
                data = handle.read(LIMIT + 1)
    except (OSError, UnicodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8"
        raise PlacedError(placed, f"is {placed.origin}, which cannot be read ({why}); correct it") from None
    except AnsibleTemplateError as exc:
        raise PlacedError(placed, f"is {placed.origin}, which does not render: {_reason(exc, path, secrets)}") from None
    except AnsibleError:
        raise PlacedError(placed, f"is {placed.origin}, which cannot be decrypted; give the vault's password") from None
    if len(data) > LIMIT:
        raise _too_large(placed)
    return data


def _too_large(placed: Placed) -> PlacedError:
    return PlacedError(
        placed, f"is {placed.origin}, which has more than {LIMIT // 1024**2} MiB; put so much into the source"
    )


def _rendered(
    templar: Any,
    task_vars: Mapping[str, Any],
    loader: Any,
    path: str,
    placed: Placed,
    app: App,
    secrets: Mapping[str, Any],
) -> str:
    base = str(inventory.base(task_vars))
    it = releases.unknown(app)
    names = {
        "app": releases.view(it, it.programs[0]),
        "secrets": {name: str(value) for name, value in secrets.items()},
    }
    text = rendering.text(
        templar, task_vars, loader, path, placed.origin, placed.place, names, [os.path.dirname(path), base]
    )
    if generated.named_by("", text):
        raise PlacedError(
            placed,
            f"is {placed.origin}, which contains {generated.NOT_A_VALUE}; write {{{{ secrets.NAME }}}} for its value",
        )
    return text


def _reason(exc: BaseException, path: str, secrets: Mapping[str, Any]) -> str:
    """Why a template does not render, and where, without a secret that the reason may quote."""
    reasons: list[str] = []
    line = 0
    cause: BaseException | None = exc
    while cause is not None:
        line = getattr(cause, "lineno", 0) or line
        text = " ".join(str(getattr(cause, "message", "") or cause).split())
        if text and not any(text in other for other in reasons):
            reasons.append(text)
        cause = cause.__cause__
    message = ": ".join(reasons)
    line = line or _line(message, path)
    hint = templated.nearest(message, secrets)
    message = hide(message, {name: str(value) for name, value in secrets.items()})
    return f"{path}{f':{line}' if line else ''}: {message}{hint}"


def _line(message: str, path: str) -> int:
    """The first line of a template that has the name which a message quotes: of an undefined variable Jinja tells no line."""
    names = re.findall(r"'([A-Za-z_]\w*)'", message)
    if not names or not os.path.isfile(path):
        return 0
    word = re.compile(rf"\b{names[-1]}\b")
    with open(path, encoding="utf-8", errors="replace") as handle:
        return next((number for number, text in enumerate(handle, 1) if word.search(text)), 0)


def in_the_way(files: Files, app: App) -> Iterator[tuple[Placed, str]]:
    """What of a source is in the way of an app's files."""
    folders = {path[:end] for path in files.by_path for end, byte in enumerate(path) if byte == ord("/")}
    for one in app.files:
        parts = one.place.split("/")
        if one.place.encode() in folders:
            yield one, "is a folder of the source; name the file in it"
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above.encode() in files.by_path:
                what = "link" if above.encode() in files.links else "file"
                yield one, f"is below {above}, which is a {what} of the source; choose another place"
