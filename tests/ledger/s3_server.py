"""An S3 server: moto behind HTTP, in a process of its own: `python -m tests.ledger.s3_server`.

moto checks the conditions of a put and then carries it out, with nothing to keep another put from coming in between.
S3 does both at once, so here writes go one after another, each from when its last byte has arrived: a client that was
stopped in the middle of a request keeps nobody waiting.
"""

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Serialised:
    """A WSGI application whose requests are carried out one after another."""

    def __init__(self, app):
        self.app, self.lock = app, threading.Lock()

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with self.lock:
            return list(self.app(environ, start_response))


def serve():
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Serialised(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.server_port, flush=True)  # noqa: T201
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # ends with the process that started this one


@contextmanager
def running_server() -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "tests.ledger.s3_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


if __name__ == "__main__":
    serve()
