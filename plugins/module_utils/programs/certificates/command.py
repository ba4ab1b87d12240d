"""The program's command line: `python3 -I FOLDER SETTINGS COMMAND [--now] [SITE…]`, with one line of JSON as its answer.

- `prepare`: every site gets a certificate that nginx can read; provided pairs come as JSON on standard input.
- `obtain`: asks the authority for the certificates that are missing, and leads the clients of new sites to https.
- `renew`: the same, and asks for those that are due, or with `--now` for all. The host's timer runs it.
- `status`: lists the certificates.
- `remove`: removes what no site of the settings needs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import authority, generations, pairs
from .generations import About, Generation
from .logged import LONGEST
from .pairs import Pair
from .record import Limit, Record
from .settings import Settings, Site, Trouble, load

SELF_SIGNED_DAYS = 3650
"""No authority watches the lifetime of a certificate that a host signs itself, and no client trusts it."""
GIVEN = 8 << 20
"""Bytes on standard input."""
TURN = 1800.0
"""Seconds that a run waits for another run of this program."""
RUN = 2400.0
"""Seconds for a run, that wait included. A deploy waits 50 minutes for its end (host/system/certificates.py)."""
TURN_LEFT = 60.0
"""Seconds without which no further site begins."""
LIMITED = 2
"""Sites for which the authority limits the host, after which a run asks for no other one."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Order:
    """What a run is asked to do."""

    now: bool = False
    """Whether a certificate is asked for that is not due."""
    until: float = field(default_factory=lambda: time.monotonic() + RUN)
    """The end of the run, on the monotonic clock."""


def main(arguments: Sequence[str]) -> int:
    """Run the command line of this process; 1 when a certificate could not be had."""
    os.umask(0o022)
    order = Order("--now" in arguments)
    words = [word for word in arguments if word != "--now"]
    if len(words) < 2 or words[1] not in COMMANDS:
        print(f"usage: SETTINGS {'|'.join(COMMANDS)} [--now] [SITE…]", file=sys.stderr)
        return 64  # EX_USAGE
    try:
        settings = load(words[0])
        sites = [settings.site(name) for name in words[2:]] or list(settings.sites.values())
        command = COMMANDS[words[1]]
        if words[1] in ("prepare", "status"):  # a deploy does not wait for an authority that a renewal is asking
            rows = list(command(settings, sites, order))
        else:
            with generations.held(f"{settings.state}.lock", TURN):
                rows = list(command(settings, sites, order))
    except Trouble as error:
        rows = [{"site": "", "failure": str(error), "changed": False, "remark": ""}]
    print(json.dumps({"sites": rows}))
    for row in rows:
        if row.get("failure") and words[1] != "status":
            print(f"{row['site'] or 'certificates'}: {row['failure']}", file=sys.stderr)
    return 1 if words[1] != "status" and any(row["failure"] for row in rows) else 0


def _each(settings: Settings, sites: Sequence[Site], work: Callable[[Record, Site], tuple[bool, str]]) -> Iterator[Row]:
    """Do the work for each site: one that fails leaves the others, and itself, as they are."""
    record = Record.read(settings.state)
    for site in sites:
        try:
            changed, remark = work(record, site)
            yield {"site": site.name, "changed": changed, "failure": "", "remark": remark}
        except (Trouble, OSError) as error:
            with contextlib.suppress(OSError):  # a full disk
                record.failure(site.name, str(error))
            yield {"site": site.name, "changed": False, "failure": str(error), "remark": ""}


def prepare(settings: Settings, sites: Sequence[Site], _order: Order) -> Iterator[Row]:
    """Give every site a certificate that nginx can read."""
    given: dict[str, dict[str, str]] = json.loads(sys.stdin.buffer.read(GIVEN) or b"{}")

    def work(record: Record, site: Site) -> tuple[bool, str]:
        before = generations.current(settings, site.name)
        if site.source == "provided":
            made = Pair(given[site.name]["chain"].encode(), given[site.name]["key"].encode())
            changed = generations.install(settings, site, made, About("provided", site.name))
            record.success(site.name)
            return changed, ""
        if before and _is_good(before, site):
            return _refresh(settings, record, site), ""
        other = _covering(settings, site)
        if other:
            return generations.install(settings, site, generations.pair(other), other.about), ""
        if site.source == "self_signed":
            made = pairs.make(site.domains, SELF_SIGNED_DAYS)
            changed = generations.install(settings, site, made, About("self_signed", site.name))
            record.success(site.name)
            return changed, ""
        other = _covering(settings, site, partly=True)
        if other:
            return generations.install(settings, site, generations.pair(other), other.about, partly=True), ""
        placeholder = pairs.make(site.domains, SELF_SIGNED_DAYS)
        return generations.install(settings, site, placeholder, About("placeholder", site.name)), ""

    for row in _each(settings, sites, work):
        site = settings.sites[row["site"]]
        generation = generations.current(settings, site.name)
        leads = generation is not None and generation.about.leads
        yield {**row, "missing": not leads or _asks(settings, Record.read(settings.state), site)}


