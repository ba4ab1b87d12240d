"""HTTPS in the model: what is refused, what a site's certificate is, where nginx listens, and what it serves there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    artefacts,
    https,
    layout,
    resolve,
    settings,
    sites,
    validation,
)
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, Host, ModelError, Port

from tests.render.conftest import template

ENTRY: dict[str, Any] = {"module": "a:b", "source": {"path": "/x"}, "domains": ["shop.test"]}
ACME = {"tls": "acme"}


def variables(shop: dict[str, Any], more: dict[str, Any] | None = None, **host: Any) -> dict[str, Any]:
    """An inventory with the app shop, and perhaps another one beside it."""
    others = {"blog": {**ENTRY, **more}} if more is not None else {}
    return {"apps": {"shop": {**ENTRY, **shop}, **others}, **host}


def by_dns(plugin: str, **credentials: str) -> dict[str, Any]:
    """The shop with a certificate by DNS."""
    return variables({"tls": {"acme": {"dns": plugin, "credentials": credentials}}})


UPDATE = {"rfc2136_server": "192.0.2.53", "rfc2136_name": "shop.", "rfc2136_secret": "c2VjcmV0"}


def resolved(values: dict[str, Any], host: Host | None = None) -> list[App]:
    assert validation.validate(values) == []
    return resolve.resolve_all(values, host or Host.assumed())


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt way": (
        variables({"tls": "amce"}),
        "apps.shop.tls is 'amce'; must be none, self_signed, acme, {certificate: …, key: …} or {acme: {dns: …}}",
    ),
    "no way at all": (variables({"tls": {}}), "apps.shop.tls must be none, self_signed, acme, {certificate: …"),
    "two ways": (variables({"tls": {"acme": {"dns": "rfc2136"}, "key": "x"}}), "apps.shop.tls must be none, self_signed"),
    "a number": (variables({"tls": 3}), "apps.shop.tls must be text or a mapping, not a whole number (3)"),
    "an unknown key": (variables({"tls": {"cert": "x", "key": "y"}}), "apps.shop.tls.cert is not a key"),
    "a certificate alone": (variables({"tls": {"certificate": "x"}}), "apps.shop.tls names a `certificate` without its `key`"),
    "a key alone": (variables({"tls": {"key": "x"}}), "apps.shop.tls names a `key` without its `certificate`"),
    "acme by dns without a plugin": (variables({"tls": {"acme": {}}}), "apps.shop.tls.acme.dns is missing; for example dns: 'rfc2136'"),
    "a plugin with its prefix": (
        variables({"tls": {"acme": {"dns": "certbot-dns-route53"}}}),
        "apps.shop.tls.acme.dns is 'certbot-dns-route53'; must be without the prefix; write route53",
    ),
    "credentials of several lines": (
        variables({"tls": {"acme": {"dns": "rfc2136", "credentials": {"rfc2136_name": "a\nb"}}}}),
        "apps.shop.tls.acme.credentials has a rfc2136_name of several lines; it must be one",
    ),
    "a wait that is no number": (
        variables({"tls": {"acme": {"dns": "rfc2136", "credentials": {"propagation_seconds": "soon"}}}}),
        "apps.shop.tls.acme.credentials has a propagation_seconds that is no number of seconds",
    ),
    "a setting with certbot's prefix": (
        by_dns("digitalocean", dns_digitalocean_token="x"),
        "apps.shop.tls.acme.credentials has dns_digitalocean_token, whose prefix the kit adds; write digitalocean_token",
    ),
    "a mistyped setting": (
        by_dns("cloudflare", cloudflare_api_tokn="x"),
        "has cloudflare_api_tokn, which the plugin cloudflare does not know; write cloudflare_api_token",
    ),
    "another plugin's setting": (
        by_dns("rfc2136", ovh_consumer_key="x"),
        "has ovh_consumer_key, which the plugin rfc2136 does not know; write rfc2136_server, rfc2136_name,",
    ),
    "half of a pair of settings": (
        by_dns("cloudflare", cloudflare_email="a@b.test"),
        "lacks cloudflare_api_key; the plugin cloudflare needs cloudflare_api_token, or cloudflare_email and cloudflare_api_key",
    ),
    "no credentials": (by_dns("linode"), "lacks linode_key; the plugin linode needs linode_key"),
    "an empty setting": (by_dns("linode", linode_key=""), "has an empty linode_key; write its value"),
    "half of an account of AWS": (by_dns("route53", aws_access_key_id="x"), "lacks aws_secret_access_key; the plugin route53"),
    "a key of Google without its type": (by_dns("google", client_email="x"), "lacks type; the plugin google needs type"),
    "half of a key of Google": (
        by_dns("google", type="service_account", client_email="x", token_uri="x"),
        "lacks private_key; the plugin google needs private_key and client_email and token_uri",
    ),
    "a name server by name": (by_dns("rfc2136", **{**UPDATE, "rfc2136_server": "ns.test"}), "has an rfc2136_server that is no address"),
    "an unknown algorithm": (by_dns("rfc2136", **UPDATE, rfc2136_algorithm="SHA256"), "write one of HMAC-MD5, HMAC-SHA1"),
    "a key that is no base64": (by_dns("rfc2136", **{**UPDATE, "rfc2136_secret": "a-b"}), "has an rfc2136_secret that is no base64"),
    "a key of an account that is no base64url": (
        variables(ACME, acme_eab={"kid": "a", "hmac_key": "a+b/"}),
        "acme_eab.hmac_key must be base64url text as the authority gave it: letters, digits, - and _",
    ),
    "a key of an account that lacks a letter": (
        variables(ACME, acme_eab={"kid": "a", "hmac_key": "abcde"}),
        "acme_eab.hmac_key must be base64url text",
    ),
    "no e-mail address": (variables(ACME, acme_email="ops"), "acme_email is 'ops'; must be one e-mail address"),
    "a directory without https": (
        variables(ACME, acme_directory="http://acme.test/dir"),
        "acme_directory is 'http://acme.test/dir'; must be the https address of a directory",
    ),
    "another algorithm": (
        variables(ACME, acme_eab={"kid": "a", "hmac_key": "c2VjcmV0", "algorithm": "HS512"}),
        "acme_eab.algorithm must be HS256, the standard; leave it out",
    ),
    "another name of the algorithm": (
        variables(ACME, acme_eab={"kid": "a", "hmac_key": "c2VjcmV0", "alg": "HS256"}),
        "acme_eab.alg is not a key; did you mean algorithm?",
    ),
    "another name of the key": (
        variables(ACME, acme_eab={"kid": "a", "hmac": "c2VjcmV0"}),
        "acme_eab.hmac is not a key; did you mean hmac_key?",
    ),
    "half of an external account binding": (variables(ACME, acme_eab={"kid": "a"}), "acme_eab.hmac_key is missing"),
    "a profile of two words": (variables(ACME, acme_profile="a b"), "acme_profile is 'a b'; must be one word"),
    "a plugin that is none": (
        variables({"tls": {"acme": {"dns": "x; reboot"}}}),
        "apps.shop.tls.acme.dns is 'x; reboot'; must be a DNS plugin of certbot itself: cloudflare",
    ),
    "acme without a domain": (
        variables({**ACME, "domains": []}),
        "apps.shop.tls is acme, and the app has no `domains` that an authority could prove; write them, or use self_signed",
    ),
    "acme for an address": (
        variables({**ACME, "domains": ["192.0.2.7"]}),
        "apps.shop.domains has the address 192.0.2.7, and `tls: acme` is for names",
    ),
    "a wildcard without dns": (
        variables({**ACME, "domains": ["*.Shop.test"]}),
        "apps.shop.tls is acme, and an authority proves the wildcard *.shop.test only by DNS; write tls: {acme: {dns:",
    ),
    "an unknown stage": (
        variables({**ACME, "hsts": "2 years"}),
        "apps.shop.hsts is '2 years'; must be one of off, 5 minutes, 1 day, 1 week, 1 month, 1 year",
    ),
    "hsts for true": (variables({**ACME, "hsts": True}), "apps.shop.hsts is true; must be one of off, 5 minutes"),
    "hsts without tls": (
        variables({"hsts": "1 year"}),
        "apps.shop.hsts is 1 year, and the app has no `tls`: browsers ignore it over plain http; write `tls`, or leave it out",
    ),
    "hsts of an app that says none": (variables({"tls": "none", "hsts": "1 day"}), "apps.shop.hsts is 1 day, and the app has no"),
    "a primary that is no domain": (
        variables({"primary": "www.shop.test"}),
        "apps.shop.primary is www.shop.test, which is none of the app's `domains` (shop.test); write one of them",
    ),
    "a primary without domains": (variables({"primary": "shop.test", "domains": []}), "of the app's `domains` (none); write"),
    "a primary wildcard": (
        variables({"primary": "*.shop.test", "domains": ["*.shop.test"]}),
        "apps.shop.primary is *.shop.test, and no client can be sent to a wildcard",
    ),
    "health by a domain that leads away": (
        variables({"domains": ["a.test", "b.test"], "primary": "a.test", "health": {"host": "b.test"}}),
        "apps.shop.health.host is b.test, which only leads to the primary domain a.test",
    ),
    "one site, two certificates": (
        variables(ACME, {"mount": "/blog"}),
        "apps.blog.tls differs from that of apps.shop, and both serve shop.test, which has one; write the same `tls` in both",
    ),
    "one site, two stages": (
        variables({**ACME, "hsts": "1 day"}, {**ACME, "mount": "/blog"}),
        "apps.blog.hsts differs from that of apps.shop, and both serve shop.test",
    ),
    "one site, two primaries": (
        variables(
            {"domains": ["a.test", "b.test"], "primary": "a.test"},
            {"domains": ["b.test", "c.test"], "mount": "/blog"},
        ),
        "apps.blog.primary differs from that of apps.shop, and both serve b.test",
    ),
    "one port for both": (
        variables(ACME, nginx_https_port=80),
        "nginx_https_port is 80, on which nginx listens for plain http (`nginx_http_port`); write another port",
    ),
    "one port for both, the other way round": (
        variables(ACME, nginx_http_port=443), "nginx_https_port is 443, on which nginx listens for plain http"
    ),
    "an unknown policy": (variables({}, tls_policy="old"), "tls_policy is 'old'"),
    "a policy that is nearly ours": (variables({}, tls_polcy="modern"), "tls_polcy is not a variable of Slipway; did you mean tls_policy?"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_says_what_where_and_what_instead(name: str) -> None:
    values, words = BAD[name]
    faults = [str(fault) for fault in validation.validate(values)]
    assert len(faults) == 1, faults
    assert words in faults[0]


@pytest.mark.parametrize("shown", [True, 7, ["hunter2"], {"a": ["hunter2"]}, "hunter2"])
def test_no_fault_shows_a_credential(shown: Any) -> None:
    for credentials in (shown, {"rfc2136_secret": shown}):
        values = variables({"tls": {"acme": {"dns": "rfc2136", "credentials": credentials}}})
        text = "".join(str(fault) for fault in validation.validate(values))
        assert "hunter2" not in text
        assert "7" not in text.replace("2136", "")
    for eab in (shown, {"kid": shown, "hmac_key": shown}, {"kid": f"{shown} ", "hmac_key": f"{shown}+"}):
        faults = validation.validate(variables(ACME, acme_eab=eab))
        assert eab == {"kid": "hunter2", "hmac_key": "hunter2"} or faults
        assert "hunter2" not in "".join(str(fault) for fault in faults)


@pytest.mark.parametrize(
    "values",
    [
        variables({"tls": "self_signed", "domains": []}),
        variables({"tls": "self_signed", "domains": ["192.0.2.7"]}),
        variables({"tls": {"certificate": "a.pem", "key": "a.key"}, "domains": ["*.shop.test"], "hsts": False}),
        variables(
            {"tls": {"acme": {"dns": "route53"}}, "domains": ["*.shop.test", "shop.test"], "primary": "Shop.test"}
        ),
        variables({"primary": "shop.test", "domains": ["www.shop.test", "shop.test"]}),
        variables({}, nginx_http_port=443),  # as before there was any https
        variables(ACME, {"tls": "none", "domains": ["blog.test"]}),
        variables(ACME, {"state": "absent", "domains": ["shop.test"]}),
        variables({**ACME, "hsts": "5 minutes"}, {**ACME, "mount": "/blog"}),
    ],
)
def test_what_makes_sense_is_accepted(values: dict[str, Any]) -> None:
    resolved(values)


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [("off", 0), (False, 0), ("5 minutes", 300), ("1 day", 86400), ("1 week", 604800), ("1 year", 31536000)],
)
def test_hsts_has_stages(stage: Any, seconds: int) -> None:
    (app,) = resolved(variables({**ACME, "hsts": stage}))
    assert app.tls is not None
    assert app.tls.hsts == seconds
    (app,) = resolved(variables(ACME))
    assert app.tls == https.Tls("acme", hsts=300)


def test_an_app_without_the_keys_is_as_before() -> None:
    """Its release's id is a hash of what these make: the health rule, and where nginx serves it."""
    (app,) = resolved(variables({}))
    assert (app.tls, app.https_listeners, app.primary) == (None, (), None)
    assert app.health.scheme == "http"
    assert app.front.url("shop.test", "/") == "http://shop.test/"


