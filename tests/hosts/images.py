"""The images of the test hosts, built from Debian's packages, without a container registry.

`bookworm` and `trixie` are what a provider's minimal Debian looks like to the kit. The `-ready` ones add what the kit
installs anyway, switched off and not configured. A scenario that tests something else starts sooner with them.
An image carries the hash of its recipe as a label: it is rebuilt when the recipe changes and only then.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .machine import KEYRING, HostsError, run

LABEL = "slipway.recipe"

MINIMAL = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)
"""A bootable Debian that Ansible can reach, without anything that the kit installs itself."""

READY = ("curl", "git", "logrotate", "nginx", "python3-venv")
"""What the kit or its tests install on a host anyway."""

JUDGES = ("bsdextrautils", "dnsutils", "nghttp2-client", "slowhttptest", "testssl.sh")
"""What judges a site from outside. Debian 13's testssl.sh gives grades; Debian 12's does not."""

AUTHORITY = ("knot", "pebble")
"""A certificate authority for tests (RFC 8555 and 9773), and a name server that takes updates."""

MASKED = (
    # A privileged container would change the machine's kernel with these ...
    "systemd-modules-load.service",
    "systemd-pstore.service",
    "systemd-sysctl.service",
    "fstrim.timer",
    # ... take its consoles ...
    "console-getty.service",
    "getty.target",
    # ... and hold apt's lock when a test wants it.
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
)


@dataclass(frozen=True)
class Recipe:
    """How an image is made: a Debian `suite` with `packages`, or `packages` on top of the image `base`."""

    name: str
    packages: tuple[str, ...]
    suite: str = ""
    base: str = ""
    masked: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        """The name that podman knows the image by."""
        return f"localhost/slipway-{self.name}"

    @property
    def digest(self) -> str:
        """A hash of all parts of the image, its base included."""
        parts: list[object] = [asdict(self), self.containerfile() if self.base else self.bootstrap("")]
        if self.base:
            parts.append(RECIPES[self.base].digest)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def line(self) -> list[Recipe]:
        """The recipes that lead to this one, the first base first."""
        return [*(RECIPES[self.base].line() if self.base else ()), self]

    def bootstrap(self, target: str) -> list[str]:
        """The command that makes the root file system as the tar file `target`. The mirror is mmdebstrap's own choice."""
        mask = " ".join(self.masked)
        return [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--keyring={KEYRING}",
            f"--include={','.join(self.packages)}",
            f'--customize-hook=chroot "$1" systemctl mask {mask}',
            # podman writes these two; an empty machine-id makes every host choose its own.
            '--customize-hook=rm -f "$1/etc/hostname" "$1/etc/resolv.conf"; : > "$1/etc/machine-id"',
            self.suite,
            target,
        ]

    def containerfile(self) -> str:
        """The build instructions of an image on top of another one."""
        packages = " ".join(self.packages)
        return f"""FROM {RECIPES[self.base].image}
RUN printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \\
 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {packages} \\
 && apt-get clean && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d && systemctl disable nginx
"""


_SUITES = ("bookworm", "trixie")
RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for suite in _SUITES
    for recipe in (
        Recipe(suite, MINIMAL, suite=suite, masked=MASKED),
        Recipe(f"{suite}-ready", READY, base=suite),
    )
} | {
    "authority": Recipe("authority", AUTHORITY, base="trixie-ready"),
    "judge": Recipe("judge", JUDGES, base="trixie-ready"),
}
COMMON = tuple(name for name in RECIPES if name != "judge")
"""The images of every run of the tests. The scenario that runs only by its name builds the other one itself."""


def recipe_of(image: str) -> Recipe:
    """The recipe of an image such as "localhost/slipway-bookworm"; HostsError when there is none."""
    for recipe in RECIPES.values():
        if image in (recipe.image, recipe.name):
            return recipe
    raise HostsError(f"no recipe for the image {image}: use one of {', '.join(r.image for r in RECIPES.values())}")


@contextlib.contextmanager
def _only_one(name: str) -> Iterator[None]:
    """Wait until no other process of this user builds the image `name`. Each user has one podman storage."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def present(env: Mapping[str, str]) -> dict[str, str]:
    """The recipe hashes of the existing images, by image name."""
    digests: dict[str, str] = {}
    for image in json.loads(run(["podman", "images", "--format", "json", "--filter", f"label={LABEL}"], env) or "[]"):
        for name in image.get("Names") or ():
            digests[name.removesuffix(":latest")] = (image.get("Labels") or {}).get(LABEL, "")
    return digests


def _build(recipe: Recipe, env: Mapping[str, str]) -> None:
    label = f"{LABEL}={recipe.digest}"
    with tempfile.TemporaryDirectory(prefix="slipway-image-") as folder:
        if recipe.base:
            argv = ["podman", "build", "--quiet", "--pull=never", "--label", label, "--tag", recipe.image]
            run([*argv, "--file=-", folder], env, recipe.containerfile())
            return
        archive = str(Path(folder) / "root.tar")
        run(recipe.bootstrap(archive), env)
        changes = [f"LABEL {label}", "ENV container=podman", "STOPSIGNAL SIGRTMIN+3", 'CMD ["/sbin/init"]']
        run(["podman", "import", "--quiet", *(f"--change={change}" for change in changes), archive, recipe.image], env)


def ensure(wanted: list[str], env: Mapping[str, str]) -> list[str]:
    """Build those of the `wanted` images (and their bases) that are missing or out of date; return what was built."""
    recipes: list[Recipe] = []
    for image in wanted:
        recipes += [each for each in recipe_of(image).line() if each not in recipes]
    digests = present(env)
    built = []
    for recipe in recipes:
        if digests.get(recipe.image) == recipe.digest:
            continue
        with _only_one(recipe.name):
            if present(env).get(recipe.image) != recipe.digest:  # another process may have built it meanwhile
                print(f"building {recipe.image} from Debian's packages (about a minute, once)", flush=True)
                _build(recipe, env)
                built.append(recipe.image)
    return built
