"""Filters over a host's facts: the releases with which a run continues, and those that are held back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import holding


class FilterModule:
    """`slipway.kit.going`, `slipway.kit.stopped`, `slipway.kit.unswitched`."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name; each takes a host's facts, the last one those of all hosts and their names."""
        return {
            "going": holding.going,
            "stopped": holding.stopped,
            "unswitched": holding.unswitched,
        }
