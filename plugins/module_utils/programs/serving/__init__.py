"""What the kit adds to gunicorn's workers; `gunicorn.conf.py` beside this folder loads it.

- An app sees its client: the address and the scheme that nginx tells, since nginx alone can reach the socket.
- An exception that made a 500 is in the log, with the request's id, whatever the framework and the worker.
- A request that makes no progress at all is found, and its worker retires; one that its client still reads is left alone.
- uvicorn serves as a worker of gunicorn.

None of it is a hook of gunicorn's, so that what users write in `gunicorn_extra` can neither replace nor disturb it.

Python 3.10 or later, with the standard library, the app's gunicorn and, for its worker, the app's uvicorn.
"""

from .connections import Rules
from .settings import merge
from .workers import worker

__all__ = ["Rules", "merge", "worker"]
