"""What Django's deployment checklist asks for."""

import os

from .settings import *  # noqa: F403

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["poetry.test"]
STATIC_ROOT = BASE_DIR / "collected"  # noqa: F405
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SLIPWAY_SHARED"] + "/db.sqlite3"}}
