"""What a Wagtail site's own settings leave to the host that serves it."""

import os

SHARED = os.environ["SLIPWAY_SHARED"]
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["wagtail.test"]
MEDIA_ROOT = SHARED + "/media"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": SHARED + "/db.sqlite3"}}
