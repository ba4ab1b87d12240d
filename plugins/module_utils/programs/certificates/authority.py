"""Asks an authority for certificates, through certbot as its own user, and says in one sentence why there is none."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import confined, logged, pairs, proof
from .logged import Answers
from .pairs import Pair
from .settings import Settings, Site, Trouble

DEADLINE = 900.0
"""Seconds for one run of certbot. A DNS plugin waits up to ten minutes for its name servers."""
SITE = 1200.0
"""Seconds for one certificate: the domains' check, and up to three runs of certbot."""
SAID = 64 * 1024
"""Letters from the end of certbot's output in which the reason is searched."""
LINE = 1000
"""Letters of a line: the authority's answer is untrusted, and each search is bounded by it."""
LOGS = 4
"""Old logs that certbot keeps. A log holds whatever the authority answered, up to the limit of a file."""
LINEAGES = 1000
"""Entries of certbot's folder that are read. certbot's user writes there."""
DETAIL = 300
"""Letters of the authority's own words that are shown."""
PLAIN = re.compile(r"[^\x20-\x7e\xa0-\uffff]")
AGAIN = "the next run of the timer tries again"
SHORT = 60.0
"""Seconds that a run waits by itself where the authority wants to be asked later."""
NONCE = "anti-replay nonce"
"""What certbot prints when two of the authority's one-time numbers were too old. The next request has new ones."""
NEW_ACCOUNT = re.compile(
    r"(?i)accountDoesNotExist|account that does not exist|account \S{1,300} not found|"
    r"account[^\n]{0,80}(?:deactivated|revoked|not valid|disabled)"
)
"""The authority does not know the host's account, or has closed it."""
REASONS = (
    (r"rateLimited|<Response \[429\]>", f"{{authority}} limits this host for now: {{detail}}; {AGAIN}"),
    (
        r"externalAccountRequired|requires external account binding",
        "{authority} wants an external account binding; set acme_eab to the kid and hmac_key that it gave you",
    ),
    (
        r"invalidProfile|is not (?:a )?(?:valid|known|supported)? ?profile|[Pp]rofile [^\n]{0,200}(?:not|unrecognized|unknown)",
        "{authority} has no profile {profile}; set acme_profile to one that it offers: {offers}",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "{authority} is not trusted by this host; set acme_ca_file to the file with its authority",
    ),
    (
        r"NewConnectionError|ConnectionError|Max retries exceeded|Read timed out|ConnectTimeout|Connection refused|"
        r"NameResolutionError|Connection aborted|Connection reset",
        f"{{authority}} does not answer; {AGAIN}",
    ),
    (
        r"serverInternal|internal error|50[0-9] |Bad Gateway|Service Unavailable",
        f"{{authority}} has an internal error; {AGAIN}: {{detail}}",
    ),
    (r"rejectedIdentifier|will not issue certificates for", "{authority} refuses these names: {detail}"),
    (r"\bcaa\b|CAA record", "a CAA record forbids {authority} to issue a certificate for these names: {detail}"),
    (r"invalidContact|invalidEmail|\bcontact\b", "{authority} refuses acme_email: {detail}"),
    (r"external account|EAB|eab", "{authority} refuses acme_eab: {detail}"),
)
"""What certbot prints or logs, to what is said."""
UNREGISTERED = "Unable to register an account"
"""What certbot prints where the authority refuses a new account."""


class Limited(Trouble):
    """The authority wants to be left alone until a time, in seconds since 1970."""

    def __init__(self, sentence: str, until: float) -> None:
        super().__init__(sentence)
        self.until = until


@dataclass(frozen=True)
class Reply:
    """How a run of certbot ended, and what the authority answered in it."""

    outcome: confined.Outcome
    answers: Answers

    @property
    def failed(self) -> bool:
        """Whether there is no certificate."""
        return bool(self.outcome.status)

    @property
    def text(self) -> str:
        """The end of certbot's output and the authority's error, in lines of a limited length."""
        lines = [*self.outcome.output[-SAID:].splitlines(), self.answers.error]
        return "\n".join(line[:LINE] for line in lines)

    @property
    def wait(self) -> float | None:
        """Seconds after which the authority may be asked again; None where it does not limit the host, or does not say."""
        is_limited = self.failed and re.search(r":rateLimited\b|<Response \[(?:429|503)\]>", self.text)
        return self.answers.wait if is_limited else None