def test_health_follows_https_and_the_primary_domain() -> None:
    (app,) = resolved(variables({**ACME, "domains": ["www.shop.test", "shop.test"], "primary": "shop.test"}))
    assert (app.health.scheme, app.health.host) == ("https", "shop.test")
    (app,) = resolved(variables({**ACME, "health": {"scheme": "http"}}))
    assert app.health.scheme == "http"
    assert app.front.url("shop.test", "/x") == "https://shop.test/x"
    (app,) = resolved(variables(ACME, nginx_https_port=8443))
    assert app.front.url("shop.test", "/x") == "https://shop.test:8443/x"


def test_one_certificate_is_for_all_domains_of_the_same_apps() -> None:
    tls = {"tls": {"certificate": "a.pem", "key": "a.key"}}
    apps = resolved(
        variables(
            {**tls, "domains": ["a.test", "b.test"]}, {**tls, "mount": "/blog", "domains": ["b.test", "*.c.test"]}
        )
    )
    made = {one.site: one for one in sites.certificates(apps)}
    assert {name: one.domains for name, one in made.items()} == {
        "a.test": ("a.test",),
        "b.test": ("b.test",),
        "_.c.test": ("*.c.test",),
    }
    assert (made["b.test"].source, made["b.test"].chain, made["b.test"].key) == ("provided", "a.pem", "a.key")
    assert made["b.test"].app == "shop"
    assert made["_.c.test"].folder == "/etc/slipway/tls/_.c.test"
    (nameless,) = sites.certificates(resolved(variables({"tls": "self_signed", "domains": []})))
    assert (nameless.site, nameless.domains) == ("default", ())
    assert sites.certificates(resolved(variables({}))) == []
    assert sites.certificates(resolved(variables({**ACME, "state": "absent"}))) == []


