"""certbot's DNS plugins: each lock installs, and each plugin takes the credentials that the kit checks by name.

No provider is asked: a plugin reads its file, and says what it lacks, before it connects.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import authority, dns_plugins, tools

from tests.patience import patience

pytestmark = pytest.mark.real

KIT = Path(__file__).parents[2]
UV = str(KIT / ".venv/bin/uv")
LOCKS = KIT / "requirements/tools"
PYTHONS = ("3.11", "3.13")
"""Those of Debian 12 and 13."""
VALUES = {"rfc2136_server": "192.0.2.53", "rfc2136_port": "53", "rfc2136_algorithm": "HMAC-SHA256", "email": "a@b.test"}
READ = """
import importlib, json, sys
from unittest import mock
from certbot import configuration, errors
plugins, answers = json.load(sys.stdin), {}
for number, (plugin, file, names) in enumerate(plugins):
    module = importlib.import_module(f"certbot_dns_{plugin}._internal.dns_{plugin}")
    settings = configuration.NamespaceConfig(mock.Mock(**{f"dns_{plugin}_credentials": file}, config_dir="/x", work_dir="/x", logs_dir="/x"))
    authenticator = module.Authenticator(settings, f"dns-{plugin}")
    try:
        authenticator._setup_credentials()
        given = getattr(authenticator, "credentials", None) or authenticator._credentials
        answers[number] = sorted(name for name in names if given.conf(name) is None)
    except errors.PluginError as error:
        answers[number] = str(error)
print(json.dumps(answers))
"""
"""Has each plugin read a file; prints which settings it did not find there, or its error."""


def run(*argv: str, given: str = "") -> str:
    result = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=patience(300), check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def installing(python: str, *plugins: str) -> list[str]:
    """The command that installs certbot with plugins."""
    locks = [
        f"--requirement={LOCKS / name}" for name in ("certbot.txt", *(f"certbot-dns-{one}.txt" for one in plugins))
    ]
    return [UV, "pip", "install", "--quiet", "--require-hashes", f"--python={python}", *locks]


def credentials(plugin: str, way: tuple[str, ...]) -> dict[str, str]:
    return {f"{plugin}_{name}": VALUES.get(f"{plugin}_{name}", VALUES.get(name, "c2VjcmV0")) for name in way}


def asked(python: str, folder: Path, rows: list[tuple[str, tuple[str, ...]]]) -> list[list[str] | str]:
    """What each plugin says to a file with these settings."""
    given = []
    for number, (plugin, way) in enumerate(rows):
        path = folder / f"{number}.ini"
        path.write_text(authority.credentials_file(plugin, credentials(plugin, way)))
        path.chmod(0o600)
        given.append((plugin, str(path), [name.replace("_", "-") for name in way]))
    answers: Mapping[str, list[str] | str] = json.loads(run(python, "-c", READ, given=json.dumps(given)))
    return list(answers.values())


def test_every_plugin_has_its_lock_and_takes_what_the_kit_checks(tmp_path: Path) -> None:
    python = str(tmp_path / "venv/bin/python")
    run(UV, "venv", "--quiet", str(tmp_path / "venv"))
    # Each lock is whole without the other ones, also for another Python than this one.
    alone = {
        f"{one} on {version}": [*installing(python, one), "--dry-run", f"--python-version={version}"]
        for one in tools.CERTBOT_DNS
        for version in PYTHONS
    }
    trials = {one: subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) for one, argv in alone.items()}
    for one, trial in trials.items():
        _output, errors = trial.communicate(timeout=patience(300))
        assert trial.returncode == 0, f"{one}: {errors}"
    run(*installing(python, *tools.CERTBOT_DNS))
    assert {*dns_plugins.PLUGINS, "google", "route53"} == {*tools.CERTBOT_DNS}
    whole = [(plugin, (*way, *one.options)) for plugin, one in dns_plugins.PLUGINS.items() for way in one.ways]
    for row, answer in zip(whole, asked(python, tmp_path, whole), strict=True):
        assert answer == [], row
        assert dns_plugins.fault(row[0], credentials(*row)) is None
    lacking = [
        (plugin, tuple(name for name in way if name != left_out))
        for plugin, one in dns_plugins.PLUGINS.items()
        for way in one.ways
        for left_out in way
    ]
    for row, answer in zip(lacking, asked(python, tmp_path, lacking), strict=True):
        assert isinstance(answer, str), f"{row}: the plugin needs less than the kit says"
        assert "lacks" in (dns_plugins.fault(row[0], credentials(*row)) or ""), row
