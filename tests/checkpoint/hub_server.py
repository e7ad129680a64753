"""A Hugging Face hub on this machine: as much of its protocol as a download of a snapshot needs."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789" * 4


class Hub(ThreadingHTTPServer):
    """Serves `folder` as every repository `org/*`; some names have a fate.

    org/gated: its files are refused; org/private: so is its listing; org/missing: nobody has it;
    org/broken: the connection ends in the middle of its listing.
    """

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        self.downloaded: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(folder: Path):
    hub = Hub(folder)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format, *args):  # noqa: A002 - the name of the base class
        pass

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        path = self.path.partition("?")[0].lstrip("/").removeprefix("api/models/")
        repo, rest = "/".join(path.split("/")[:2]), path.split("/")[2:]
        if repo == "org/missing":
            return self._refuse(404, "RepoNotFound")
        if repo == "org/private":
            return self._refuse(401, "RepoNotFound")
        if rest[0] in ("revision", "tree"):
            if rest[1] not in ("main", COMMIT):
                return self._refuse(404, "RevisionNotFound")
            if repo == "org/broken":
                return self._send(b"{", {"Content-Length": "100"}, with_body)
            listing = self._info(repo) if rest[0] == "revision" else self._tree()
            return self._send(json.dumps(listing).encode(), {"Content-Type": "application/json"}, with_body)
        if repo == "org/gated":
            return self._refuse(403, "GatedRepo")
        name = "/".join(rest[2:])
        content = self.server.files[name].read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if with_body:
            self.server.downloaded.append(name)
        return self._send(content, headers, with_body)

    def _info(self, repo):
        siblings = [{"rfilename": name} for name in self.server.files]
        return {"_id": "1", "id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "tags": []}

    def _tree(self):
        return [
            {"type": "file", "path": name, "size": path.stat().st_size, "oid": hashlib.sha1(name.encode()).hexdigest()}
            for name, path in self.server.files.items()
        ]

    def _refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content, headers, with_body):
        self.send_response(200)
        for key, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(content)
