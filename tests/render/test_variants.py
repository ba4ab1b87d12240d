"""The benchmark's other settings of nginx: the kit's files with each of them are files that nginx reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.serving.host import NEVER
from benchmarks.serving.variants import VARIANTS, Variant

from .conftest import nginx_below

APP = {"module": "web:app", "source": {"path": "."}, "domains": ["flask.test"], "static": {"/static/": "static"}}


@pytest.mark.parametrize("variant", [one for one in VARIANTS if one.nginx], ids=lambda one: one.key)
def test_nginx_reads_a_variant(variant: Variant, tmp_path: Path) -> None:
    command = nginx_below(tmp_path, {"apps": {"flask": APP}, "nginx_http_port": 18080})
    (tmp_path / "etc/nginx/conf.d/zz-bench.conf").write_text(NEVER)
    files = [*tmp_path.glob("etc/nginx/conf.d/slipway-site-*"), tmp_path / "etc/nginx/slipway/flask.conf"]
    for old, new in variant.nginx:
        assert any(old in path.read_text() for path in files), f"no {old!r} in the files"
        for path in files:
            path.write_text(path.read_text().replace(old, new))
    result = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
