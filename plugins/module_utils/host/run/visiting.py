"""Asking nginx on this host for an app, as a client would: whether its files lead there, and whether the app answers well."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Mapping

from ...contract import names
from ...contract.manifest import Manifest
from ..system import nginx
from ..system.nginx import Front
from .asking import VISIT, Answer, Page, ask
from .health import answers, lead
from .verdicts import GATEWAY, Fault, visited

_KEY = r" ([0-9a-f]{32})\$"
LOCATIONS = names.NGINX_APPS
"""The folder of the apps' locations in nginx."""
UNHEARD = "no process listens on"
"""How the reason begins when nothing answers in nginx's place: that is the host's fault, and no release's."""
SHORT = 5.0
"""Seconds within which an app that the run leaves alone has to answer. Its own settings must not hold up a deploy of others."""

AGAIN = 0.5
"""Seconds before a second request, where the first one led elsewhere."""

Judge = Callable[[Answer, str, Front], Fault | None]
"""What is wrong with an answer, by it, what the app's location tells of itself, and where it was asked."""


def visit(manifest: Manifest, patience: float) -> Fault | None:
    """Ask through nginx until the answer is as the health rule wants it; what is wrong after `patience` seconds.

    nginx may just be reloading its configuration, so the first answers need not be the last word.
    """
    # The health gate has let no answer take longer than the boot may.
    timeout = max(min(manifest.timeouts.request, manifest.timeouts.boot), patience)
    return _asked(manifest, patience, timeout, lambda *seen: visited(seen[0], manifest, *seen[1:]))


def answers_now(manifest: Manifest) -> bool:
    """Whether an app answers well through nginx, in one request of SHORT at most."""
    return _asked(manifest, 0, SHORT, lambda *seen: visited(seen[0], manifest, *seen[1:])) is None


def misled(manifest: Manifest, patience: float) -> Fault | None:
    """What is wrong with the way from nginx to an app, after `patience` seconds. What the app itself does is its own matter.

    An app could otherwise undo each change of nginx's files, for all apps of the host. So an answer of the app's location is
    enough as soon as nginx has reached the app. Whether that answers, what, in which form, and how fast, does not matter.
    """

    def judge(answer: Answer, location: str, front: Front) -> Fault | None:
        # A user's own template need not tell what nginx has reached.
        if location in answer.visits and (answer.led in (True, None) or answer.reached):
            return None
        fault = visited(answer, manifest, location, front)
        silent = fault and answer.status in GATEWAY and location in answer.visits
        return None if silent and answers(manifest, SHORT) else fault

    return _asked(manifest, patience, SHORT, judge, whole=False)


def _asked(manifest: Manifest, patience: float, timeout: float, judge: Judge, whole: bool = True) -> Fault | None:
    """Ask until the answer is accepted, or a fault is final.

    Without `whole`, the first answer of the app's location counts. What only an app can cause is no fault then. That is no answer in
    time, redirects without end, or a head that is too long to read.
    """
    front = front_of(manifest)
    url, location = front.url(manifest.visit.path), location_of(manifest.app)
    end, pause = time.monotonic() + patience, 0.05
    while True:
        try:
            fault = judge(ask_nginx(manifest, timeout, location, front, whole), location, front)
            if fault is None:
                return None
        except (OSError, http.client.HTTPException) as error:
            if not whole and _by_the_app(error):
                return None
            fault = _unanswered(url, front, error)
        if time.monotonic() + pause > end or not fault.patience:
            return fault
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def _by_the_app(error: Exception) -> bool:
    """Whether only an app can be why nginx's answer cannot be read. Its first line is nginx's in any case."""
    http_only = isinstance(error, http.client.HTTPException) and not isinstance(error, http.client.BadStatusLine)
    return http_only or isinstance(error, TimeoutError)


