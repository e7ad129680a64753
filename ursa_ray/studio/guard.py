"""What stands before Gradio: the page loads nothing from elsewhere, and nobody elsewhere gets at the page."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# Gradio's scripts are inline and compile what `js=` says; all else comes from this server or is made in the page.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "frame-src 'none'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})

# Through these Gradio fetches what is elsewhere, and so would tell others of us, and us what only it can reach.
FETCHING = ("/file=http:", "/file=https:", "/proxy=")


class Guard:
    """Passes requests on to `app`, but for those under a name that is none of `names`, and those of other pages.

    A page of a stranger can give its own name the address 127.0.0.1, and would then speak to a studio as its own page.
    Without that, browsers still send what it posts to a studio, with the page that it comes from as its Origin. With
    no `names` any will do, and a proxy before the studio may speak TLS; it must pass Host on.
    """

    def __init__(self, app: App, names: frozenset[str] | None):
        self._app, self._names = app, names
        self._schemes = ("http", "https") if names is None else ("http",)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif (refusal := self._refusal(scope)) is not None:
            await _answer(send, refusal)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Message) -> str | None:
        host, origin = _header(scope, b"host"), _header(scope, b"origin")
        if self._names is not None and _name(host) not in self._names:
            return "The studio answers under the names of this machine alone, such as http://127.0.0.1."
        if origin and origin not in [f"{scheme}://{host}" for scheme in self._schemes]:
            return "The studio answers its own page alone, not one from elsewhere."
        if any(part in unquote(scope["path"]).lower() for part in FETCHING):
            return "The studio fetches nothing from elsewhere."
        return None


def _header(scope: Message, wanted: bytes) -> str:
    """In small letters: names are the same in capitals."""
    return next((value.decode("latin-1").lower() for name, value in scope["headers"] if name == wanted), "")


def _name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).removesuffix(".")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *HEADERS]
        await send(message)

    return sending


async def _answer(send: Send, words: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
