"""What a server of an app logs about a request."""

from __future__ import annotations

import logging

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.programs.serving import records


@pytest.mark.parametrize(
    ("logger", "line", "words", "shown"),
    [
        ("gunicorn.error", "Error handling request %s", ("/x?token=hunter2",), "Error handling request /x"),
        (
            "gunicorn.error",
            "Error handling request %s %s",
            ("GET", "/x?token=hunter2"),
            "Error handling request GET /x",
        ),
        ("tornado.access", "%d %s %.2fms", (404, "GET /x?token=hunter2 (::1)", 1.0), "404 GET /x (::1) 1.00ms"),
        ("gunicorn.error", "is it %s", ("so?yes",), "is it so?yes"),
        ("shop", "Error handling request %s", ("/x?a",), "Error handling request /x?a"),
        ("gunicorn.error", "Error handling request %(path)s", ({"path": "/x?a"},), "Error handling request /x?a"),
    ],
)
def test_a_server_names_a_request_without_its_query(
    logger: str, line: str, words: tuple[object, ...], shown: str
) -> None:
    before = logging.getLogRecordFactory()
    records.name_requests()
    try:
        record = logging.getLogger(logger).makeRecord(logger, logging.ERROR, "", 1, line, words, None)
    finally:
        logging.setLogRecordFactory(before)
    assert record.getMessage() == shown
