"""Find and render the kit's templates on the controller: one place for the files, release and render actions.

A template is named by its path below a ``templates`` folder, for example ``nginx/site.conf.j2``. The first found wins:

1. ``<inventory>/templates/``, for the inventory that names the host (its ``inventory_dir``), then for every other
   inventory of the run in the order of the command line;
2. the kit's own ``templates/``, found from where this file is: a clone and an installed collection behave alike.

So a user replaces a template by placing a file of the same name beside the inventory. A file that changes only a part
extends the kit's by its full name, which no inventory can shadow, and fills the named blocks::

    {% extends "kit/templates/nginx/site.conf.j2" %}
    {% block location_end %}
        add_header X-Served-By web1;
    {% endblock %}

``include``, ``import`` and ``extends`` with a plain name (``nginx/tls.conf.j2``) look in the same
places in the same order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleTemplateError
from ansible.template import trust_as_template

from . import compiled
from .sources.cache import root

KIT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 2))
"""The kit's folder, not its ``realpath``: a clone is reached as ``slipway/kit``, and so ``kit/...`` names it."""

OWN = '{%% extends "kit/%s" %%}'
"""A text that is the kit's template of that path. Jinja keeps the code of a template that it finds by a name, and of no text."""

MANAGED = "Managed by Slipway: changes here are overwritten."
"""The first line of every artefact, where no variable ``ansible_managed`` says otherwise."""

DIGEST = "@digest@"
"""In a rendered file, the place of the digest of the file and of those of its set that it names."""


def folders(task_vars: Mapping[str, Any]) -> list[str]:
    """Return the ``templates`` folders for one host, the most specific first.

    ``task_vars`` are the host's variables; only ``inventory_dir`` and ``ansible_inventory_sources`` are read.
    """
    places: list[str] = []
    sources = task_vars.get("ansible_inventory_sources") or []
    for source in [task_vars.get("inventory_dir"), *(sources if isinstance(sources, list | tuple) else [])]:
        if isinstance(source, str) and source and "," not in source:  # "host," is a list of hosts, not a path
            place = os.path.dirname(source) if os.path.isfile(source) else source
            places.append(os.path.join(os.path.abspath(place), "templates"))
    places.append(os.path.join(KIT, "templates"))
    return list(dict.fromkeys(places))


def find(src: str, places: Iterable[str]) -> str:
    """Return the path of template ``src`` in the first of ``places`` that has it.

    Raises ``AnsibleError`` for a name that leaves the folder and for one that is nowhere, saying where was looked.
    """
    if os.path.isabs(src) or os.pardir in src.split("/"):
        raise AnsibleError(f"template {src!r}: give its name below a templates folder, such as nginx/site.conf.j2")
    tried = [os.path.join(place, src) for place in places]
    for path in tried:
        if os.path.isfile(path):
            return path
    raise AnsibleError(f"template {src} is nowhere: looked for {', '.join(tried)}")


def render(
    templar: Any, task_vars: Mapping[str, Any], loader: Any, src: str, dest: str, extra_vars: Mapping[str, Any] | None
) -> str:
    """Return the text of template ``src`` for one host, ending with exactly one newline.

    ``templar`` and ``loader`` are the action's own, so that lookups and filters work and vault files are decrypted.
    ``dest`` is where the text goes (for messages, and ``template_destpath``); ``extra_vars`` win over ``task_vars``.
    Raises ``AnsibleError`` naming template and destination for a missing template, an undefined variable and any
    other failure.
    """
    places = folders(task_vars)
    path = find(src, places)
    try:
        # the parent of the kit folder comes first, so "kit/..." always names a template of the kit
        return text(templar, task_vars, loader, path, src, dest, extra_vars, [os.path.dirname(KIT), *places])
    except AnsibleTemplateError as exc:  # its message is appended to this one: 'name' is undefined
        raise AnsibleError(f"template {src} for {dest} does not render (file {path})") from exc


def text(
    templar: Any,
    task_vars: Mapping[str, Any],
    loader: Any,
    path: str,
    src: str,
    dest: str,
    extra_vars: Mapping[str, Any] | None,
    search: list[str],
) -> str:
    """Return the text of the template file ``path``, as `render` does; ``search`` are the folders of what it includes.

    Raises ``AnsibleTemplateError``.
    """
    variables: dict[str, Any] = {"ansible_managed": MANAGED, **task_vars, **(extra_vars or {})}
    variables.update(template_path=src, template_fullpath=path, template_destpath=dest)
    scoped = templar.copy_with_new_env(searchpath=search, available_variables=variables)
    is_kept = _keep_compiled(scoped) and path.startswith(_own())
    rendered = scoped.template(
        trust_as_template(OWN % os.path.relpath(path, KIT) if is_kept else loader.get_text_file_contents(path)),
        escape_backslashes=False,
        overrides={"trim_blocks": True, "lstrip_blocks": True},
    )
    return str("" if rendered is None else rendered).rstrip("\n") + "\n"


def _own() -> str:
    """How a path begins that is in the kit's own folder of templates."""
    return os.path.join(KIT, "templates", "")


def _keep_compiled(scoped: Any) -> bool:
    """Have the kit's own templates compiled only once; False where that cannot be."""
    try:
        environment = scoped._engine.environment
    except AttributeError:  # Ansible's own matter; rendering takes longer without
        return False
    environment.bytecode_cache = compiled.cache(root(), _own())
    return environment.bytecode_cache is not None


def signed(texts: Mapping[str, str]) -> dict[str, str]:
    """A set of rendered files (path to text) with each DIGEST replaced: what has read one has read them all."""
    marked = {}
    for path, text in texts.items():
        if DIGEST in text:
            named = [text, *(other for dest, other in sorted(texts.items()) if dest != path and dest in text)]
            digest = hashlib.sha256("\0".join(named).encode("utf-8", "surrogateescape")).hexdigest()[:16]
            text = text.replace(DIGEST, digest)
        marked[path] = text
    return marked
