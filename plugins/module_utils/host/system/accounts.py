"""The accounts that the kit made: which they are, how they are made, and how they go.

An account is used, and removed, only if the kit made it. The kit remembers that in a file that only root can read. A name
proves nothing, since an inventory may call an app `git` or `shadow`.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ...contract.names import RELEASE
from ..base import atomic, locks, processes
from . import releases

REGISTRY = names.ACCOUNTS
NOWHERE = "/nonexistent"
"""The home of a build user: Debian's name for none."""
LOGS = names.LOGS
"""Where each app's logs are: its folder there is one of the two things that only the kit makes."""
FIRST_PERSON = 1000
"""Where people's uids begin when /etc/login.defs does not say (login.defs(5), UID_MIN)."""
FIRST_SYSTEM = 100
"""Where those of system users begin (SYS_UID_MIN); Debian hands out those below itself."""

GROUPS = """
adm audio bluetooth cdrom colord crontab dialout dip disk docker fax floppy fuse games incus incus-admin input kmem kvm libvirt
lp lpadmin lxd mail messagebus netdev operator plugdev polkitd ptracers render root sambashare sasl saned scanner sgx shadow src
ssh ssl-cert staff sudo sys tape tty users utmp uucp video voice wheel wireshark
"""
"""Groups that open something on a Debian host: their members become root, or read the logs, the disks or the keys."""
USERS = """
avahi backup bin bind caddy certbot clamav cups daemon dnsmasq elasticsearch etcd exim ftp git gitea gnats grafana haproxy http
influxdb irc jenkins kafka list lighttpd man mariadb memcache memcached minio mongodb mosquitto munin mysql nagios named news
nobody nogroup node-exporter ntp nginx nslcd openldap opendkim postfix postgres prometheus proxy puppet rabbitmq redis rpc rtkit
sshd sssd statd sync syslog tcpdump tomcat tss unbound uuidd varnish vault www-data zabbix zookeeper
"""
"""Users of Debian's own system, and of what is installed beside apps.

A package that comes later uses the account that it finds, and gets all the rights of the app with it."""
RESERVED = frozenset(f"{GROUPS} {USERS} {names.ACME_USER}".split())
"""Names that belong to others even where they are not there yet."""


@dataclass
class Registry:
    """What the kit remembers of the accounts that it made on this host."""

    path: str
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: `app`, `uid`, `gid`, `when`. The numbers are None while the account is being made."""
    spent: list[int] = field(default_factory=list)
    """Numbers of accounts that are gone. A new one gets none of them: files of the old one may be left somewhere."""

    @classmethod
    def read(cls, path: str = REGISTRY) -> Registry:
        """What is remembered; nothing on a host that is new, or was set up before the kit remembered.

        Raises:
            HostError: the file is damaged.
        """
        data = atomic.read(path)
        if data is None:
            return cls(path)
        try:
            content = json.loads(data)
            made = {str(name): dict(entry) for name, entry in content["made"].items()}
            return cls(path, made, [int(number) for number in content["spent"]])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HostError(
                f"{path} is damaged ({type(error).__name__}: {error}): restore it from a backup, or move it away. Accounts of "
                "apps that have a release on this host are then recognised by that"
            ) from error

    def save(self) -> None:
        """Write it down, for root alone."""
        text = json.dumps({"made": self.made, "spent": self.spent}, indent=1, sort_keys=True) + "\n"
        atomic.write(self.path, text.encode(), 0o600)

    def of(self, app: str) -> list[str]:
        """The accounts that were made for an app."""
        return sorted(name for name, entry in self.made.items() if entry["app"] == app)

    def has(self, name: str) -> bool:
        """Whether an account was made by the kit and is there, as it was made."""
        known = user(name)
        return known is not None and name in self.made and self.made[name]["uid"] == known.pw_uid


def user(name: str) -> pwd.struct_passwd | None:
    """Return a user, by every source of the name service."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def group(name: str) -> grp.struct_group | None:
    """Return a group, by every source of the name service."""
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def first_person(path: str = "/etc/login.defs") -> int:
    """Return the lowest uid of a person on this host."""
    match = re.search(rb"^\s*UID_MIN\s+(\d+)", atomic.read(path) or b"", re.MULTILINE)
    return int(match[1]) if match else FIRST_PERSON


def nologin() -> str:
    """Return the shell that lets no user in."""
    return next((path for path in ("/usr/sbin/nologin", "/sbin/nologin") if os.path.exists(path)), "/bin/false")


# ------------------------------------------------------------------------------------------------------------- whose
def laid_out(root: str, logs: str = LOGS) -> bool:
    """Whether the kit made an app's folder, by what only root can have put there: a release, or the folder of its logs."""
    app = os.path.basename(root)
    if not _roots(root):
        return False
    if _roots(os.path.join(logs, app)):
        return True
    for release_id in atomic.directories(os.path.join(root, "releases")):
        path = os.path.join(root, "releases", release_id)
        manifest = atomic.read_json(os.path.join(path, "manifest.json"))
        if RELEASE.fullmatch(release_id) and _roots(path) and manifest and manifest.get("app") == app:
            return True
    return False