@dataclass(frozen=True)
class Answer:
    """What the authority gave."""

    made: Pair
    remark: str = ""
    """What an operator should know, though it succeeded."""


def request(settings: Settings, site: Site, force: bool, until: float) -> Answer:
    """A site's certificate: the one that certbot has, while it is not due, or a new one.

    Args:
        settings: of the host.
        site: whose domains the certificate names.
        force: whether a new one is wanted anyway.
        until: the end of the whole run, on the monotonic clock. A site has its own deadline.

    Raises:
        Trouble: in one sentence, why there is none.
    """
    until = min(until, time.monotonic() + SITE)
    remarks = proof.prove(site.domains, _webroot(settings)) if site.dns is None else []
    reply = _certbot(settings, site, force, until)
    notes = []
    if reply.failed and NONCE in reply.outcome.output:
        reply = _certbot(settings, site, force, until)
    if reply.failed and NEW_ACCOUNT.search(reply.text):
        _drop_account(settings)
        notes.append(
            f"{settings.authority.directory} had closed or forgotten this host's account, so the host registered a new one"
        )
        reply = _certbot(settings, site, force, until)
    if reply.wait is not None and reply.wait <= SHORT:
        time.sleep(min(reply.wait, max(0.0, until - time.monotonic())))
        reply = _certbot(settings, site, force, until)
    if reply.failed:
        also = f" ({'; '.join(remarks)})" if remarks else ""
        if reply.wait is not None:
            end = time.time() + reply.wait
            raise Limited(explain(settings, reply, end) + also, end)
        raise Trouble(explain(settings, reply) + also)
    notes += _profile_notes(settings, reply.answers)
    return Answer(held(settings, site), "; ".join(notes))


def _profile_notes(settings: Settings, answers: Answers) -> list[str]:
    """What is wrong with the profile, where the authority took the order: one that does not know profiles ignores it."""
    authority = settings.authority
    if not authority.profile or answers.profiles is None or authority.profile in answers.profiles:
        return []
    offers = f"the profiles {', '.join(answers.profiles)}" if answers.profiles else "no profiles"
    return [f"{authority.directory} ignored acme_profile {authority.profile}: it offers {offers}"]


def held(settings: Settings, site: Site) -> Pair:
    """The pair that certbot has for a site. Raises Trouble."""
    live = os.path.join(settings.acme, "certbot", "config", "live", site.name)
    chain, key = (
        confined.read(os.path.join(live, name), settings.user, pairs.LIMIT) for name in ("fullchain.pem", "privkey.pem")
    )
    return Pair(chain, key)


def _certbot(settings: Settings, site: Site, force: bool, until: float) -> Reply:
    deadline = min(DEADLINE, until - time.monotonic())
    if deadline < 1:
        raise Trouble(f"{settings.authority.directory} did not issue the certificate in time; {AGAIN}")
    environment = {"REQUESTS_CA_BUNDLE": settings.authority.ca} if settings.authority.ca else {}
    if site.dns == "route53":
        environment["AWS_CONFIG_FILE"] = _credentials(settings, site)
    outcome = confined.run(_command(settings, site, force), settings.user, settings.acme, environment, deadline)
    is_asked = outcome.status or settings.authority.profile
    return Reply(outcome, logged.answers(settings, outcome.output) if is_asked else Answers())


def _command(settings: Settings, site: Site, force: bool) -> Sequence[str]:
    """The command line. It holds no secret: those are in files that only the user reads."""
    authority = settings.authority
    home = os.path.join(settings.acme, "certbot")
    command = [
        settings.certbot,
        "certonly",
        "--non-interactive",
        "--agree-tos",
        "--no-eff-email",
        "--no-directory-hooks",
    ]
    command += [f"--{kind}-dir={home}/{kind}" for kind in ("config", "work", "logs")]
    command += [
        f"--max-log-backups={LOGS}",
        "--key-type=ecdsa",
        f"--server={authority.directory}",
        f"--cert-name={site.name}",
    ]
    command += [f"--email={authority.email}"] if authority.email else ["--register-unsafely-without-email"]
    command += [f"--required-profile={authority.profile}"] if authority.profile else []
    command += [f"--config={settings.acme}/secrets/account.ini"] if authority.eab else []
    command += ["--force-renewal" if force else "--keep-until-expiring", "--renew-with-new-domains"]
    if site.dns is None:
        command += ["--webroot", f"--webroot-path={_webroot(settings)}"]
    else:
        command += [f"--authenticator=dns-{site.dns}"]
        if site.dns != "route53":
            command += [f"--dns-{site.dns}-credentials={_credentials(settings, site)}"]
        if site.propagation is not None:
            command += [f"--dns-{site.dns}-propagation-seconds={site.propagation}"]
    return [*command, *(f"--domain={domain}" for domain in site.domains)]


