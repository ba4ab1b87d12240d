"""The README's first command, as a new user runs it: in a fresh clone on a Debian where systemd is installed but does not run."""

from __future__ import annotations

import os
import subprocess

from ansible_collections.slipway.kit.plugins.module_utils import indexes

from tests.hosts import images, machine
from tests.hosts.__main__ import CACHE

from .command import ROOT

IMAGE = "localhost/slipway-bookworm"
CA = "/run/slipway-test-ca.crt"
SCRIPT = """
set -eu
(apt-get -qq update || true) > /dev/null 2>&1
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends git make python3-venv > /dev/null 2>&1
git config --global --add safe.directory '*'
git clone -q /source /root/slipway
cd /root/slipway
make deploy
echo "answered $(python3 -c 'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8080/").status)')"
make deploy
make remove ARGS='-e purge=true'
test ! -e /srv/demo || echo "left /srv/demo"
"""


def test_from_a_clone_to_a_page_and_back() -> None:
    env = machine.environment(machine.read(), CACHE)
    images.ensure([IMAGE], env)
    index = indexes.find({}, os.environ, indexes.pip_settings())
    settings = {"PIP_INDEX_URL": index.url, "PIP_CERT": CA if index.ca else None}
    argv = ["podman", "run", "--rm", "--interactive", "--pull=never", f"--volume={ROOT}:/source:ro"]
    argv += [f"--volume={index.ca}:{CA}:ro"] if index.ca else []
    argv += [f"--env={name}={value}" for name, value in settings.items() if value]
    result = subprocess.run(
        [*argv, IMAGE, "sh", "-c", SCRIPT],
        env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    first, _answered, later = result.stdout.partition("answered 200\n")
    assert "demo is at http://127.0.0.1:8080/" in first, result.stdout
    assert "changed=0" in later, result.stdout
    assert "left" not in later, result.stdout