def reserved(name: str) -> bool:
    """Whether a name belongs to another program even while there is no such account."""
    return name in RESERVED or name.startswith(("systemd-", "debian-"))


def _roots(path: str) -> bool:
    """Whether this is a folder of root in which no other user makes names."""
    try:
        link, info = os.lstat(path), os.stat(path)  # an administrator may have put a link here, to another disk
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and not (link.st_uid or info.st_uid or info.st_mode & 0o022)


def adoptable(name: str, root: str, person: int, logs: str = LOGS) -> bool:
    """Whether a user was made by the kit before that kept a record: all of it must be as the kit makes it."""
    known, private_group = user(name), group(name)
    return bool(
        known
        and private_group
        and name == os.path.basename(root)
        and 0 < known.pw_uid < person
        and known.pw_dir == root
        and known.pw_shell in (nologin(), "/usr/sbin/nologin", "/sbin/nologin", "/bin/false")
        and private_group.gr_gid == known.pw_gid
        and not private_group.gr_mem
        and laid_out(root, logs)
    )


def fault(name: str, app: str, root: str, registry: Registry, person: int, logs: str = LOGS) -> str:
    """Say why an account cannot serve an app; an empty text when it can, or can be made."""
    remedy = "give the app another name"
    known, private_group, entry = user(name), group(name), registry.made.get(name)
    if entry and entry["app"] != app:
        return f"{app}: the account {name} was made for the app {entry['app']}: {remedy}"
    if known is None and private_group is None:
        if name == app and not entry and reserved(name) and not laid_out(root, logs):
            return f"{app}: {name} is the name of a user or group of the system's or of a common package's: {remedy}"
        return ""
    if entry:
        numbers = (entry["uid"], entry["gid"])
        numbers_now = (known.pw_uid if known else numbers[0], private_group.gr_gid if private_group else numbers[1])
        if numbers == (None, None) or numbers_now == numbers:
            return ""
        return (
            f"{app}: the account {name} is not the one that Slipway made (it was {numbers[0]}:{numbers[1]} and is "
            f"{numbers_now[0]}:{numbers_now[1]}): {remedy}. Or remove that account if it is not needed"
        )
    if adoptable(name, root, person, logs):
        return ""
    if known is None:
        return f"{app}: the group {name} (gid {private_group.gr_gid if private_group else '?'}) is there already and is not Slipway's: {remedy}"
    return (
        f"{app}: the user {name} (uid {known.pw_uid}, home {known.pw_dir}) is there already and is not Slipway's: {remedy}, "
        f"or remove that user if it is not needed"
    )


def occupied(app: str, root: str, registry: Registry, logs: str = LOGS) -> str:
    """Say what is in an app's folder that is not the kit's; an empty text when the folder can be the app's."""
    if registry.of(app) or laid_out(root, logs):
        return ""
    try:
        names = sorted(name for name in os.listdir(root) if name != "lost+found")  # a separate disk has that
    except FileNotFoundError:
        return ""
    except NotADirectoryError:
        return f"{app}: {root} is there and is not a folder: move it away, or give the app another name"
    if not names:
        return ""
    return f"{app}: {root} is there already, holds {names[0]} and is not Slipway's: move it away, or give the app another name"


# -------------------------------------------------------------------------------------------------------------- making
def make(
    apps: Sequence[Mapping[str, str]], homes: str, check: bool, path: str = REGISTRY, logs: str = LOGS
) -> list[str]:
    """Make the accounts that are missing, of each app (`name`) and of who builds for it (`builder`); say what was made.

    Raises:
        HostError: with every clash, before the first account is made.
    """
    with contextlib.nullcontext() if check else remembering(path):
        return _make(apps, homes, check, path, logs)


@contextlib.contextmanager
def remembering(path: str = REGISTRY) -> Iterator[None]:
    """Hold the right to change the memory, and the accounts with it. Raises locks.Held."""
    locks.prepare(path)
    with locks.hold(f"{path}.lock"):
        yield


def _make(apps: Sequence[Mapping[str, str]], homes: str, check: bool, path: str, logs: str) -> list[str]:
    registry, person = Registry.read(path), first_person()
    wanted = [(name, app["name"], os.path.join(homes, app["name"])) for app in apps for name in _names(app)]
    faults = [fault(name, app, root, registry, person, logs) for name, app, root in wanted]
    faults += [occupied(app["name"], os.path.join(homes, app["name"]), registry, logs) for app in apps]
    if any(faults):
        raise HostError("\n".join(text for text in dict.fromkeys(faults) if text))
    missing = {name: _missing(name) for name, _app, _root in wanted}
    made = [f"{kind} {name}" for name, kinds in missing.items() for kind in kinds]
    if check:
        return made
    # Remembered before they are made: what a call leaves that dies in between, the next one finishes.
    news = [(name, app) for name, app, _root in wanted if name not in registry.made]
    for name, app in news:
        registry.made[name] = {"app": app, "uid": None, "gid": None, "when": releases.now()}
    if news and made:
        registry.save()
    changed = [
        _account(registry.made[name], name, root if name == app else NOWHERE, missing[name], registry.spent)
        for name, app, root in wanted
    ]
    if any(changed):
        registry.save()
    return made


