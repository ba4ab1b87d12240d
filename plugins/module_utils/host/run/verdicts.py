"""What an answer, or its absence, means: whether it counts as healthy, and if not, why and what to do."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...contract.manifest import Health, Manifest
from ...contract.words import counted
from ..build import lacking
from ..system.nginx import Front, named
from .asking import Answer, Circle


@dataclass(frozen=True)
class Fault:
    """Why an answer, or its absence, is not accepted. `patience`: after how many seconds of nothing else it is final."""

    reason: str
    hint: str
    patience: float = float("inf")


def judge(answer: Answer, health: Health, path: str) -> Fault | None:
    """What is wrong with an answer; None when it is as the app's health rule wants it.

    Answers that do not change by waiting become final after a short while; 5xx may mean "not yet".
    """
    status = answer.status
    led = f"leads to {answer.path}, which " if answer.path else ""
    observed = f"GET {path} (Host: {health.host}) {led}was answered {status}"
    if any(low <= status <= high for low, high in health.status):
        if health.body is None or health.body in answer.body:
            return None
        begin = " ".join(answer.body[:120].split())
        return Fault(
            f"{observed}, but {health.body!r} is not in the answer, which begins {begin!r}",
            "correct health.body, or health.path, or what the app answers",
            _settled(health),
        )
    if 300 <= status <= 399:
        return Fault(
            f"{observed}, a redirect to {answer.location or 'nowhere'}",
            _redirect(answer, health, path),
            _settled(health),
        )
    if status in (401, 403):
        hint = (
            "the path wants credentials: choose a health.path that is open, or accept the answer with "
            f"health.status: [{status}]"
        )
    elif status == 404:
        hint = "there is nothing at that path: set health.path to one that the app answers (and mount, if it has one)"
    elif status in (400, 421):
        hint = f"if the app checks the Host header, allow {health.host!r} (Django: ALLOWED_HOSTS, MCP: allowed_hosts), or set health.host"
    elif status == 405:
        hint = "the path does not take GET: set health.path to one that does"
    elif status in (408, 425, 429) or status > 500:
        return Fault(observed, "the app says that it is not ready; if it only needs longer, raise the boot timeout")
    elif status == 500:
        return Fault(
            observed,
            "the app raised an exception, which is in its log, or its own code answers so. Often an environment variable, a "
            "database or a migration is missing",
            max(10.0, 5 * health.soak),
        )
    else:
        hint = "choose another health.path, or accept the answer with health.status"
    return Fault(observed, hint, _settled(health))


def booting(answer: Answer, manifest: Manifest) -> Fault | None:
    """What is wrong when a good answer says that not every worker serves yet."""
    if answer.workers is None or answer.workers >= manifest.workers:
        return None
    return Fault(
        f"{answer.workers} of {counted(manifest.workers, 'worker')} serve; the others do not get ready",
        "each worker loads the app and then requests the paths of `warm_up` of itself; see the log for what takes long. "
        "Raise timeouts.boot, or lower workers",
    )


NOT_OURS = "not by the app's own site in nginx"
"""What is said of an answer that another site of nginx, or another program, gave: the app is not at fault."""
BY_NGINX = "by nginx itself, which did not ask the app"
"""What is said of an answer from the app's own site to which the app contributed nothing."""
GATEWAY = (502, 504)
"""What nginx answers for an app that does not."""


