"""What the packages are called that bring modules of another name."""

from __future__ import annotations

import re

# Distributions whose name is not the one that is imported.
DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "decouple": "python-decouple",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "environ": "django-environ",
    "fitz": "PyMuPDF",
    "flask_cors": "Flask-Cors",
    "flask_sqlalchemy": "Flask-SQLAlchemy",
    "git": "GitPython",
    "google": "google-cloud-<service>",  # the package "google" is another project's
    "jose": "python-jose",
    "jwt": "PyJWT",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "multipart": "python-multipart",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "pkg_resources": "setuptools<81",  # 81 no longer brings it
    "psycopg2": "psycopg2-binary",
    "pymysql": "PyMySQL",
    "pythonjsonlogger": "python-json-logger",
    "rest_framework": "djangorestframework",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socketio": "python-socketio",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
# Names that apps give to their own modules: a package of that name is another project's.
OWN_NAMES = re.compile(
    "api|app|application|apps|auth|base|blog|common|conf|config|core|database|db|extensions|forms|frontend|handlers|helpers|"
    "home|lib|libs|local_settings|main|models|modules|pages|project|routes|schemas|server|services|settings|shared|src|"
    "tasks|tests?|tools|users|utils?|views|web|website"
)


def named(top: str) -> str:
    """Return the package that brings a top-level module, in words."""
    return DISTRIBUTIONS.get(top, "") or f"the package that brings it (usually {top.replace('_', '-')})"
