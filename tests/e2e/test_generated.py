"""A secret that the kit makes: once, by a deploy and not by a look, and in no rendered file."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.e2e.command import play, write

APPS = """\
apps:
  shop:
    module: shop:app
    source: {path: ../shop}
    domains: [shop.example.com]
    secrets:
      SECRET_KEY: {generate: 50}
"""


def test_a_secret_is_made_once_and_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/shop.py").write_text("def app(environ, start_response): ...\n")
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APPS})
    made, build = inventory / ".generated/shop.yml", tmp_path / "build"

    def run(*options: str, playbook: str) -> str:
        result = play(inventory, *options, playbook=f"playbooks/{playbook}.yml")
        assert result.status == 0, result
        return result.out + result.err

    run(playbook="render")
    run("--check", playbook="preflight")
    assert not made.parent.exists()
    output = run("-vvvv", playbook="preflight")
    first = made.read_text()
    secret = yaml.safe_load(first)["SECRET_KEY"]
    assert len(secret) == 50
    output += run("-vvvv", playbook="preflight")
    output += run("-vvvv", "-e", f"build={build}", playbook="render")
    assert made.read_text() == first
    output += "".join(path.read_text() for path in build.rglob("*") if path.is_file())
    assert "SECRET_KEY" in output and secret not in output
    run("-e", f"build={build}", "-e", "show_secrets=true", playbook="render")
    assert any(secret in path.read_text() for path in build.rglob("environment.json"))