def displaced(manifest: Manifest) -> Fault | None:
    """What is wrong where clients get another site in place of an app, or none; the app's own answer is its own matter.

    For an app that a run leaves as it is: one request of SHORT at most, and a second one before a fault counts. nginx may just be
    reloading its configuration.
    """
    front, location = front_of(manifest), location_of(manifest.app)
    fault, end = None, time.monotonic() + SHORT
    for pause in (0.0, AGAIN) if location else ():
        time.sleep(pause)
        try:
            answer = ask_nginx(manifest, max(0.1, end - time.monotonic()), location, front, whole=False)
        except (OSError, http.client.HTTPException) as error:
            if _by_the_app(error):
                return None
            fault = _unanswered(front.url(manifest.visit.path), front, error)
            continue
        fault = None if location in answer.visits else visited(answer, manifest, location, front)
        if fault is None:
            return None
    return fault


def _unanswered(url: str, front: Front, error: Exception) -> Fault:
    """What is wrong where a request got no answer."""
    if isinstance(error, ConnectionRefusedError):
        return Fault(f"{UNHEARD} {url}", "is nginx running, and is this its port? try: nginx -t")
    if isinstance(error, http.client.RemoteDisconnected):
        return Fault(
            f"nginx closed the connection to {url} without an answer",
            f"it refuses the host name {front.host!r}: is the app's site enabled?",
        )
    return Fault(f"no answer from {url}: {error or type(error).__name__}", "see nginx's error log")


def ask_nginx(manifest: Manifest, timeout: float, location: str, front: Front, whole: bool = True) -> Answer:
    """Ask nginx on this host as a client would (behind a load balancer, when only the scheme is https).

    `location` is what the app's location tells of itself when it is asked by that very name, with the app's key. Without
    `whole`, its first answer is enough, and no redirect of it is followed.
    """
    scheme = "https" if front.tls else manifest.health.scheme
    end = time.monotonic() + timeout
    balanced = {"X-Forwarded-Proto": "https"} if scheme == "https" and not front.tls else {}
    header, key = credentials(manifest.app)
    word = manifest.health.body if whole or not location else None
    more = {**balanced, **({header: f"{location} {key}".rstrip()} if location else {})}
    seen: list[Answer] = []

    def get(page: Page, headers: Mapping[str, str]) -> Answer:
        asked = {"Host": front.host, **more, **headers}
        left = end - time.monotonic()
        name = front.host if front.tls else ""
        seen.append(ask(("127.0.0.1", front.port), page.path, asked, left, word, name=name))
        return seen[-1]

    def may(page: Page) -> bool:
        # Whether nginx believes the other scheme is the trusted proxies' matter: the instance itself was followed there.
        return page.scheme == scheme and (whole or location not in seen[-1].visits)

    return lead(manifest, get, Page(scheme, manifest.visit.path), may, front.host)


def front_of(manifest: Manifest) -> Front:
    """Where clients get the app from nginx now. Its files tell: a release may be older than the app's https or its domains."""
    visit = manifest.visit
    front = nginx.front(manifest.app, visit.host)
    return front or Front(visit.port, visit.host, tls=False)


def location_of(app: str) -> str:
    """What the app's location in nginx tells of itself, by its file; empty for a file of an older kit, or a user's own.

    It is also empty for an app without its own key: another environment of the host has a newer kit, and this one deploys later.
    """
    header, key = credentials(app)
    if not key and header != VISIT:
        return ""
    return _word(f"{LOCATIONS}/{app}.conf", r'if \(\$slipway_visit = "([^"]+)"\)')


def credentials(
    app: str, path: str = names.NGINX_VISIT, keys: Callable[[str], str] = names.visit_key
) -> tuple[str, str]:
    """In which header this host's nginx expects an app's key in such requests, and the key.

    An older kit has one key for all apps, and one that is older still has none.
    """
    header = _word(path, r"map \$http_(\w+) \$slipway_visit ").replace("_", "-")
    return header or VISIT, _word(path, _KEY) or _word(keys(app), _KEY)


def _word(path: str, pattern: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            match = re.search(pattern, handle.read())
    except OSError:
        return ""
    return match[1] if match else ""
