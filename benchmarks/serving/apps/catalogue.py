"""What the three apps show: the same data and the same work in each, so that they differ by framework alone."""

from __future__ import annotations

import random

WORDS = (
    "anchor",
    "beam",
    "canvas",
    "deck",
    "eye",
    "fender",
    "galley",
    "hatch",
    "iron",
    "jib",
    "keel",
    "line",
    "mast",
    "net",
    "oar",
    "port",
    "quay",
    "rope",
    "sail",
    "tide",
)
_random = random.Random(1)  # the same products in every process and every run
PRODUCTS = [
    {
        "id": number,
        "name": f"{_random.choice(WORDS)} & {_random.choice(WORDS)} <{number}>",
        "price": 300 + number * 37 % 9000,
        "stock": number * 7 % 50,
        "text": " ".join(_random.choices(WORDS, k=12)),
    }
    for number in range(400)
]
SLEEP = 2.0
"""Seconds that the slow request waits, as for another service or a long query."""
EXPORT = b"".join(b"%d;a line of a long export;%d\n" % (line, line * line) for line in range(50_000))
"""About 2 MB: what a visitor with a slow line reads for a while."""


def offers() -> dict[str, object]:
    """A page of an API: filtered, priced and sorted, about a tenth of a millisecond of work and 2 kB of JSON."""
    there = [product for product in PRODUCTS if product["stock"] and product["price"] < 6000]
    there.sort(key=lambda product: (product["price"], product["name"]))
    return {
        "count": len(there),
        "offers": [
            {"id": one["id"], "name": one["name"], "price": one["price"], "gross": round(one["price"] * 1.19, 2)}
            for one in there[:24]
        ],
    }


def page() -> dict[str, object]:
    """What the template needs: 60 products, about 14 kB of HTML."""
    return {"title": "The catalogue", "products": PRODUCTS[:60]}