def test_an_app_that_is_held_back_changes_no_certificate() -> None:
    """Which domains share one is known before an app turns out to be held back, and stays so."""
    apps = resolved(
        variables({**ACME, "domains": ["a.test", "b.test"]}, {**ACME, "mount": "/blog", "domains": ["b.test"]})
    )
    whole = {site.name: site.domains for site in sites.sites(apps)}
    assert {site.name: site.domains for site in sites.sites(apps, held=["blog"])} == whole
    assert [site.name for site in sites.sites(apps, held=["shop"])] == ["b.test"]
    assert all([app.name for app in site.apps] == ["shop"] for site in sites.sites(apps, held=["blog"]))


def placed(
    values: dict[str, Any], host: Host | None = None, on_host: Any = None, held: Any = ()
) -> dict[str, dict[str, Any]]:
    """nginx's files, by destination."""
    host = host or Host.assumed()
    host_settings = settings.settings(values, host)
    return {
        one["dest"]: one
        for one in artefacts.nginx_sites(host_settings, host, resolved(values, host), on_host or {}, held)
    }


REFUSE = artefacts.NGINX_REFUSE
PLAIN, REDIRECT = (f"/etc/nginx/slipway/sites/shop.test.{kind}.conf" for kind in ("plain", "redirect"))


