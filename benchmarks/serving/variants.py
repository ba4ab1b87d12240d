"""Other settings than the kit's: what was tried for the defaults, each one beside the default itself."""

from __future__ import annotations

from dataclasses import dataclass

SYNC = """
worker_class, threads = "sync", 1  # gunicorn's own, without what the kit adds
"""


@dataclass(frozen=True)
class Variant:
    """One line of the tuning table: the kit's own files with something else in them."""

    group: str
    name: str
    gunicorn: str = ""
    """Added to the end of gunicorn's configuration."""
    nginx: tuple[tuple[str, str], ...] = ()
    """Texts of the site's files, and their replacements."""
    upstream: str = ""
    """Added to the upstream."""
    tcp: bool = False
    """Whether gunicorn listens on a loopback port."""
    app: str = "flask"
    tests: tuple[str, ...] = ("json",)

    @property
    def key(self) -> str:
        """Its name among the samples."""
        return f"{self.group}: {self.name}"

    @property
    def own_process(self) -> bool:
        """Whether another gunicorn has to run for it."""
        return bool(self.gunicorn or self.tcp)


BUFFERS, HEAD = "proxy_buffers 8 ", "proxy_buffer_size "
WHOLE = "recursive_error_pages on;"
"""In the location of everything but websockets and event streams."""
CACHE, VALID = "open_file_cache max=256 inactive=10s;", "open_file_cache_valid 1s;"
LOG = "access.log slipway;"
KEPT = "worker_class, keepalive, worker_connections = 'gthread', 75, 1000"
BOTH = ("json", "page")
THREADS = ("json", "slow 12")
ALL = ("json", "page", "slow 12")
FILES = ("static", "static gzip")

VARIANTS = (
    Variant("control", "the default a second time, its socket not through `current`", tests=(*ALL, "gzip", *FILES, "upload")),
    Variant("worker class", "sync, 2 workers", SYNC, tests=ALL),
    Variant("worker class", "sync, 5 workers (2 x cores + 1)", SYNC + "workers = 5", tests=ALL),
    Variant("threads", "4", "threads = 4", tests=THREADS),
    Variant("threads", "6", "threads = 6", tests=THREADS),
    Variant("threads", "16", "threads = 16", tests=ALL),
    Variant("workers", "3", "workers = 3", tests=THREADS),
    Variant("workers", "4", "workers = 4", tests=ALL),
    Variant("workers", "5", "workers = 5", tests=THREADS),
    Variant("accepting", "gthread, up to 1000 connections a worker", "worker_class, worker_connections = 'gthread', 1000", tests=ALL),
    Variant("socket", "TCP on loopback", tcp=True, tests=BOTH),
    Variant("keep-alive to the app", "75 s by gunicorn, until nginx closes", KEPT, tests=BOTH),
    Variant("keep-alive to the app", "16 connections kept by both", KEPT, upstream="    keepalive 16;\n", tests=BOTH),
    Variant("backlog", "64", "backlog = 64"),
    Variant("backlog", "2048, gunicorn's own", "backlog = 2048"),
    Variant("worker_tmp_dir", "/var/tmp, on the disk", 'worker_tmp_dir = "/var/tmp"'),
    Variant("watchdog", "gunicorn's own gthread, without what the kit adds", 'worker_class = "gthread"'),
    Variant("proxy buffers", "8 x 4k, nginx's own default", nginx=((BUFFERS, BUFFERS + "4k; # "), (HEAD, HEAD + "4k; # ")), tests=BOTH),
    Variant("proxy buffers", "8 x 16k", nginx=((BUFFERS, BUFFERS + "16k; # "),), tests=BOTH),
    Variant("proxy buffers", "none: `proxy_buffering off`", nginx=((WHOLE, WHOLE + " proxy_buffering off;"),), tests=BOTH),
    Variant("access log", "buffered by nginx, 64k or 1 s", nginx=((LOG, "access.log slipway buffer=64k flush=1s;"),)),
    Variant("access log", "none", nginx=((LOG, "access.log slipway if=$slipway_never;"),)),
    Variant("access log", "a second one, by gunicorn", 'accesslog = "/var/tmp/bench-access.log"'),
    Variant("gzip", "level 1", nginx=((WHOLE, WHOLE + " gzip_comp_level 1;"),), tests=("gzip",)),
    Variant("gzip", "level 3", nginx=((WHOLE, WHOLE + " gzip_comp_level 3;"),), tests=("gzip",)),
    Variant("gzip", "level 6", nginx=((WHOLE, WHOLE + " gzip_comp_level 6;"),), tests=("gzip",)),
    Variant("gzip", "off", nginx=((WHOLE, WHOLE + " gzip off;"),), tests=("gzip",)),
    Variant("uploads", "16 kB in memory, nginx's own", nginx=(("client_body_buffer_size 64k;", ""),), tests=("upload",)),
    Variant("static files", "no `open_file_cache`", nginx=((CACHE, "open_file_cache off;"),), tests=FILES),
    Variant("static files", "files looked up at each request", nginx=((VALID, "open_file_cache_valid 0s;"),), tests=FILES),
    Variant("static files", "no `gzip_static`", nginx=(("gzip_static on;", ""),), tests=FILES),
    Variant("static files", "no `sendfile`", nginx=((CACHE, CACHE + " sendfile off;"),), tests=FILES),
    Variant("static files", "with `tcp_nopush`", nginx=((CACHE, CACHE + " tcp_nopush on;"),), tests=FILES),
    Variant("control", "the default a second time, its socket not through `current`", tests=BOTH, app="fastapi"),
    Variant("worker class", "uvicorn's own, without what the kit adds", 'worker_class = "uvicorn_worker.UvicornWorker"', tests=BOTH, app="fastapi"),
    Variant("worker class", "gunicorn's own `asgi`", 'worker_class = "asgi"', tests=BOTH, app="fastapi"),
    Variant("workers", "3", "workers = 3", app="fastapi"),
    Variant("workers", "4", "workers = 4", app="fastapi"),
    Variant("socket", "TCP on loopback", tcp=True, app="fastapi"),
    Variant("keep-alive to the app", "a connection for each request", nginx=(("if (-x ", "if (-d "),), tests=BOTH, app="fastapi"),
)  # fmt: skip
