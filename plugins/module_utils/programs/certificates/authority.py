"""Asks an authority for certificates, through certbot as its own user, and says in one sentence why there is none."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from . import confined, pairs, proof
from .pairs import Pair
from .settings import Settings, Site, Trouble

DEADLINE = 900.0
"""Seconds for one certificate. A DNS plugin waits up to ten minutes for its name servers."""
DETAIL = 300
"""Letters of the authority's own words that are shown."""
PLAIN = re.compile(r"[^\x20-\x7e\xa0-\uffff]")
NONCE = "anti-replay nonce"
"""What certbot prints when two of the authority's one-time numbers were too old. The next request has new ones."""
NEW_ACCOUNT = re.compile(
    r"(?i)accountDoesNotExist|account that does not exist|account \S{1,300} not found|"
    r"account[^\n]{0,80}(?:deactivated|revoked|not valid|disabled)"
)
"""The authority does not know the host's account, or has closed it."""
REASONS = (
    (
        r"rateLimited|too many requests|Too many (?:certificates|failed)",
        "{authority} has limited this host for now: {detail}",
    ),
    (
        r"externalAccountRequired|requires external account binding",
        "{authority} wants an external account binding; set acme_eab to the kid and hmac_key that it gave you",
    ),
    (
        r"invalidProfile|is not (?:a )?(?:valid|known|supported)? ?profile|[Pp]rofile [^\n]*(?:not|unrecognized|unknown)",
        "{authority} has no profile {profile}; set acme_profile to one that it offers: {detail}",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "{authority} is not trusted by this host; set acme_ca_file to the file with its authority",
    ),
    (
        r"NewConnectionError|ConnectionError|Max retries exceeded|Read timed out|ConnectTimeout|Connection refused|"
        r"NameResolutionError|Connection aborted|Connection reset",
        "{authority} does not answer; the next run of the timer tries again",
    ),
    (
        r"serverInternal|internal error|50[0-9] |Bad Gateway|Service Unavailable",
        "{authority} has an internal error; the next run of the timer tries again: {detail}",
    ),
    (r"rejectedIdentifier|will not issue certificates for", "{authority} refuses these names: {detail}"),
    (r"\bcaa\b|CAA record", "a CAA record forbids {authority} to issue a certificate for these names: {detail}"),
    (r"invalidContact|invalidEmail|contact", "{authority} refuses acme_email: {detail}"),
    (r"external account|EAB|eab", "{authority} refuses acme_eab: {detail}"),
)
"""What certbot prints, to what is said."""


@dataclass(frozen=True)
class Answer:
    """What the authority gave."""

    made: Pair
    remark: str = ""
    """What an operator should know, though it succeeded."""


def request(settings: Settings, site: Site, force: bool) -> Answer:
    """A site's certificate: the one that certbot has, while it is not due, or a new one.

    Args:
        settings: of the host.
        site: whose domains the certificate names.
        force: whether a new one is wanted anyway.

    Raises:
        Trouble: in one sentence, why there is none.
    """
    remarks = proof.prove(site.domains, _webroot(settings)) if site.dns is None else []
    outcome = _certbot(settings, site, force)
    remark = ""
    if outcome.status and NONCE in outcome.output:
        outcome = _certbot(settings, site, force)
    if outcome.status and NEW_ACCOUNT.search(outcome.output):
        _drop_account(settings)
        remark = f"{settings.authority.directory} had closed or forgotten this host's account, so the host registered a new one"
        outcome = _certbot(settings, site, force)
    if outcome.status:
        also = f" ({'; '.join(remarks)})" if remarks else ""
        raise Trouble(explain(settings, outcome) + also)
    return Answer(held(settings, site), remark)


def held(settings: Settings, site: Site) -> Pair:
    """The pair that certbot has for a site. Raises Trouble."""
    live = os.path.join(settings.acme, "certbot", "config", "live", site.name)
    chain, key = (
        confined.read(os.path.join(live, name), settings.user, pairs.LIMIT) for name in ("fullchain.pem", "privkey.pem")
    )
    return Pair(chain, key)


def _certbot(settings: Settings, site: Site, force: bool) -> confined.Outcome:
    environment = {"REQUESTS_CA_BUNDLE": settings.authority.ca} if settings.authority.ca else {}
    if site.dns == "route53":
        environment["AWS_CONFIG_FILE"] = _credentials(settings, site)
    return confined.run(_command(settings, site, force), settings.user, settings.acme, environment, DEADLINE)


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
        "--max-log-backups=10",
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


def explain(settings: Settings, outcome: confined.Outcome) -> str:
    """Why certbot failed, in one sentence."""
    text = outcome.output
    authority = settings.authority.directory
    if outcome.timed_out:
        return (
            f"{authority} did not issue the certificate within {DEADLINE:.0f} s; the next run of the timer tries again"
        )
    failed = re.findall(r"(?:Domain|Identifier): +(\S+)\s+Type: +(\S+)\s+Detail: +([^\n]+)", text)
    if failed:
        shown = "; ".join(f"{domain}: {_short(detail)}" for domain, _kind, detail in failed[:3])
        return f"{authority} could not verify that this host serves {shown}"
    for pattern, sentence in REASONS:
        if re.search(pattern, text):
            return sentence.format(authority=authority, detail=_detail(text), profile=settings.authority.profile)
    return f"{authority} issued no certificate: {_detail(text)}"


def _detail(text: str) -> str:
    """The line in which certbot says why."""
    quiet = re.compile(
        r"Saving debug log|Ask for help|See the logfile|Some challenges|^[ -]*$|An unexpected error|Requesting a"
    )
    lines = [line.strip() for line in text.splitlines() if line.strip() and not quiet.search(line)]
    marked = [line for line in lines if " :: " in line]
    line = (marked or lines or ["certbot gave no reason"])[-1]
    return _short(line.rpartition(" :: ")[2])


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


def delete(settings: Settings, name: str) -> None:
    """Remove what certbot has for a site."""
    config = os.path.join(settings.acme, "certbot", "config")
    if os.path.isdir(settings.acme):
        places = [f"{config}/live/{name}", f"{config}/archive/{name}", f"{config}/renewal/{name}.conf"]
        confined.run(["/bin/rm", "-rf", "--", *places], settings.user, settings.acme, {}, 60)


def lineages(settings: Settings) -> list[str]:
    """The sites for which certbot may have something. Names only: they are compared, and never opened as root."""
    try:
        return sorted(os.listdir(os.path.join(settings.acme, "certbot", "config", "live")))
    except OSError:
        return []


def has_certbot(settings: Settings) -> str | None:
    """What is missing for asking an authority; None where nothing is."""
    if not shutil.which(settings.certbot):
        return f"{settings.certbot} is missing; deploy again to install it"
    return None
