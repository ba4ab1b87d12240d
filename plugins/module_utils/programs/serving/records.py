"""What is logged while a request is answered."""

from __future__ import annotations

import contextvars
import logging
import re
from typing import Any

current: contextvars.ContextVar[Request | None] = contextvars.ContextVar("slipway_request", default=None)
_ASKED = {"gunicorn.error": "Error handling request ", "tornado.access": "%d %s "}
"""How the lines begin in which a server names a request's target: by the logger."""
_QUERY = re.compile(r"\?\S*")
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Request:
    """What was logged of one request."""

    record: logging.LogRecord | None = None
    """The last one with an exception."""

    def __init__(self, request_id: str) -> None:
        self._id = request_id
        self.through_nginx = bool(request_id)
        """Whether nginx passed it on: it gives each request an id."""

    @property
    def id(self) -> str:
        """The request's id, as lines of the log have it."""
        return self._id if _ID.fullmatch(self._id) else "-"

    def answers(self, status: int, log: Any) -> None:
        """Put the exception that made an error of the server's into the log, unless the framework's own logging did."""
        if status >= 500 and self.record is not None and not _shown(self.record):
            log.error(self.record.getMessage(), exc_info=self.record.exc_info)
        self.record = None


def _shown(record: logging.LogRecord) -> bool:
    """Whether some handler writes the record where the instance's log is made: to one of its outputs, or to a file."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    handlers = 0
    while logger is not None:
        for handler in logger.handlers:
            handlers += 1
            written = isinstance(handler, logging.StreamHandler) and record.levelno >= handler.level
            if written and handler.filter(record):
                return True
        logger = logger.parent if logger.propagate else None
    return not handlers  # Python's handler of last resort writes it


def name_requests() -> None:
    """From now on, what is logged with an exception while a request is answered names the request.

    A server's lines name it without its query, which may hold secrets. Frameworks write the path alone, too.
    """
    make = logging.getLogRecordFactory()

    def named(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = make(*arguments, **keywords)
        begin = _ASKED.get(record.name)
        if begin and str(record.msg).startswith(begin) and isinstance(record.args, tuple):
            record.args = tuple(_QUERY.sub("", one) if isinstance(one, str) else one for one in record.args)
        request = current.get()
        if request is not None and record.exc_info and record.exc_info[0] is not None:
            if isinstance(record.msg, str):
                record.msg = f"{record.msg.rstrip()} [request {request.id}]"
            request.record = record
        return record

    logging.setLogRecordFactory(named)