def _names(app: Mapping[str, str]) -> Iterable[str]:
    """The app's own user, and its build user."""
    return (app["name"], app["builder"])


def _missing(name: str) -> list[str]:
    return [kind for kind, account in (("group", group(name)), ("user", user(name))) if account is None]


def _account(entry: dict[str, Any], name: str, home: str, missing: Sequence[str], spent: Sequence[int]) -> bool:
    """Make what is missing of an account and note its numbers; say whether they are news."""
    if missing:
        number = str(_number(entry, user(name), group(name), spent))
        if "group" in missing:
            _run("groupadd", "--system", "--gid", number, name)
        if "user" in missing:
            options = ["--uid", number, "--gid", name, "--home-dir", home, "--shell", nologin()]
            _run("useradd", "--system", "--no-create-home", "--no-log-init", *options, name)
    numbers = {"uid": pwd.getpwnam(name).pw_uid, "gid": grp.getgrnam(name).gr_gid}
    news = {key: entry[key] for key in numbers} != numbers
    entry.update(numbers)
    return news


def _number(
    entry: Mapping[str, Any],
    known: pwd.struct_passwd | None,
    private_group: grp.struct_group | None,
    spent: Sequence[int],
) -> int:
    """The number of a new account: its earlier one, so that its files are its own again; else one never used before."""
    before = [entry["uid"], known and known.pw_uid, private_group and private_group.gr_gid]
    system = range(first_person() - 1, FIRST_SYSTEM - 1, -1)  # from the top, as useradd does
    fresh = [number for number in system if number not in spent]
    for number in (*before, *fresh, *spent):
        if number and _free(number, known, private_group):
            return number
    raise HostError(f"there is no number left for a system user between {FIRST_SYSTEM} and {system[0]}: remove some")


def _free(number: int, known: pwd.struct_passwd | None, private_group: grp.struct_group | None) -> bool:
    """Whether the half of an account that is missing can have this number."""
    taken = False
    if known is None:
        with contextlib.suppress(KeyError):
            pwd.getpwuid(number)
            taken = True
    if private_group is None:
        with contextlib.suppress(KeyError):
            grp.getgrgid(number)
            taken = True
    return not taken


def _run(*words: str) -> None:
    """Run a command that changes accounts; raises HostError with what it said."""
    environ = {**os.environ, "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    result = subprocess.run(
        words,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,  # they wait for each other's lock on /etc/passwd for 15 s at most
        check=False,
    )
    if result.returncode:
        raise HostError(f"{' '.join(words)} failed: {' '.join(result.stdout.split()) or f'status {result.returncode}'}")


# ------------------------------------------------------------------------------------------------------------ removing
def owned(app: str, root: str, registry: Registry, logs: str = LOGS) -> tuple[list[str], list[str]]:
    """The accounts of an app, as `user shop`, `group shop`: (made by the kit, foreign ones of the app's name)."""
    of_kit: list[str] = []
    foreign: list[str] = []
    person = first_person()
    for name in sorted({app, *registry.of(app)}):
        accounts = [f"{kind} {name}" for kind, account in (("user", user(name)), ("group", group(name))) if account]
        ours = (name in registry.made or adoptable(name, root, person, logs)) and not fault(
            name, app, root, registry, person, logs
        )
        (of_kit if ours else foreign).extend(accounts)
    return of_kit, foreign


def delete(app: str, accounts: Sequence[str], path: str = REGISTRY) -> None:
    """Remove accounts that `owned` calls the kit's, and remember that their numbers were in use.

    Raises:
        HostError: a process of a user does not end, or the account could not be removed.
    """
    with remembering(path):
        registry = Registry.read(path)
        names = sorted({words.split()[1] for words in accounts} | set(registry.of(app)))
        for name in names:
            known, private_group = user(name), group(name)
            if f"user {name}" in accounts and known:
                processes.end_everything(name)
                _run("userdel", name)
            if f"group {name}" in accounts and group(name):  # userdel removes the group of the same name by itself
                _run("groupdel", name)
            if f"user {name}" in accounts or f"group {name}" in accounts:
                numbers = {known.pw_uid if known else None, private_group.gr_gid if private_group else None}
                registry.spent += sorted(number for number in numbers if number and number not in registry.spent)
            registry.made.pop(name, None)
        if names:
            registry.save()
