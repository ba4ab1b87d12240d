"""What a run says at its end about a host: where the apps answer, what to try next, and which apps it has held back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from . import generated, holding, next_commands
from .contract import names, origins
from .inventory import Inventory
from .model import layout, releases, sites
from .model.types import App

UNCERTIFIED = "Certificates are missing, for the reasons above; their apps are served without them."


def end(inventory: Inventory, facts: holding.Facts, host: str, earlier: Sequence[holding.Facts] = ()) -> dict[str, Any]:
    """Return the message about a host and whether the run has failed there.

    It has where an app is held back, has no certificate or is out of clients' reach, though the run has deployed all else.

    Args:
        inventory: of the host.
        facts: what the run has noted about the host.
        host: its name in the inventory.
        earlier: what the run has noted about the hosts before it.
    """
    misled = holding.misled(facts)
    parts = [whereabouts(inventory, earlier, misled), holding.outcome(facts, host), *map(_unreached, misled.values())]
    uncertified = bool((facts.get("slipway_certificates") or {}).get("failures"))
    if uncertified and not inventory.held:
        parts.append(UNCERTIFIED)
    failed = bool(inventory.held or misled) or uncertified
    return {"failed": failed, "msg": "\n\n".join(filter(None, parts))}


def _unreached(failure: Mapping[str, Any]) -> str:
    """Why clients do not reach an app that this run has left as it was, and what to do."""
    return f"clients do not reach {holding.text(failure)}"


def whereabouts(inventory: Inventory, earlier: Sequence[holding.Facts] = (), misled: Collection[str] = ()) -> str:
    """What the run did for each app, where the app answers, and what to try next.

    Args:
        inventory: of the host.
        earlier: what the run has noted about the hosts before it. What their reports suggest, this one does not repeat.
        misled: the apps that clients do not reach.
    """
    suggested = {name for facts in earlier for name in holding.hinted(facts)}
    lines = []
    for app in inventory.to_deploy:
        if app.name not in inventory.held and app.name not in misled:
            lines += _about(app, inventory, app.name in {*inventory.run.hinted} - suggested)
    encrypted = any(app.https_listeners for app in inventory.to_deploy)
    if encrypted and inventory.settings.nginx_http3 and not inventory.settings.https_listeners[0].quic:
        lines.append(
            "nginx_http3 has no effect here: this host's nginx was built without it, or has another default site"
        )
    lines += [
        f"{name} stays on this host as long as an app is held back."
        for name in sorted(inventory.spared)
        if name in inventory.chosen and inventory.facts.app(name).current and inventory.run.purpose != "rollback"
    ]
    lines += [
        f"{name} is off this host, as the inventory wants it. With -e purge=true playbooks/remove.yml removes its data, too."
        for name in inventory.absent
        if name in inventory.chosen and len(inventory.chosen) < len(inventory.entries) and name not in inventory.spared
    ]
    return "\n".join([*lines, *_hints(inventory, any(map(holding.changed, earlier)))])


def concerned(inventory: Inventory) -> list[dict[str, str]]:
    """The roots of the apps whose release a run may have changed on a host: those that it deploys, and those that leave."""
    here = [name for name in inventory.chosen if name in inventory.going or inventory.facts.app(name).current]
    return [{"root": names.app_root(name)} for name in here]


def standing(inventory: Inventory, now: Mapping[str, str] | None) -> str:
    """Which release each app has after a run that failed.

    Args:
        inventory: of the host.
        now: the apps with their current releases, as the host says at the end; None where it does not.
    """
    if now is None:
        return f"Which releases are current is unknown: {_typed('playbooks/releases.yml')} lists them."
    apps = [holding.name(one) for one in concerned(inventory)]
    return "\n".join(f"{name}: {holding.standing(inventory.facts.app(name).current, now.get(name))}" for name in apps)


def _about(app: App, inventory: Inventory, hints: bool) -> list[str]:
    """What the run did for an app, where the app answers, and what to try where the report `hints` at it."""
    would = inventory.run.check
    addresses = _addresses(app, inventory)
    release, farewells = _release(app, inventory), _farewells(app, inventory)
    if addresses:
        doing, place = "be" if would else "is", f" at {' and '.join(addresses)}"
        unchanged = "stay unchanged" if would else "is unchanged"
    else:
        doing, place = "run" if would else "runs", f" {', '.join(one.name for one in app.processes)}"
        unchanged = "stay unchanged and run" if would else "is unchanged and runs"
    verb = doing if release or farewells or app.name not in inventory.run.releases else unchanged
    lines = [f"{app.name} {'would ' if would else ''}{verb}{place}"]
    if release:
        lines.append(f"  release:  {release}")
    if hints and not would:
        if addresses:
            trusting = " -k" if app.tls and app.tls.source == "self_signed" else ""
            lines.append(f"  try:      curl -i{trusting} {addresses[0]}")
        lines.append(f"  its logs: {_typed(f'playbooks/logs.yml -e app={app.name}')}")
    return [*lines, *farewells]


def _typed(playbook: str) -> str:
    """A command with a playbook and its options, as it is to be typed."""
    return next_commands.here(f"{next_commands.PROGRAM} {playbook}", next_commands.inventories())


def _addresses(app: App, inventory: Inventory) -> list[str]:
    """Where an app answers; empty for one of processes alone."""
    if not app.module:
        return []
    path = app.mount if app.mount == "/" else f"{app.mount}/"
    domains = (app.primary,) if app.primary else app.domains or (inventory.address,)
    return [app.front.url(domain, path) for domain in domains]


def _release(app: App, inventory: Inventory) -> str:
    """The release that the run makes current, and the one before it; empty where it changes nothing of the app."""
    run = inventory.run
    release_id = run.releases.get(app.name, "")
    if app.name in run.changed:
        before = run.changed[app.name]
        # Its id covers the secrets.
        new = "a new one" if run.check and _has_unmade_secrets(app.name, inventory) else release_id
        return f"{new}, {'now' if run.check else 'before it'} {before}" if before else f"{new}, the first one"
    if release_id and _is_served_otherwise(app, inventory):
        return f"{release_id} as before, {'would get' if run.check else 'with'} other files of nginx"
    return ""


def _has_unmade_secrets(name: str, inventory: Inventory) -> bool:
    """Whether the first deploy of an app generates secrets of it."""
    return generated.UNMADE in releases.secrets(inventory.entry(name), inventory.vault(name)).values()


def _is_served_otherwise(app: App, inventory: Inventory) -> bool:
    """Whether the run has changed nginx's files for an app: its own, or those of its sites."""
    files = {site.file for site in sites.sites(inventory.apps) if app.name in {one.name for one in site.apps}}
    prefixes = f"{names.NGINX_APPS}/{app.name}.", layout.upstream_file(app.name), f"{names.NGINX_ERRORS}/{app.name}/"
    return any(path in files or path.startswith(prefixes) for path in inventory.run.nginx_files)