def refused(values: dict[str, Any], host: Host | None = None) -> list[int]:
    """The ports on which names of no app are refused, over IPv4."""
    entry = placed(values, host)[REFUSE]
    return [one["port"] for one in entry["vars"]["listeners"] if not one["address"]] if "vars" in entry else []


def test_names_of_no_app_are_refused_on_each_port_that_has_no_default_site() -> None:
    default = {"domains": [], "tls": "self_signed"}
    assert refused(variables({})) == [80]
    assert refused(variables(ACME)) == [80, 443]
    assert refused(variables({"domains": []}, ACME)) == [443]
    assert refused(variables(default, ACME)) == []
    assert refused(variables(ACME), Host.assumed(ports={443: Port(default_server="/x")})) == [80]
    assert refused(variables(ACME, nginx_http_port=8080, nginx_https_port=8443)) == [8080, 8443]


def test_the_files_of_plain_http_are_there_with_https_alone() -> None:
    files = placed(variables(ACME))
    assert files["/etc/nginx/slipway/sites"]["state"] == "directory"
    assert {files[PLAIN]["src"], files[REDIRECT]["src"]} == {"nginx/plain.conf.j2", "nginx/redirect.conf.j2"}
    files = placed(variables({}))
    assert "/etc/nginx/slipway/sites" not in files
    assert files[PLAIN]["state"] == files[REDIRECT]["state"] == "absent"
    files = placed(
        variables({"domains": ["new.test"]}), on_host={"/etc/nginx/conf.d/slipway-site-shop.test.conf": ["shop"]}
    )
    assert files[PLAIN]["state"] == files[REDIRECT]["state"] == "absent"