def explain(settings: Settings, reply: Reply, again: float | None = None) -> str:
    """Why certbot failed, in one sentence.

    Args:
        settings: of the host.
        reply: of certbot.
        again: when the authority may be asked again, in seconds since 1970, where it limits the host.
    """
    text = reply.text
    authority = settings.authority.directory
    if reply.outcome.timed_out:
        return f"{authority} did not issue the certificate in time; {AGAIN}"
    failed = re.findall(r"(?:Domain|Identifier): +(\S+)\s+Type: +(\S+)\s+Detail: +([^\n]+)", text)
    if failed:
        shown = "; ".join(f"{domain}: {_short(detail)}" for domain, _kind, detail in failed[:3])
        return f"{authority} could not verify that this host serves {shown}"
    detail = _detail(text)
    if again is not None:
        return f"{authority} limits this host until {pairs.stamp(again)}: {detail}; the first run of the timer after that tries again"
    offers = ", ".join(reply.answers.profiles or ()) or detail
    for pattern, sentence in REASONS:
        if re.search(pattern, text):
            return sentence.format(
                authority=authority, detail=detail, profile=settings.authority.profile, offers=offers
            )
    if settings.authority.eab and UNREGISTERED in text:
        return f"{authority} refuses acme_eab: {detail}"
    return f"{authority} issued no certificate: {detail}"


def _detail(text: str) -> str:
    """The line in which certbot says why."""
    quiet = re.compile(
        r"Saving debug log|Ask for help|See the logfile|Some challenges|^[ -]*$|An unexpected error|Requesting a"
    )
    lines = [line.strip() for line in text.splitlines() if line.strip() and not quiet.search(line)]
    marked = [line for line in lines if " :: " in line]
    line = (marked or lines or ["certbot gave no reason"])[-1].rpartition(" :: ")[2]
    return _short(re.sub(r"^acme\.errors\.ClientError: <Response \[(\d{3})\]>$", r"HTTP status \1", line))


def _short(text: str) -> str:
    return PLAIN.sub("?", text).strip()[:DETAIL].rstrip(".")


def _webroot(settings: Settings) -> str:
    return os.path.join(settings.acme, "webroot")


def _credentials(settings: Settings, site: Site) -> str:
    return os.path.join(settings.acme, "secrets", f"{site.name}.credentials")


def _drop_account(settings: Settings) -> None:
    """Let the next run of certbot register the host again. The folder is the user's, so the user removes it."""
    accounts = os.path.join(settings.acme, "certbot", "config", "accounts")
    confined.run(["/bin/rm", "-rf", "--", accounts], settings.user, settings.acme, {}, 60)


def keep(settings: Settings, names: Iterable[str]) -> None:
    """Remove what certbot has for any other site, in one run: its user writes that folder, and can fill it."""
    config = os.path.join(settings.acme, "certbot", "config")
    kept = [word for name in ("README", *names) for word in (_literal(name), f"{_literal(name)}.conf")]
    command = ["/usr/bin/find", *(f"{config}/{folder}" for folder in ("live", "archive", "renewal"))]
    command += ["-mindepth", "1", "-maxdepth", "1", *(word for name in kept for word in ("!", "-name", name))]
    confined.run([*command, "-exec", "/bin/rm", "-rf", "--", "{}", "+"], settings.user, settings.acme, {}, 60)


def _literal(name: str) -> str:
    """A name as a pattern of find that fits this name alone."""
    return re.sub(r"([\\*?\[])", r"\\\1", name)


def lineages(settings: Settings) -> list[str]:
    """The sites for which certbot may have something. Names only: they are compared, and never opened as root."""
    try:
        with os.scandir(os.path.join(settings.acme, "certbot", "config", "live")) as entries:
            return sorted(entry.name for entry in itertools.islice(entries, LINEAGES))
    except OSError:
        return []


def has_certbot(settings: Settings) -> str | None:
    """What is missing for asking an authority; None where nothing is."""
    if not shutil.which(settings.certbot):
        return f"{settings.certbot} is missing; deploy again to install it"
    return None
