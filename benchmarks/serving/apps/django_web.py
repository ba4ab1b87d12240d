"""A typical Django project in one file: JSON, a rendered page, a slow request, an upload, an export, static files."""

from __future__ import annotations

import os
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.static import serve

import catalogue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_settings")


def api(request: HttpRequest) -> HttpResponse:
    return JsonResponse(catalogue.offers())


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", catalogue.page())


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(catalogue.SLEEP)
    return JsonResponse({"slept": catalogue.SLEEP})


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"received": len(request.body)})


def export(request: HttpRequest) -> HttpResponse:
    return HttpResponse(catalogue.EXPORT, content_type="text/csv")


urlpatterns = [
    path("api", api),
    path("page", page),
    path("slow", slow),
    path("upload", upload),
    path("export", export),
    # Django's view for development, which small sites are often left with.
    path("static/<path:path>", serve, {"document_root": settings.BASE_DIR / "static"}),
]
application = get_wsgi_application()