@pytest.mark.parametrize(
    ("version", "directive"), [((), False), ((1, 25, 0), False), ((1, 25, 1), True), ((1, 26, 3), True)]
)
def test_http_2_is_written_as_this_nginx_reads_it(version: tuple[int, ...], directive: bool) -> None:
    files = placed(variables(ACME), Host.assumed(nginx_version=version))
    assert files["/etc/nginx/conf.d/slipway-site-shop.test.conf"]["vars"]["tls"]["http2_on"] is directive


@pytest.mark.parametrize(
    ("version", "keeps", "by_default"),
    [
        ((), False, False),
        ((1, 18, 0), False, False),
        ((1, 22, 1), True, False),
        ((1, 26, 3), True, False),
        ((1, 30, 0), True, True),
    ],
)
def test_connections_are_kept_where_this_nginx_limits_their_age(
    version: tuple[int, ...], keeps: bool, by_default: bool
) -> None:
    files = placed(variables({}), Host.assumed(nginx_version=version))
    for path in ("/etc/nginx/conf.d/slipway-app-shop.conf", "/etc/nginx/slipway/shop.conf"):
        text = template(files[path]["src"], path, files[path]["vars"])
        assert ("slipway_shop_kept" in text) is keeps
        assert ("proxy_pass http://$slipway_upstream;" in text) is (keeps and path.endswith("/shop.conf"))
        assert ("    keepalive 0;\n" in text) is (by_default and path.endswith("app-shop.conf"))


@pytest.mark.parametrize(
    ("shop", "looks"),
    [
        ({"interface": "wsgi"}, False),
        ({"worker_class": "gevent"}, False),
        ({"worker_class": "asgi", "interface": "asgi"}, False),
        ({"interface": "asgi"}, True),
        ({"worker_class": "uvicorn"}, True),
    ],
)
def test_nginx_looks_whether_it_may_keep_a_connection_only_where_it_ever_may(shop: dict[str, Any], looks: bool) -> None:
    files = placed(variables(shop))
    for path in ("/etc/nginx/conf.d/slipway-app-shop.conf", "/etc/nginx/slipway/shop.conf"):
        text = template(files[path]["src"], path, files[path]["vars"])
        assert ("slipway_shop_kept" in text) is looks