def visited(answer: Answer, manifest: Manifest, location: str, front: Front) -> Fault | None:
    """What is wrong with an answer of nginx's; None when it is as the health rule wants it.

    `location` is what the app's location in nginx has to tell of itself; empty when it tells nothing.
    """
    url = front.url(manifest.visit.path)
    if location and location not in answer.visits:
        who = shown(answer.server) if answer.server else "a program that does not say its name"
        observed = f"{url} (Host: {front.host}) was answered {answer.status} by {who}, {NOT_OURS}"
        if others := named(front.host):
            return Fault(
                f"{observed}. Another site has the name {front.host}: {', '.join(others)}",
                "remove the name there, or the file, then reload nginx (nginx -s reload)",
            )
        return Fault(
            observed,
            f"see nginx's error log for a reload that failed, and which program listens on port {front.port} (ss -ltnp). "
            f"If that is nginx, see what apps.{manifest.app}.nginx_extra answers. playbooks/drift.yml names the sites that Slipway does "
            "not manage",
        )
    if answer.led is False and not 300 <= answer.status <= 399 and answer.status not in GATEWAY:
        return Fault(
            f"{url} (Host: {front.host}) was answered {answer.status} {BY_NGINX}",
            f"see apps.{manifest.app}.nginx_extra, where a `return` answers in the app's place. To close the app on purpose, see "
            "docs/front-door.md",
            patience=0,  # the app's own site has answered, so nginx has read it
        )
    fault = judge(answer, manifest.health, manifest.visit.path)
    if fault is None:
        return None
    if answer.status == 502:
        hint = f"nginx cannot reach {manifest.socket}: see nginx's error log for the reason"
    elif answer.status == 504:
        hint = "the app does not answer within its request timeout"
    else:
        hint = f"the instance itself answers well, so look at nginx's configuration first; {fault.hint}"
    return Fault(f"through nginx ({url}), {fault.reason}", hint)


def shown(text: str, limit: int = 80) -> str:
    """An untrusted text in a message: one line of plain characters, long enough to recognise the program."""
    plain = ascii(text)[1:-1]
    return f"{plain[:limit]}…" if len(plain) > limit else plain


def _settled(health: Health) -> float:
    return max(2.0, health.soak)


def _redirect(answer: Answer, health: Health, path: str) -> str:
    asked, target = urlsplit(path), urlsplit(answer.location)
    host = target.netloc.rpartition("@")[2].lower()
    if target.scheme == "https" and health.scheme == "http" and host.split(":")[0] == health.host.split(":")[0].lower():
        return "the app redirects clients to https: set health.scheme: https"
    if host and host != health.host.lower():
        return f"the app wants to be called by another name: set health.host: {host}"
    if target.path != asked.path and not any(word in target.path for word in ("login", "signin", "auth")):
        return f"ask where it leads: set health.path: {target.path or '/'}"
    return "the path wants a login: choose a health.path that is open, or accept the answer with health.status"


def silence(error: Exception, manifest: Manifest, waited: float) -> Fault:
    """What the lack of an answer over the instance's socket means."""
    if isinstance(error, FileNotFoundError):
        return Fault(
            f"no socket after {waited:.0f} s: {manifest.socket} does not exist",
            "what makes it, the launcher or systemd's socket unit, could not; see the log",
        )
    if isinstance(error, TimeoutError):
        return Fault(
            f"GET {manifest.health.path} had no answer after {waited:.0f} s",
            "the app hangs: a blocking call at import (app.run()?), or a service that it waits for without a timeout. Or the "
            "import takes longer than the boot timeout",
        )
    if isinstance(error, ConnectionRefusedError):
        return Fault(f"no process listens on {manifest.socket}", "the master is gone or restarts; see the log")
    if isinstance(error, Circle):
        return Fault(str(error), "set health.path to a page that answers by itself", _settled(manifest.health))
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        return Fault(
            f"what came over {manifest.socket} is not HTTP: {error!r}", "is another program bound to the socket?"
        )
    return Fault(
        f"the connection broke before an answer came ({error or type(error).__name__})",
        "what the app raised, or that a worker died, is in the log",
    )


def failing(fault: Fault, line: str, manifest: Manifest) -> Fault:
    """The fault of an app in which each request raises the same exception, of which `line` is the last line."""
    hint = lacking.remedy(line, manifest.root) or "the app raises this each time it is asked; see its log"
    return Fault(f"{fault.reason}; each time with the exception {line!r}", hint)


def advice(manifest: Manifest, answer: Answer) -> str:
    """What the operator should know about an answer that was accepted anyway; empty when there is nothing."""
    if manifest.health.follow and answer.status == 404:
        page = answer.path or manifest.health.path
        return f"{manifest.app}: GET {page} was answered 404. That proves little: set health.path to a page that the app answers"
    return ""
