"""A typical Flask app: JSON, a rendered page, a slow request, an upload, an export, and static files by itself."""

from __future__ import annotations

import time

from flask import Flask, Response, jsonify, render_template, request

import catalogue

app = Flask(__name__)


@app.get("/api")
def api() -> Response:
    return jsonify(catalogue.offers())


@app.get("/page")
def page() -> str:
    return render_template("page.html", **catalogue.page())


@app.get("/slow")
def slow() -> Response:
    time.sleep(catalogue.SLEEP)
    return jsonify(slept=catalogue.SLEEP)


@app.post("/upload")
def upload() -> Response:
    return jsonify(received=len(request.get_data()))


@app.get("/export")
def export() -> Response:
    return Response(catalogue.EXPORT, mimetype="text/csv")