def _is_good(generation: Generation, site: Site) -> bool:
    """Whether a generation can stay until the authority gives another one."""
    wanted = {"acme": {"acme", "placeholder", "provided", "self_signed"}, "self_signed": {"self_signed"}}
    if generation.about.source not in wanted[site.source]:
        return False
    return _fits(generation, site)


def _fits(generation: Generation, site: Site, partly: bool = False) -> bool:
    try:
        pairs.check(generations.pair(generation), site.domains, partly)
    except (Trouble, OSError):
        return False
    return True


def _covering(settings: Settings, site: Site, partly: bool = False) -> Generation | None:
    """A certificate of the host that covers this site: a site's name follows its first domain, and may have changed.

    Args:
        settings: of the host.
        site: the site.
        partly: whether some of its domains are enough. They keep their clients until the authority signs for all.
    """
    sources = {"acme": ("acme", "provided"), "self_signed": ("self_signed",)}[site.source]
    for name in sorted(generations.names(settings), key=lambda name: name != site.name):
        other = generations.current(settings, name)
        if other and other.about.source in sources and _fits(other, site, partly):
            return other
    return None


def obtain(settings: Settings, sites: Sequence[Site], order: Order) -> Iterator[Row]:
    """Lead clients to https where nginx serves it by now, and ask the authority for the certificates that are missing."""
    record = Record.read(settings.state)
    missing = {site.name for site in sites if _asks(settings, record, site)}

    def work(record: Record, site: Site) -> tuple[bool, str]:
        generations.await_https(settings, site)
        return _refresh(settings, record, site), ""

    rows = list(_each(settings, sites, work))
    served = {row["site"] for row in rows if not row["failure"]}
    yield from (row for row in rows if row["site"] not in missing & served)
    yield from _ask_each(settings, [site for site in sites if site.name in missing & served], order)


def _refresh(settings: Settings, record: Record, site: Site) -> bool:
    """Install a site's pair once more; say whether anything follows from it that did not before.

    nginx may serve it by now, a path in the site's files may have changed, or the program may be newer.
    """
    before = generations.current(settings, site.name)
    if before is None:
        return False
    given = generations.pair(before)
    changed = generations.install(settings, site, given, before.about, before.name, partly=site.source == "acme")
    after, entry = generations.current(settings, site.name), record.entry(site.name)
    is_over = not before.about.leads or (entry.failure and site.source != "acme")
    if after and after.about.leads and is_over:
        record.success(site.name, entry.directory, entry.profile)
    return changed


def _asks(settings: Settings, record: Record, site: Site) -> bool:
    """Whether the authority is to be asked for a certificate that is missing."""
    return site.source == "acme" and _lacks(settings, record, site)


def _lacks(settings: Settings, record: Record, site: Site) -> bool:
    """Whether a site has no certificate of the authority for all of its domains."""
    generation = generations.current(settings, site.name)
    if generation is None or generation.about.source != "acme" or generation.about.lineage != site.name:
        return True
    return _is_changed(settings, record, site) or not _fits(generation, site)


def _is_changed(settings: Settings, record: Record, site: Site) -> bool:
    """Whether the last certificate is another authority's or of another profile."""
    entry = record.entries.get(site.name)
    if not entry or not entry.directory:
        return False
    return (entry.directory, entry.profile) != (settings.authority.directory, settings.authority.profile)


def renew(settings: Settings, sites: Sequence[Site], order: Order) -> Iterator[Row]:
    """Ask for the certificates that are due, and for those that are still missing. Complete what a deploy has left."""
    asked = [site for site in sites if site.source == "acme"]
    began = [site for site in sites if site not in asked and _has_begun(settings, site)]
    yield from _each(settings, began, lambda record, site: (_refresh(settings, record, site), ""))
    yield from _ask_each(settings, asked, order)


def _has_begun(settings: Settings, site: Site) -> bool:
    """Whether a site has a certificate, and http does not lead to https yet."""
    generation = generations.current(settings, site.name)
    return generation is not None and not generation.about.leads


