"""Servers started at import are found in the source; everything that only looks like one is not."""

from __future__ import annotations

import hashlib
import textwrap

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import Entry, Files, blocking_calls
from hypothesis import given
from hypothesis import strategies as st


def tree(files: dict[str, str | bytes]) -> Files:
    entries = []
    for name, content in sorted(files.items()):
        data = content.encode() if isinstance(content, str) else content
        entries.append(Entry(name.encode(), b"f", hashlib.sha256(data).digest(), len(data), content=data))
    return Files(tuple(entries), None)


def lines(source: str, module: str = "app:app") -> list[int]:
    found = blocking_calls(tree({"app.py": textwrap.dedent(source)}), module)
    assert all(path == "app.py" for path, _, _ in found)
    return [line for _, line, _ in found]


@pytest.mark.parametrize(
    "source",
    [
        "app = Flask(__name__)\napp.run()",
        "app: Flask = Flask(__name__)\napp.run(debug=True)",
        "app = Flask(__name__)\nif True:\n    app.run()",
        "app = Flask(__name__)\ntry:\n    app.run()\nfinally:\n    pass",
        "from shop import app\napp.run()",
        "import uvicorn\nuvicorn.run(app)",
        "import uvicorn as u\nu.run(app)",
        "from uvicorn import run\nrun(app)",
        "from waitress import serve\nserve(app, port=80)",
        "from waitress import serve as go\ngo(app)",
        "import waitress\nwaitress.serve(app)",
        "from wsgiref.simple_server import make_server\nmake_server('', 80, app).serve_forever()",
        "server = make_server()\nserver.serve_forever()",
        "with make_server() as server:\n    server.serve_forever()",
        "from aiohttp import web\nweb.run_app(app)",
        "from werkzeug.serving import run_simple\nrun_simple('', 80, app)",
        "from django.core.management import execute_from_command_line\nexecute_from_command_line([])",
        "create_app().run()",
        "if __name__ != '__main__':\n    create_app().run()",
        "if __name__ == '__main__':\n    pass\nelse:\n    create_app().run()",
        "def main():\n    app = Flask(__name__)\n    app.run()\nmain()",
        "class A:\n    app = Flask(__name__)\n    app.run()",
        "socketio = SocketIO(app)\nsocketio.run(app)",
        "x = Flask(__name__).run()",
    ],
)
def test_found(source):
    assert len(lines(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "app = Flask(__name__)\nif __name__ == '__main__':\n    app.run()",
        "app = Flask(__name__)\nif '__main__' == __name__:\n    app.run()",
        "app = Flask(__name__)\nif __name__ == '__main__' and DEBUG:\n    app.run()",
        "app = Flask(__name__)\nif __name__ in {'__main__', '__mp_main__'}:\n    app.run()",
        "app = Flask(__name__)\nif not __name__ != '__main__':\n    app.run()",
        "app = Flask(__name__)\nif __name__ != '__main__':\n    pass\nelse:\n    app.run()",
        "import subprocess\nsubprocess.run(['ls'])",
        "import subprocess as sp\nsp.run(['ls'])",
        "from subprocess import run\nrun(['ls'])",
        "import asyncio\nasyncio.run(main())",
        "app = Flask(__name__)\ndef main():\n    app.run()",
        "app = Flask(__name__)\nasync def main():\n    app.run()",
        "app = Flask(__name__)\nclass A:\n    def go(self):\n        app.run()",
        "app = Flask(__name__)\ngo = lambda: app.run()",
        "def serve(x):\n    pass\nserve(1)",
        "from mine import serve\nserve(1)",
        "def run_app(x):\n    pass\nrun_app(1)",
        "app = Flask(__name__)\nif __name__ == '__main__':\n    def main():\n        app.run()\n    main()",
        "def main():\n    app = Flask(__name__)\n    app.run()\nif __name__ == '__main__':\n    main()",
        "def main():\n    main()\nmain()",
    ],
)
def test_not_found(source):
    assert lines(source, "app:application") == []


def test_where_and_what():
    source = "app = Flask(__name__)\n\n\n    \napp.run(\n    port=80,\n)\n"
    assert blocking_calls(tree({"src/shop/web/__init__.py": source}), "shop.web:app") == [
        ("src/shop/web/__init__.py", 5, "app.run(")
    ]
    files = tree({"shop/__init__.py": "import uvicorn\nuvicorn.run(x)  # \u2603\n", "shop/web.py": source})
    assert blocking_calls(files, "shop.web") == [
        ("shop/__init__.py", 2, "uvicorn.run(x)  # \u2603"),
        ("shop/web.py", 5, "app.run("),
    ]
    assert blocking_calls(files, "other.web:app") == []


def test_sources_that_do_not_parse():
    assert lines("def (") == []
    assert blocking_calls(tree({"app.py": b"\xff\0"}), "app") == []
    assert blocking_calls(tree({"app.py": b"# coding: latin-1\nx = '\xe9'\napp = F()\napp.run()\n"}), "app")[0][1] == 4
    assert blocking_calls(tree({"app.py": "(" * 5000}), "app") == []
    assert blocking_calls(tree({"app.py": "x" + ".a" * 20000}), "app") == []


@given(st.text(), st.text())
def test_any_text(source, module):
    blocking_calls(tree({"app.py": source}), "app")
    blocking_calls(tree({"app.py": source}), module)
