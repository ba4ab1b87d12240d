"""Exchange rates from an outside service, asked so that its bad days are not ours.

Four fences, from the inside out: a time limit on each call; a second try, since most failures are gone a moment later;
a circuit breaker, which stops asking a service that keeps failing; and one asker at a time, so that a slow service can
hold up one thread of a worker and never all of them. Behind them stands the last good answer.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

log = logging.getLogger(__name__)

CURRENCIES = ("USD", "GBP", "CHF")  # the shop's own is EUR

# Seconds. The worst visit costs about ATTEMPTS * (CONNECT + READ), and there are LIMIT of them before the breaker opens.
# requests counts READ between two pieces of the answer, and looking up the service's name is not counted at all.
CONNECT, READ = 0.5, 1.0
ATTEMPTS = 2
LIMIT = 2  # visits that failed in a row
PAUSE = 30.0
FRESH = 600.0  # rates are asked for again after this long
STALE = 86400.0  # and are better than nothing for this long


class Breaker:
    """Remembers how a service has been doing, and says whether to ask it.

    Closed: ask. Open, after `limit` failures in a row: do not ask for `pause` seconds. Then one more failure opens it
    again, and a success closes it. Each worker process has its own and learns by itself. One thread at a time may report.
    """

    def __init__(self, limit: int, pause: float, clock: Callable[[], float]) -> None:
        self._limit, self._pause, self._clock = limit, pause, clock
        self._failures = 0
        self._open_until = -math.inf

    def is_open(self) -> bool:
        """Return True while the service should be left alone."""
        return self._clock() < self._open_until

    def succeeded(self) -> None:
        """Note a good answer."""
        self._failures = 0

    def failed(self) -> None:
        """Note a failure."""
        self._failures += 1
        if self._failures >= self._limit:
            self._open_until = self._clock() + self._pause


@dataclass(frozen=True)
class Quote:
    """What one euro is worth, by currency, and when that was learnt (on the clock of `Rates`)."""

    rates: dict[str, float]
    learnt: float


class Rates:
    """The exchange rates, or None while they cannot be had. Safe to ask from several threads.

    `url` answers with JSON like ``{"rates": {"USD": 1.08, …}}``; empty switches the feature off. Raises ValueError for
    any other address than http and https.
    """

    def __init__(self, url: str, *, pause: float = PAUSE, clock: Callable[[], float] = time.monotonic) -> None:
        if url and urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("SHOP_RATES_URL must begin with http:// or https://, or be left out.")
        self._url, self._clock = url, clock
        self._quote: Quote | None = None
        self._asking = threading.Lock()
        self.breaker = Breaker(LIMIT, pause, clock)

    @property
    def state(self) -> str:
        """One word or two for people: how the service is doing, as far as this worker knows."""
        if not self._url:
            return "not set up"
        if self.breaker.is_open():
            return "left alone after failures"
        return "known" if self._quote else "not asked yet"

    def current(self) -> dict[str, float] | None:
        """Return what one euro is worth; from memory at once, unless the rates are old and the service seems well."""
        wanted = self._url and not self._is_younger_than(FRESH) and not self.breaker.is_open()
        # Not `with self._asking`: whoever finds somebody asking already goes on without waiting.
        if wanted and self._asking.acquire(blocking=False):
            try:
                self._ask()
            finally:
                self._asking.release()
        quote = self._quote
        return quote.rates if quote and self._is_younger_than(STALE) else None

    def _is_younger_than(self, seconds: float) -> bool:
        quote = self._quote
        return quote is not None and self._clock() - quote.learnt < seconds

    def _ask(self) -> None:
        # The breaker stands around the retries: a visit counts once, however often it tried.
        retry = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(
                multiplier=0.1, max=0.3
            ),  # random, or all clients come back at the same moment
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        try:
            rates = retry(self._fetch)
        except Exception as error:  # whatever a stranger sends: the visitor came for a page, not for this
            self.breaker.failed()
            # The kind alone: the message would hold the address, and such addresses often hold a key.
            log.warning("No exchange rates: %s", type(error).__name__)
        else:
            self._quote = Quote(rates, self._clock())
            self.breaker.succeeded()

    def _fetch(self) -> dict[str, float]:
        # No redirects: each would have its own time limit, and an address that has moved is a setting to mend.
        response = requests.get(
            self._url, timeout=(CONNECT, READ), headers={"Accept": "application/json"}, allow_redirects=False
        )
        response.raise_for_status()
        offered = response.json()["rates"]
        rates = {currency: float(offered[currency]) for currency in CURRENCIES if currency in offered}
        if not rates or not all(math.isfinite(rate) and rate > 0 for rate in rates.values()):
            raise ValueError("not exchange rates")
        return rates


def _may_pass(error: BaseException) -> bool:
    """Say whether trying again makes sense: yes for a dropped line or a 5xx, no for a wrong address or a wrong answer."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code >= 500
    return isinstance(error, (requests.ConnectionError, requests.Timeout))