def _ask_each(settings: Settings, sites: Sequence[Site], order: Order) -> Iterator[Row]:
    """Ask for each site; begin with the one tried longest ago, so that a slow site cannot keep others from their turn."""
    entries = Record.read(settings.state).entries
    turns = sorted(sites, key=lambda site: entries[site.name].tried if site.name in entries else 0.0)
    limited: list[str] = []

    def work(record: Record, site: Site) -> tuple[bool, str]:
        if len(limited) >= LIMITED:
            if not order.now and not _lacks(settings, record, site):
                return False, ""  # its certificate is good, and a later run renews it in time
            raise Trouble(
                f"{settings.authority.directory} limits this host and was not asked for this site; {authority.AGAIN}"
            )
        try:
            return _ask(settings, record, site, order)
        except authority.Limited:
            limited.append(site.name)
            raise

    return _each(settings, turns, work)


def _ask(settings: Settings, record: Record, site: Site, order: Order) -> tuple[bool, str]:
    if order.until - time.monotonic() < TURN_LEFT:
        raise Trouble(f"this run has reached its limit of {RUN / 60:.0f} minutes; the next run begins with this site")
    wanted = _wanted(settings, site)
    if not order.now:
        _respect(record.entry(site.name).limit, wanted)
    record.attempt(site.name)
    lacking = authority.has_certbot(settings)
    if lacking:
        raise Trouble(lacking)
    try:
        answer = authority.request(settings, site, order.now or _is_changed(settings, record, site), order.until)
    except authority.Limited as error:
        record.limit(site.name, Limit(error.until, wanted, str(error)))
        raise
    about = About("acme", site.name, settings.authority.directory)
    changed = generations.install(settings, site, answer.made, about)
    record.success(site.name, settings.authority.directory, settings.authority.profile)
    return changed, answer.remark


def _wanted(settings: Settings, site: Site) -> str:
    """A digest of what an authority is asked for."""
    what = (settings.authority.directory, settings.authority.profile, sorted(site.domains))
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _respect(limit: Limit, wanted: str) -> None:
    """Leave the authority alone until it may be asked again. A clock that was wrong makes no limit longer.

    Raises:
        Trouble: it is too early.
    """
    if limit.wanted == wanted and 0 < limit.until - time.time() <= LONGEST:
        raise Trouble(limit.sentence)


def status(settings: Settings, sites: Sequence[Site], _order: Order) -> Iterator[Row]:
    """List the certificates."""
    record = Record.read(settings.state)
    for site in sites:
        entry = record.entry(site.name)
        generation = generations.current(settings, site.name)
        row = {
            "site": site.name,
            "domains": list(site.domains),
            "source": site.source,
            "kind": "missing",
            "issuer": "",
            "expires": "",
            "days": 0,
            "renews": "",
            "succeeded": entry.succeeded,
            "failed": entry.failed,
            "failure": entry.failure,
        }
        if generation:
            if not entry.failure and not generation.about.leads and generation.about.source != "placeholder":
                row["failure"] = "http does not lead to https yet; deploy again"
            try:
                known = pairs.facts(generation.chain)
            except Trouble as error:
                row["failure"] = str(error)
            else:
                renews = pairs.stamp(known.renews()) if generation.about.source == "acme" else ""
                expires = pairs.stamp(known.not_after)
                row.update(
                    kind=generation.about.source, issuer=known.issuer, days=known.days(), renews=renews, expires=expires
                )
        yield row


def remove(settings: Settings, _sites: Sequence[Site], _order: Order) -> Iterator[Row]:
    """Remove what no site of the settings needs."""
    record = Record.read(settings.state)
    acme = {site.name for site in settings.sites.values() if site.source == "acme"} | {*settings.kept}
    if acme and {*authority.lineages(settings)} - acme - {"README"}:
        authority.keep(settings, sorted(acme))
    for name in sorted({*generations.names(settings), *record.entries} - {*settings.sites, *settings.kept}):
        generations.remove(settings, name)
        record.forget(name)
        yield {"site": name, "changed": True, "failure": "", "remark": ""}
    if not acme:
        _remove_authority(settings)
    if not settings.sites and not settings.kept:
        shutil.rmtree(settings.tls, ignore_errors=True)


def _remove_authority(settings: Settings) -> None:
    """Remove accounts, logs and secrets: no site of the host is the authority's any more."""
    from . import confined

    if os.path.isdir(settings.acme):
        confined.run(["/bin/rm", "-rf", "--", f"{settings.acme}/certbot"], settings.user, settings.acme, {}, 60)
        shutil.rmtree(settings.acme, ignore_errors=True)


COMMANDS: dict[str, Callable[[Settings, Sequence[Site], Order], Iterator[Row]]] = {
    "prepare": prepare,
    "obtain": obtain,
    "renew": renew,
    "status": status,
    "remove": remove,
}