@pytest.mark.parametrize(
    ("openssl", "groups"),
    [
        ((3, 0, 19), "X25519:prime256v1:secp384r1"),
        ((), "X25519:prime256v1:secp384r1"),
        ((3, 5, 0), "X25519MLKEM768:X25519:prime256v1:secp384r1"),
    ],
)
def test_a_policy_has_only_groups_that_this_openssl_knows(openssl: tuple[int, ...], groups: str) -> None:
    files = placed(variables(ACME, tls_policy="modern"), Host.assumed(openssl=openssl))
    for name in (REFUSE, "/etc/nginx/conf.d/slipway-site-shop.test.conf"):
        tls = files[name]["vars"]["tls"]
        assert (tls["groups"], tls["protocols"], tls["ciphers"]) == (groups, "TLSv1.3", "")


def test_http_3_is_spoken_only_where_it_is_wanted_and_can_be() -> None:
    able = Host.assumed(nginx_http3=True)
    for wanted, host, expected in (
        (True, able, True),
        (False, able, False),
        (True, Host.assumed(), False),
        (True, Host.assumed(nginx_http3=True, ports={443: Port(default_server="/x")}), False),
    ):
        (app,) = resolved(variables(ACME, nginx_http3=wanted), host)
        assert {one.quic for one in app.https_listeners} == {expected}
        assert not any(one.quic for one in app.listeners)


def test_other_sites_of_a_port_keep_their_requests() -> None:
    taken = Host.assumed(ports={443: Port(default_server="/etc/nginx/conf.d/other.conf")})
    with pytest.raises(ModelError, match=r"apps\.shop names no domain.* on port 443 .*set nginx_https_port"):
        resolve.resolve_all(variables({"domains": [], "tls": "self_signed"}), taken)
    resolve.resolve_all(variables({"domains": []}), taken)
    nameless = Host.assumed(ports={443: Port(nameless_server="/etc/nginx/conf.d/other.conf")})
    with pytest.raises(ModelError, match=r"other\.conf on port 443 under every name.*or set nginx_https_port"):
        resolve.resolve_all(variables(ACME), nameless)
    resolve.resolve_all(variables({}), nameless)


def obstacle(values: dict[str, Any], **known: Any) -> str:
    host = Host.assumed(**known)
    return sites.obstacle(resolved(values, host), settings.settings(values, host), host)


def test_what_keeps_clients_away_is_named_before_anything_is_built() -> None:
    taken = {"ports": {443: Port(taken="haproxy (process 7)")}}
    assert "Port 443 of this host is held by haproxy (process 7)" in obstacle(variables(ACME), **taken)
    assert obstacle(variables({}), **taken) == ""
    assert "nginx.service of this host is masked" in obstacle(variables({}), nginx_masked=True)
    assert "firewall keeps port 443 closed" in obstacle(variables(ACME), firewall=(22, 80))
    assert obstacle(variables(ACME), firewall=(22, 80, 443)) == ""
    assert obstacle(variables({}), firewall=(22, 80)) == ""
    assert "apps.shop.tls needs nginx 1.19.4 or newer, and this host has 1.18.0" in obstacle(
        variables(ACME), nginx_version=(1, 18, 0)
    )
    assert obstacle(variables({}), nginx_version=(1, 18, 0)) == ""


DEFAULT = layout.site_file("default")


def test_a_site_of_another_inventorys_app_is_not_taken_over() -> None:
    nameless, named = resolved(variables({"domains": []})), resolved(variables({}))
    served = {"_": ["shop", "old"], "shop.test": ["old"]}
    assert "The app old on this host serves every client that names no other site" in sites.displaced(nameless, served)
    assert "The app old on this host serves the clients of shop.test" in sites.displaced(named, served)
    why = sites.displaced(named, served)
    assert "Give shop separate `domains`" in why and " of inventories/" not in why
    assert why.endswith("Only if shop replaces old, add `old: {state: absent}` to `apps`")
    theirs = sites.displaced(named, served, {"old": "production"})
    assert theirs.startswith("The app old of inventories/production on this host serves the clients of shop.test")
    # What is safe comes first.
    assert theirs.index("Give shop separate `domains`") < theirs.index("Only if shop replaces old, add `old: {state:")
    assert theirs.endswith(" and -e take_over=true to this run, which ends old")
    assert sites.displaced(named, {"_": ["old"], "shop.test": ["shop"]}) == ""
    second = resolved(variables({"domains": ["a.test", "shop.test"]}))
    assert "the clients of shop.test" in sites.displaced(second, served)
    leaving = variables({})
    leaving["apps"]["old"] = {"state": "absent"}
    assert sites.displaced(resolved(leaving), served) == ""


