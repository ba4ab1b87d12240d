"""Show what the hosts answered about their apps, as a table, as JSON or as a page. Works on the controller alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.slipway.kit.plugins.module_utils import (
    alone,
    display,
    drift_report,
    next_commands,
    overview,
    status_page,
)
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables


class ActionModule(alone.AloneAction):
    """Fails when something is not well. The message is the report either way."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result, arguments = self.begin(
            tmp,
            task_vars,
            {
                "about": {"type": "str", "choices": ["status", "drift"], "default": "status"},
                "states": {"type": "dict", "required": True},
                "format": {"type": "str", "choices": ["table", "json"], "default": "table"},
                "report": {"type": "str", "choices": ["", "html"], "default": ""},
                "page": {"type": "path", "default": ""},
            },
        )
        states, now = arguments["states"], time.time()
        if arguments["about"] == "drift":
            problems = self._typed(drift_report.problems(states), states)
            rows = [{"host": host, **one} for host, state in states.items() for one in drift_report.deviations(state)]
            data: Any = {"well": not problems, "drift": rows, "silent": [one.host for one in overview.missing(states)]}
            shown = drift_report.text(problems, len(states))
        else:
            seen = overview.overview(states, now)
            seen = replace(seen, problems=self._typed(seen.problems, states))
            problems, data, shown = seen.problems, seen.plain(), overview.text(seen, now)
            if arguments["report"]:
                page = arguments["page"] or run_variables.REPORT_FILE
                self._write(page, status_page.page(seen, now))
                shown += f"\nThe report is in {page}."
        result.update(
            changed=False,
            failed=bool(problems),
            msg=json.dumps(data) if arguments["format"] == "json" else shown,
            **display.as_("only"),
        )
        return result

    @staticmethod
    def _typed(problems: Iterable[overview.Problem], states: Mapping[str, Mapping[str, Any]]) -> list[overview.Problem]:
        """The problems with commands as they are to be typed here."""
        return overview.within(overview.reached(problems, states), next_commands.inventories())

    def _write(self, path: str, text: str) -> None:
        """Write the page. Raises AnsibleActionFail."""
        if self._task.check_mode:
            return
        try:
            with open(path, "w", encoding="utf-8") as out:
                out.write(text)
        except OSError as exc:
            raise AnsibleActionFail(f"the report cannot be written to {os.path.abspath(path)}: {exc.strerror}") from exc
