"""What a run says at its end about a host: where the apps answer, what to try next, and which apps it has held back."""

from __future__ import annotations

from typing import Any

from . import holding, next_commands
from .contract import origins
from .inventory import Inventory
from .model.types import App

UNCERTIFIED = "Certificates are missing, for the reasons above; their apps are served without them."


def end(inventory: Inventory, facts: holding.Facts, host: str) -> dict[str, Any]:
    """Return the message about a host and whether the run has failed there.

    It has where an app is held back or has no certificate, though the run has deployed all else.

    Args:
        inventory: of the host.
        facts: what the run has noted about the host.
        host: its name in the inventory.
    """
    parts = [whereabouts(inventory), holding.outcome(facts, host)]
    uncertified = bool((facts.get("slipway_certificates") or {}).get("failures"))
    if uncertified and not inventory.held:
        parts.append(UNCERTIFIED)
    return {"failed": bool(inventory.held) or uncertified, "msg": "\n\n".join(filter(None, parts))}


def whereabouts(inventory: Inventory) -> str:
    """Where each app answers, and what to try next."""
    would = "would " if inventory.run.check else ""
    lines = []
    for app in inventory.to_deploy:
        if app.name in inventory.held:
            continue
        if app.module:
            path = app.mount if app.mount == "/" else f"{app.mount}/"
            domains = (app.primary,) if app.primary else app.domains or (inventory.address,)
            addresses = [app.front.url(domain, path) for domain in domains]
            lines.append(f"{app.name} {'would be' if would else 'is'} at {' and '.join(addresses)}")
            trusting = " -k" if app.tls and app.tls.source == "self_signed" else ""
            attempt = [f"  try:      curl -i{trusting} {addresses[0]}"]
        else:
            lines.append(
                f"{app.name} {'would run' if would else 'runs'} {', '.join(one.name for one in app.processes)}"
            )
            attempt = []
        if not would:
            logs = f"ansible-playbook playbooks/logs.yml -e app={app.name}"
            lines += [*attempt, f"  its logs: {next_commands.here(logs, next_commands.inventories())}"]
        lines += _farewells(app, inventory)
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
    return "\n".join([*lines, *_hints(inventory)])


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


def _hints(inventory: Inventory) -> list[str]:
    """What to know about the apps that this run has changed; nothing where it changed none."""
    left = {name: inventory.facts.app(name).current for name in inventory.run.releases}
    changed = {name: left[name] for name, release_id in inventory.run.releases.items() if left[name] != release_id}
    if not changed or inventory.run.check:
        return []
    if inventory.run.purpose != "rollback":
        return [
            "Change the app and deploy again: no request is lost. playbooks/rollback.yml goes back, releases.yml lists the releases."
        ]
    return [
        f"{name} {release_id} is now marked bad. deploy.yml refuses it until the app changes, or with -e redeploy=true."
        for name, release_id in changed.items()
        if release_id
    ]