def _farewells(app: App, inventory: Inventory) -> list[str]:
    """What a deploy has ended: an earlier name of the app, and another inventory's right to it."""
    would = inventory.run.check
    served = inventory.facts.nginx.names if inventory.run.purpose != "rollback" else {}
    left = [name for name, apps in served.items() if app.name in apps and name not in (app.domains or ("_",))]
    names = " and ".join("names without a site" if name == "_" else name for name in sorted(left))
    lines = [f"  it {'would no longer answer' if would else 'no longer answers'} at {names}"] if left else []
    owner = inventory.facts.origins.get(app.name, "")
    if owner and owner != inventory.origin:
        lines.append(f"  it {'would be' if would else 'is'} taken over from {origins.FOLDER}/{owner}")
    return lines


def _hints(inventory: Inventory, suggested: bool) -> list[str]:
    """What to know about the apps that this run has changed; nothing where it changed none.

    Args:
        inventory: of the host.
        suggested: whether the report of an earlier host has said how to continue after a deploy.
    """
    changed = inventory.run.changed
    if not changed or inventory.run.check:
        return []
    if inventory.run.purpose != "rollback":
        back = ", ".join(sorted(inventory.held))
        first = f"Correct what holds back {back}," if back else "Change the app"
        then = (
            "and deploy again: no request is lost. playbooks/rollback.yml goes back, releases.yml lists the releases."
        )
        return [] if suggested else [f"{first} {then}"]
    return [
        f"{name} {release_id} is now marked bad. deploy.yml refuses it until the app changes, or with -e redeploy=true."
        for name, release_id in changed.items()
        if release_id
    ]
