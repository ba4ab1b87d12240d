"""No message quotes a secret of the app that it is about."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.errors import HostError
from ansible_collections.slipway.kit.plugins.module_utils.contract.manifest import read_manifest
from ansible_collections.slipway.kit.plugins.module_utils.host.build import errors, proving
from ansible_collections.slipway.kit.plugins.module_utils.host.process.masking import Masking
from ansible_collections.slipway.kit.plugins.module_utils.host.process.running import CUT
from ansible_collections.slipway.kit.plugins.module_utils.host.run import instances
from ansible_collections.slipway.kit.plugins.module_utils.host.run.health import NotHealthy
from ansible_collections.slipway.kit.plugins.module_utils.host.run.hooks import Hook, run
from ansible_collections.slipway.kit.plugins.module_utils.host.run.verdicts import Fault
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.host.build.test_building import build, job, site  # noqa: F401  the fixture
from tests.unit.module_utils.host.test_host_side import ID, data, root, write  # noqa: F401  the fixture

KEY = '-----BEGIN KEY-----\nMIIB\'first line\n\tsecond "line"\n-----END KEY-----\n'
URL = "postgres://shop:pass wörd@db/shop"
ENVIRONMENT = {"DATABASE_URL": URL, "KEY": KEY, "PIN": "1234", "GREETING": "Ahoy there"}


def masking(tmp_path: Path, **environment: str) -> Masking:
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    return Masking(str(tmp_path), [name for name in environment if name != "GREETING"])


@pytest.mark.parametrize(
    "quoted", [str, repr, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), str.strip]
)
def test_however_it_is_quoted(tmp_path: Path, quoted: object) -> None:
    hide = masking(tmp_path, **ENVIRONMENT)
    masked = hide(f"a: {quoted(KEY)} b: {quoted(URL)}.")  # type: ignore[operator]
    assert (
        "$KEY" in masked
        and "$DATABASE_URL" in masked
        and not any(word in masked for word in ("MIIB", "second", "wörd", "w\\u00f6rd"))
    )
    assert masked.startswith("a: ") and " b: " in masked


def test_line_by_line(tmp_path: Path) -> None:
    assert masking(tmp_path, **ENVIRONMENT)("it begins MIIB'first line") == "it begins $KEY"


@pytest.mark.parametrize("at", range(6, len(URL) - 5))
def test_a_secret_that_was_cut_in_half(tmp_path: Path, at: int) -> None:
    between = CUT.format(99)
    masked = masking(tmp_path, **ENVIRONMENT)(f"a {URL[:at]}{between}{URL[at:]} b")
    assert masked == f"a $DATABASE_URL{between}$DATABASE_URL b"
    assert masking(tmp_path, KEY="pass wörd")(f"pass w\ufffd{between}\ufffdrd") == f"$KEY{between}\ufffdrd"


PEM = "-----BEGIN KEY-----\n" + "\n".join(f"{number:064d}" for number in range(50)) + "\n-----END KEY-----\n"
MARK = CUT.format(1)
SIZE = 256 * 1024


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        (PEM, MARK),
        (PEM, PEM[:1000] + MARK),
        (PEM, MARK + PEM[-1000:]),
        (PEM, PEM[: len(PEM) - 1] + "x" + MARK + "x" + PEM[1:]),
        (PEM, PEM[:6] + MARK + PEM[-6:]),
        ("a" * 4000 + "b", "a"),
        ("a" * 2000 + "b" + "c" * 2000, "a" * 4000 + MARK),
        ("c" * 2000 + "b" + "a" * 2000, "a" * 4000 + MARK),
        ("b" + "a" * 4000, "a" * 5000 + MARK),
    ],
)
def test_an_app_cannot_keep_root_busy(tmp_path: Path, secret: str, text: str) -> None:
    hide = masking(tmp_path, SECRET=secret, OTHER=secret[::-1])
    text = (text * (SIZE // len(text) + 1))[:SIZE]
    begun = time.process_time()
    hide(text)
    assert time.process_time() - begun < 2.0


def test_half_a_secret_at_an_end_that_was_cut(tmp_path: Path) -> None:
    hide = masking(tmp_path, **ENVIRONMENT)
    assert hide(f"a {URL[:12]}", cut=True) == "a $DATABASE_URL"
    assert hide(f"a {URL[:12]}") == f"a {URL[:12]}"


def test_what_is_no_secret_stays(tmp_path: Path) -> None:
    assert masking(tmp_path, **ENVIRONMENT)("Ahoy there, 1234 times") == "Ahoy there, 1234 times"


def test_a_release_without_an_environment_hides_nothing(tmp_path: Path) -> None:
    assert Masking(str(tmp_path), ["KEY"])("KEY is not set") == "KEY is not set"


@given(st.text(min_size=6), st.text(), st.text())
def test_any_secret(tmp_path_factory: pytest.TempPathFactory, secret: str, before: str, after: str) -> None:
    masked = masking(tmp_path_factory.mktemp("release"), SECRET=secret)(before + secret + after)
    assert secret not in masked or secret in before + "$SECRET" + after


def blab(site: Path, when: str) -> dict[str, object]:  # noqa: F811
    return job(site, "blabs", environment=json.dumps({**ENVIRONMENT, "BLABS": when}), secrets=["DATABASE_URL", "KEY"])


def test_an_import_that_quotes_them(site: Path) -> None:  # noqa: F811
    with pytest.raises(errors.BuildError, match="cannot connect to") as caught:
        build(blab(site, "import"))
    report = f"{caught.value} {caught.value.output}"
    assert "wörd" not in report and "MIIB" not in report and "$KEY" in report


def test_a_hook_that_quotes_them(site: Path) -> None:  # noqa: F811
    fields = blab(site, "never")
    build(fields)
    release = Path(str(fields["path"]))
    for command in ("echo $DATABASE_URL; false", "echo $DATABASE_URL; exec sleep 60"):
        with pytest.raises(HostError) as caught:
            run("migrate", Hook(str(site), release.name, ("sh", "-c", command), 0.5))
        assert "$DATABASE_URL" in str(caught.value) and "wörd" not in str(caught.value)


def test_a_fault_of_the_host_that_quotes_them(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    fields = blab(site, "never")
    build(fields)
    release = Path(str(fields["path"]))

    def refuse(*_: object) -> None:
        raise HostError(f"could not be started: {URL}")

    monkeypatch.setattr(proving, "as_app", refuse)
    with pytest.raises(HostError, match=r"could not be started: \$DATABASE_URL$"):
        run("migrate", Hook(str(site), release.name, ("true",), 0.5))
    with pytest.raises(HostError, match=r"could not be started: \$DATABASE_URL$"):
        build({**fields, "path": f"{fields['path']}x"})


def test_an_answer_is_cut_when_its_secrets_are_hidden(tmp_path: Path) -> None:
    answer = {"ok": False, "kind": "", "message": "x" * (proving.SAID - 8) + URL, "hint": "", "detail": ""}
    masked = proving._answer(json.dumps(answer), masking(tmp_path, **ENVIRONMENT))
    assert masked is not None and masked["message"].endswith("x$DATABAS")


def test_an_instance_whose_answer_and_log_quote_them(root: Path) -> None:  # noqa: F811
    write(root, data(root, secrets=["DATABASE_URL", "KEY"]))
    (root / "releases" / ID / "environment.json").write_text(json.dumps(ENVIRONMENT))
    error = NotHealthy(Fault(f"the answer begins {URL!r}", f"not {URL}?"))
    error.log = ["it said:", *KEY.splitlines(), "", "the end"]
    failure = instances.failure(read_manifest(str(root), ID), error)
    assert failure.log[0] == "it said:" and failure.log[-1] == "the end"
    assert "wörd" not in str(failure) and "MIIB" not in str(failure) and failure.reason.endswith("'$DATABASE_URL'")
