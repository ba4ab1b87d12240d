"""Check every host's inventory, fetch every source and make what secrets are to be made, before any host is touched.

One module, though a long one: all looks at an inventory add to the same faults, which one message shows.
"""

from __future__ import annotations

import datetime
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import (
    alone,
    display,
    doors,
    environments,
    generated,
    given,
    hook_commands,
    hook_files,
    inventory,
    placed,
    places,
    reading,
    rendering,
    sources,
    templated,
    variable_files,
    whole_runs,
    writing,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.build import advice
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    checks,
    https,
    layout,
    releases,
    resolve,
    run_variables,
    schema,
    settings,
    several_hosts,
    spelling,
    validation,
)
from ansible_collections.slipway.kit.plugins.module_utils.model.validation import Fault
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError, Tree, served
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import current_run

GROUP = "web"
"""The inventory group that the playbooks are about."""

if context.CLIARGS:  # of a run
    resident.share()


class ActionModule(alone.AloneAction):
    """Runs on the controller alone. One message names every fault of every host."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with all faults at once, or return how many hosts and apps were found in order."""
        result, arguments = self.begin(
            tmp,
            task_vars,
            {
                "fetch": {"type": "bool", "default": True},
                "renders": {"type": "bool", "default": False},
                "needs": {"type": "list", "elements": "str", "default": []},
                "present": {"type": "bool", "default": False},
                "apart": {"type": "bool", "default": False},
                "about_one": {"type": "list", "elements": "str", "default": []},
            },
        )
        variables = task_vars or {}
        sources_of_hosts = context.CLIARGS.get("inventory") or ()
        if (
            why := whole_runs.refusal(context.CLIARGS)
            or _configuration()
            or environments.refusal(sources_of_hosts, GROUP)
        ):
            result.update(failed=True, msg=why, **display.as_("only"))
            return result
        hosts = hosts_of_the_run(variables)
        if not hosts:
            result.update(failed=True, msg=without_hosts(variables["groups"]), **display.as_("only"))
            return result
        faults = self._faults(hosts, variables, arguments)
        others = by_app(faults).keys() - self._chosen.keys() if arguments["apart"] and self._chosen else set[str]()
        if mine := [fault for fault in faults if app_of(fault) not in others]:
            hint = self._apps_in_order(mine) if arguments["apart"] and not self._chosen else ""
            result.update(failed=True, msg=in_words(mine) + hint, **display.as_("only"))
            return result
        if others:
            line = f"the inventory is wrong about {', '.join(sorted(others))}; this run is not about that, and site.yml names each fault"
            self._advice[line] = None
        if arguments["fetch"] and not self._task.check_mode:
            for values, base in self._inventories:
                generated.make(values, base)
        if arguments["fetch"]:
            self._advice.update(dict.fromkeys(several_hosts.advice(values for values, _ in self._inventories)))
        if self._advice:
            result["warnings"] = list(self._advice)
        facts = {resident.CHECKED: current_run(), inventory.LEFT_OUT: sorted(others)}
        result.update(changed=False, hosts=len(hosts), ansible_facts=facts)
        return result

    def _faults(
        self, hosts: Sequence[str], variables: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> Collection[Fault]:
        """Find every fault of every host, and what is wrong with `-e`."""
        if isinstance(variables.get("apps"), str) and "apps" in given.variables(self._loader):
            text = f"is the inventory's own variable; -e app={variables['apps']} chooses what this run is about"
            return [Fault(("apps",), text, "-e")]
        # The same group_vars give the same fault on every host: once is enough.
        by_text: dict[str, Fault] = {}
        self._begin()
        for host in hosts:
            for fault in self._host(str(host), variables["hostvars"], arguments["fetch"], arguments["renders"]):
                by_text.setdefault(str(fault), fault)
        # One vault may have the secrets of apps that only some hosts have.
        by_text = {text: fault for text, fault in by_text.items() if not self._is_elsewhere(fault)}
        of_run = (
            *self._files(hosts, variables),
            *self._given(arguments["needs"]),
            *self._several(arguments["about_one"]),
        )
        by_text |= {str(fault): fault for fault in of_run}
        for name in self._chosen:
            if name and self._apps and name not in self._apps:
                fault = Fault(
                    ("app",),
                    f"is {name}, which the inventory does not have{spelling.did_you_mean(name, sorted(self._apps))}",
                    "-e",
                )
                by_text[str(fault)] = fault
            elif arguments["present"] and name in self._apps - self._present:
                text = f"is {name}, which the inventory wants absent; take state: absent away from its entry and deploy it first"
                by_text[text] = Fault(("app",), text, "-e")
        if "app" in arguments["needs"] and len(self._chosen) > 1:
            fault = Fault(("app",), f"is {', '.join(self._chosen)}; this playbook is about one app", "-e")
            by_text[str(fault)] = fault
        return by_text.values()

    def _apps_in_order(self, faults: Sequence[Fault]) -> str:
        """For which apps a run is possible that is about one of them; empty where `faults` are not about apps alone."""
        wrong = by_app(faults)
        sound = sorted(self._present - wrong.keys())
        if not sound or sum(map(len, wrong.values())) < len(faults):
            return ""
        return f"\nNothing is wrong about {', '.join(sound)}: -e app={sound[0]} makes this run about that app alone."

    def _files(self, hosts: Sequence[str], variables: Mapping[str, Any]) -> Iterator[Fault]:
        """What is wrong with the files of variables: `apps` is in none that Ansible reads, or in two."""
        inventories = environments.folders(context.CLIARGS.get("inventory") or ())
        folders = [*inventories, self._loader.get_basedir()]
        files = variable_files.read(self._loader, folders, list(variables["groups"]), hosts)
        yield from variable_files.overridden(self._loader, files, schema.VARIABLES)
        if self._without_apps:
            some = [] if len(self._without_apps) == len(hosts) else self._without_apps
            raw = variables["hostvars"].raw_get(self._without_apps[0])
            yield variable_files.missing(files, inventories, some, raw, GROUP)

    def _given(self, needed: Sequence[str] = ()) -> list[Fault]:
        """What is wrong with the variables that were given with `-e`, and which of the needed ones are missing."""
        variables = given.variables(self._loader)
        programs = dict.fromkeys(
            program
            for values, _ in self._inventories
            for name, entry in (values["apps"].items() if isinstance(values.get("apps"), Mapping) else ())
            if name in self._chosen
            for program in run_variables.programs(entry)
        )
        faults = [*run_variables.faults(variables, needed, self._apps, programs)]
        playbooks = whole_runs.playbooks(context.CLIARGS)
        for name, message in run_variables.without_effect(variables, self._unrendered, playbooks):
            self._advice[f"-e: {name} {message}"] = None
        if variables.get("report") == "html":
            page = str(variables.get("report_file") or run_variables.REPORT_FILE)
            if problem := writing.obstacle(page):
                faults.append(("report_file", f"is {page}, which {problem}"))
        for name, word in given.swallowed({*run_variables.BY_NAME, *schema.VARIABLES}):
            written = f'{{"{name}": "…"}}'
            faults.append((name, f"has {word}, which Ansible reads as a variable: write -e '{written}'"))
        return [Fault((name,), message, "-e") for name, message in faults]

    def _several(self, about_one: Sequence[str]) -> list[Fault]:
        """Refuse variables of `-e` that are about one app in a run that is about several on a host."""
        several = next((apps for apps in self._going if len(apps) > 1), [])
        variables = given.variables(self._loader) if several and about_one else {}
        text = f"is about one app, and this run is about {', '.join(several)}; add -e app={''.join(several[:1])}, or another one"
        return [Fault((name,), text, "-e") for name in about_one if name in variables]

    def _is_elsewhere(self, fault: Fault) -> bool:
        """Whether a fault is only that another host has the app of a vault's entry."""
        return fault.message.startswith(validation.UNKNOWN_APP) and str(fault.path[-1]) in self._apps

    def _begin(self) -> None:
        """Forget what `_host` has gathered."""
        self._inventories: list[tuple[Mapping[str, Any], Path]] = []
        self._unrendered: list[Mapping[str, Any]] = []
        self._apps: set[str] = set()
        self._present: set[str] = set()
        """Those of `_apps` that at least one host is to have."""
        self._going: list[list[str]] = []
        """For each host, those that it is to have and that the run is about."""
        self._without_apps: list[str] = []
        self._chosen: dict[str, None] = {}
        self._advice: dict[str, None] = {}
        self._hook_files = hook_files.HookFiles(self._loader)

    def _host(self, host: str, hostvars: Any, fetch: bool, renders: bool = False) -> Iterator[Fault]:
        """Find what is wrong with a host's inventory, and with its sources if `fetch`, or without fetching if `renders`."""
        raw = hostvars.raw_get(host)
        templar = self._templar.copy_with_new_env(available_variables=raw)
        self._unrendered.append(raw)

        def where(path: tuple[Any, ...]) -> str:
            return _place(raw, path)

        faults: list[Fault] = []
        known = templated.names(raw)
        values = {
            name: templated.plain(value, templar.template, (name,), faults, known)
            if name in schema.VARIABLES
            else value
            for name, value in raw.items()
        }
        self._inventories.append((values, inventory.base(raw)))
        unknown = {fault.path for fault in faults}  # what does not render is nothing now, and no second fault
        faults += [fault for fault in validation.validate(values) if fault.path not in unknown]
        apps = values["apps"] if isinstance(values.get("apps"), Mapping) else {}
        self._apps.update(map(str, apps))
        present = [str(name) for name, entry in apps.items() if not validation.is_absent(entry)]
        self._present.update(present)
        chosen = inventory.chosen(templar.template(raw.get("app")))
        self._going.append([name for name in present if not chosen or name in chosen])
        self._chosen.update(dict.fromkeys(chosen))
        base = inventory.base(raw)
        faulty = {fault.path[1] for fault in faults if len(fault.path) > 1}  # others can be resolved
        faults += list(_error_pages(validation.sound(apps, faults, "error_pages"), base))
        faults += list(self._hook_files.faults(validation.sound(apps, faults, "hooks"), base))
        faults += list(hook_commands.faults(validation.sound(apps, faults, "hooks"), base))
        if fetch:
            faults += list(self._certificates(validation.sound(apps, faults, "tls", "domains"), base))
            faults += list(_ca_files(values, faults, base))
            if not faults:
                self._advice.update(dict.fromkeys(https.advice(values)))
            for name, message in run_variables.misplaced(raw):
                if place := where((name,)):
                    self._advice[f"{place}: {name} {message}"] = None
        for fault in self._but_missing_apps(host, faults):
            yield Fault(fault.path, fault.message, where(fault.path))
        if fetch or renders:
            for name, entry in validation.sound(apps, faults, "source", "requirements", "constraints").items():
                if chosen and name not in chosen:
                    continue
                if fetch and faults and "path" not in entry["source"]:
                    continue  # it may take minutes, and there is already something to correct
                look = self._source if fetch else self._unfetched
                for key, problem in look(str(name), entry, values, raw, templar, name not in faulty):
                    path = ("apps", name, *key)
                    yield Fault(path, problem, where(path))

    def _but_missing_apps(self, host: str, faults: list[Fault]) -> list[Fault]:
        """Leave out that `apps` is missing, and a slip in its name: `_files` knows more about it."""
        if validation.WITHOUT_APPS not in faults:
            return faults
        self._without_apps.append(host)
        slip = f"did you mean {variable_files.APPS}?"
        return [fault for fault in faults if fault != validation.WITHOUT_APPS and not fault.message.endswith(slip)]

    def _certificates(self, apps: Mapping[str, Any], base: Path) -> Iterator[Fault]:
        """Find what is wrong with the apps' own certificates; remember what the operator should know besides."""
        for name, entry in apps.items():
            wanted = https.derive({"tls": entry.get("tls", https.NO_TLS)})
            if not wanted or not wanted.chain:
                continue
            from ansible_collections.slipway.kit.plugins.module_utils import (
                provided,
            )  # few inventories need cryptography

            domains = [domain.lower() for domain in entry.get("domains", ())]
            files = wanted.chain, wanted.key, base, self._loader
            if problems := provided.unreadable(*files):
                yield from (Fault(("apps", name, "tls", problem.part), str(problem)) for problem in problems)
                continue
            try:
                hints = provided.check(provided.pair(*files), domains, datetime.datetime.now(datetime.timezone.utc))
            except provided.ProvidedError as exc:
                yield Fault(("apps", name, "tls", exc.part), str(exc))
            else:
                self._advice.update(dict.fromkeys(f"apps.{name}.tls.certificate {line}" for line in hints))

    def _source(
        self, name: str, entry: Mapping[str, Any], values: Mapping[str, Any], raw: Any, templar: Any, is_sound: bool
    ) -> Iterator[tuple[tuple[Any, ...], str]]:
        """Fetch an app's source; find what is wrong with it and what points to it, each with the path of its key.

        What points to it is read only in an entry that is sound otherwise.
        """
        try:
            tree = inventory.fetch(entry, raw, self._display.vv)
        except SourceError as exc:
            yield ("source",), f"cannot be used: {exc}"
            return
        if not is_sound:
            return
        for prefix, folder in entry.get("static", {}).items():
            if checks.in_shared(str(folder)):
                continue
            below = layout.in_source(entry, str(folder))
            problem = served.fault(tree.links, below)
            if not problem and "build" not in entry:  # which may make it
                problem = served.missing(tree, below, entry["source"], inventory.base(raw))
            if problem:
                yield ("static", prefix), problem
        for key, problem in self._placed(name, entry, values, raw, templar, tree):
            yield ("files", key), problem
        old = advice.gunicorn(
            tree.lock.versions.get("gunicorn", ""),
            str(entry.get("worker_class", "")),
            tree.lock.path or "`requirements`",
        )
        if old and "module" in entry:
            yield ("requirements" if "requirements" in entry else "source",), f"cannot be used: {old}"

    def _unfetched(
        self, name: str, entry: Mapping[str, Any], values: Mapping[str, Any], raw: Any, templar: Any, is_sound: bool
    ) -> Iterator[tuple[tuple[Any, ...], str]]:
        """Find what is wrong with an app's source and its `files` without fetching the source, as `_source` does."""
        try:
            sources.check(entry["source"], inventory.base(raw))
        except SourceError as exc:
            yield ("source",), f"cannot be used: {exc}"
        else:
            for key in ("requirements", "constraints"):
                if problem := sources.missing(entry["source"], inventory.base(raw), entry.get(key)):
                    yield (key,), problem
        if is_sound:
            for key, problem in self._placed(name, entry, values, raw, templar, None):
                yield ("files", key), problem

    def _placed(
        self, name: str, entry: Mapping[str, Any], values: Mapping[str, Any], raw: Any, templar: Any, tree: Tree | None
    ) -> Iterator[tuple[str, str]]:
        """What is wrong with an app's `files`, by key: a common host is assumed, since none was asked yet.

        Without its source, which nothing needs that only renders, no host is asked later: every file is rendered.
        """
        if not entry.get("files"):
            return
        host = inventory.assumed(values)  # what is rendered is dropped: only whether it renders counts
        app = resolve.resolve(name, entry, settings.settings({}, host), host, host.memory)
        for one, why in placed.in_the_way(tree, app) if tree else ():
            yield one.key, why
        vault = values.get("vault_apps") or {}
        secrets = {
            key: generated.UNMADE if isinstance(value, Mapping) else value
            for key, value in releases.secrets(entry, vault.get(name) or {}).items()
        }
        for one in app.files:
            if tree is None or placed.needs_no_host(raw, one):
                try:
                    placed.contents(templar, raw, self._loader, replace(app, files=(one,)), secrets)
                except placed.PlacedError as exc:
                    yield one.key, str(exc)


def app_of(fault: Fault) -> str:
    """The app whose entry has the fault; empty for any other fault."""
    return str(fault.path[1]) if len(fault.path) > 1 and fault.path[0] in inventory.ENTRIES else ""


def by_app(faults: Iterable[Fault]) -> dict[str, list[Fault]]:
    """The faults of entries, by their apps."""
    apps: dict[str, list[Fault]] = {}
    for fault in faults:
        if name := app_of(fault):
            apps.setdefault(name, []).append(fault)
    return apps


def _error_pages(apps: Mapping[str, Any], base: Path) -> Iterator[Fault]:
    """What is wrong with the apps' own error pages."""
    for name, entry in apps.items():
        if entry.get("error_pages"):
            try:
                list(doors.error_pages(base, entry["error_pages"]))
            except doors.PagesError as exc:
                yield Fault(("apps", name, "error_pages"), str(exc))


def _ca_files(values: Mapping[str, Any], faults: Sequence[Fault], base: Path) -> Iterator[Fault]:
    """What is wrong with the files of private authorities."""
    for key, start in (("acme_ca_file", base), ("package_ca_file", Path())):
        file = values.get(key)
        if file and all(fault.path != (key,) for fault in faults):
            try:
                reading.text(start / Path(file).expanduser(), reading.AUTHORITIES)
            except (OSError, UnicodeError) as exc:
                why = exc.strerror if isinstance(exc, OSError) else "it is no UTF-8"
                yield Fault((key,), f"is {file}, which cannot be read ({why}); correct it")


def in_words(faults: Iterable[Fault]) -> str:
    """One message for all faults, each once, in the order in which the user finds them in the files."""
    by_text = {str(fault): fault for fault in faults}
    texts = sorted(by_text, key=lambda text: _position(by_text[text].where))
    count = "One fault" if len(texts) == 1 else f"{len(texts)} faults"
    typed = [text.startswith("-e") for text in texts]
    place = "this command" if all(typed) else "the inventory and this command" if any(typed) else "the inventory"
    return f"{count} in {place}; no host was touched:" + "".join(f"\n  {text}" for text in texts)


def hosts_of_the_run(task_vars: Mapping[str, Any]) -> list[str]:
    """The hosts of the group in a play that is about all hosts, so that an inventory without the group is noticed, too."""
    return [str(host) for host in task_vars["ansible_play_hosts_all"] if host in task_vars["groups"].get(GROUP, ())]


def without_hosts(groups: Mapping[str, Sequence[str]]) -> str:
    """Why a run has no host, and what to write."""
    if groups.get(GROUP):
        hosts = ", ".join(groups[GROUP])
        limit = context.CLIARGS.get("subset")
        return f"--limit {limit} leaves no host of the group {GROUP}; its hosts: {hosts}. No host was touched."
    others = ", ".join(sorted(name for name in groups if name not in ("all", "ungrouped"))) or "none"
    return f"The inventory has no host in the group {GROUP}; write your hosts there (its groups: {others})."


def _configuration() -> str | None:
    """Why Ansible does not use the kit's ansible.cfg, or another one that is as strict; None when it does."""
    if C.config.get_config_value("ANY_ERRORS_FATAL"):
        return None
    here = Path.cwd()
    if (here / "ansible.cfg").exists() and here.stat().st_mode & stat.S_IWOTH:
        return (
            f"Everybody may write in {here}, so Ansible ignores the ansible.cfg there, and no host was touched. "
            f"Run chmod o-w {here}, or set ANSIBLE_CONFIG={here}/ansible.cfg."
        )
    return (
        f"Ansible does not use the kit's ansible.cfg (but {C.CONFIG_FILE or 'none'}), and no host was touched: a fault on one host would "
        f"not stop the others. Set ANSIBLE_CONFIG={rendering.KIT}/ansible.cfg, or any_errors_fatal = True in your own."
    )


def _position(where: str) -> tuple[str, int, int]:
    """`file:line:column` as a key to sort by."""
    match = re.fullmatch(r"(.*?):(\d+)(?::(\d+))?", where)
    return (match[1], int(match[2]), int(match[3] or 0)) if match else (where, 0, 0)


def _place(raw: Any, path: tuple[Any, ...]) -> str:
    """The place of the deepest part of `path` that knows where it stands."""
    place, value = "", raw
    for key in path:
        name = None
        if isinstance(value, Mapping) and key in value:
            name = next((given for given in value if given == key), key)  # the key with its position in the file
            value = value[key]
        elif isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            break
        place = places.of(name, value) or place
    return place
