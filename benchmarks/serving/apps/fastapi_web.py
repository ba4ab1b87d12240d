"""A typical FastAPI app: JSON, a rendered page, a slow request, an upload, an export, and static files by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

import catalogue

app = FastAPI()
app.mount("/static", StaticFiles(directory="static"))
templates = Jinja2Templates(directory="templates")


@app.get("/api")
async def api() -> dict[str, Any]:
    return catalogue.offers()


@app.get("/page")
async def page(request: Request) -> Response:
    return templates.TemplateResponse(request, "page.html", catalogue.page())


@app.get("/slow")
async def slow() -> dict[str, float]:
    await asyncio.sleep(catalogue.SLEEP)
    return {"slept": catalogue.SLEEP}


@app.post("/upload")
async def upload(request: Request) -> dict[str, int]:
    return {"received": len(await request.body())}


@app.get("/export")
async def export() -> Response:
    return Response(catalogue.EXPORT, media_type="text/csv")