def test_the_default_site_of_another_inventorys_app_stays_the_only_one() -> None:
    assert "vars" in placed(variables({}), on_host={DEFAULT: ["shop"]})[REFUSE]
    assert placed(variables({}), on_host={DEFAULT: ["old"]})[REFUSE] == {"dest": REFUSE, "state": "absent"}
    assert DEFAULT not in placed(variables({}), on_host={DEFAULT: ["old"]})


def test_an_app_with_public_domains_and_without_https_is_worth_a_line() -> None:
    public = {"domains": ["shop.slipway.dev"]}
    (line,) = https.advice(variables(public, {"domains": ["blog.slipway.dev"]}))
    assert (
        line
        == "apps.shop, apps.blog serve public domains over plain http only; write `tls: acme`, or `tls: none` to keep it so"
    )
    assert len(https.advice(variables(public))) == 1
    for quiet in (
        variables({**public, "tls": "none"}),
        variables({**public, "tls": "self_signed"}),
        variables({**public, **ACME}),
        variables({**public, "state": "absent"}),
        variables(public, nginx_trusted_proxies=["192.0.2.1"]),
        variables({"domains": ["shop.test", "shop", "10.0.0.1", "shop.internal", "www.example.com"]}),
    ):
        assert https.advice(quiet) == []


@pytest.mark.parametrize("domain", ["shop", "shop.local", "shop.internal", "a.home.arpa", "www.example.com"])
def test_a_name_that_no_public_authority_signs_for_is_worth_a_line(domain: str) -> None:
    (line,) = https.advice(variables({**ACME, "domains": [domain]}))
    assert f"apps.shop.tls is acme, and no public authority signs for {domain}; set `acme_directory`" in line
    assert https.advice(variables({**ACME, "domains": [domain]}, acme_directory="https://ca.internal/dir")) == []


def test_an_algorithm_may_be_written() -> None:
    eab = {"kid": "a", "hmac_key": "c2VjcmV0", "algorithm": "HS256"}
    assert validation.validate(variables(ACME, acme_eab=eab)) == []


def test_an_app_gets_one_line_about_plain_http() -> None:
    public = {"domains": ["shop.slipway.dev"]}
    (line,) = https.advice(variables({**public, "basic_auth": {"ann": "hunter2"}}))
    assert line.startswith("apps.shop answers over plain http, so the passwords")
    in_vault = {"vault_apps": {"shop": {"basic_auth": {"ann": "hunter2"}}}}
    first, second = https.advice(variables(public, {"domains": ["blog.slipway.dev"]}, **in_vault))
    assert first.startswith("apps.blog serves public domains") and second.startswith("apps.shop answers over plain")


def test_passwords_in_clear_are_worth_a_line() -> None:
    users = {"domains": ["shop.test"], "basic_auth": {"ann": "hunter2"}}
    (line,) = https.advice(variables(users))
    assert line.startswith("apps.shop answers over plain http, so the passwords of `basic_auth` cross the network")
    assert "hunter2" not in line
    vault = {"vault_apps": {"blog": {"basic_auth": {"ann": "hunter2"}}}}
    (line,) = https.advice(variables({**users, "tls": "none"}, {"domains": ["blog.test"]}, **vault))
    assert line.startswith("apps.shop, apps.blog answer over plain http")
    for quiet in (
        variables({**users, "tls": "self_signed"}),
        variables({**users, "state": "absent"}),
        variables({**users, "basic_auth": {}}),
        variables(users, nginx_trusted_proxies=["192.0.2.1"]),
    ):
        assert https.advice(quiet) == []


def test_one_port_for_both_is_reported_beside_other_faults() -> None:
    faults = [str(fault) for fault in validation.validate(variables({**ACME, "workers": 0}, nginx_https_port=80))]
    assert len(faults) == 2, faults
    assert any(fault.startswith("nginx_https_port is 80") for fault in faults), faults
