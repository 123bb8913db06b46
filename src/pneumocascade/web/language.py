"""The language of a page: asked for by its address, else by the browser, and the same for Gradio's words.

Gradio's page picks the language of its own words by ``navigator.language``, and can be told no other. A
script at the head of the page therefore lets the browser name the language of the page. It also gives the
page's scripts their words, and follows the choice that the switch has left in the browser.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from pneumocascade.i18n import LANGUAGES, TAGS, language, negotiated, script_messages, speaking
from pneumocascade.web.inputs import CONTENT

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PARAMETER = "lang"
"""Names the language in the page's address."""

_HEAD = "<head>"
_ENGLISH_PAGE = 'lang="en"'


def language_of(request: Request | gr.Request) -> str:
    """Return the language that a request is to be answered in.

    Every request of a page carries the query of the page's address, Gradio's events too.
    """
    asked = request.query_params.get(PARAMETER, "")
    return asked if asked in LANGUAGES else negotiated(request.headers.get("accept-language", ""))


class PageLanguage:
    """ASGI middleware: speaks a request's language, and tells the page which one that is.

    Parameters
    ----------
    app : ASGI application
        Gradio's, whose page is at ``/``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in the request's language."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with speaking(language_of(Request(scope))):
            is_page = scope["path"] == "/" and scope["method"] == "GET"
            await self.app(scope, receive, _telling(send) if is_page else send)


def _telling(send: Send) -> Send:
    """Return what sends a page on with its language; the page is held back until it is whole."""
    head: Message | None = None
    body = b""

    async def tell(message: Message) -> None:
        nonlocal head, body
        if message["type"] == "http.response.start":
            head = message
            return
        body += message.get("body", b"")
        if message.get("more_body", False) or head is None:
            return
        page = localised_page(body.decode()).encode()
        headers = MutableHeaders(scope=head)
        headers.update({"Content-Length": str(len(page)), "Content-Language": TAGS[language()]})
        headers.add_vary_header("Accept-Language")
        await send(head)
        await send({"type": "http.response.body", "body": page})

    return tell


def localised_page(page: str) -> str:
    """Return Gradio's page with the language that is spoken, and the script that tells Gradio."""
    told: dict[str, Any] = {
        "language": language(),
        "tag": TAGS[language()],
        "known": list(LANGUAGES),
        "messages": script_messages(language()),
    }
    # A "<" could end the script that the words stand in.
    words = json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")
    script = (CONTENT / "language.js").read_text(encoding="utf-8")
    tagged = page.replace(_ENGLISH_PAGE, f'lang="{TAGS[language()]}"', 1)
    return tagged.replace(_HEAD, f"{_HEAD}<script>({script})({words});</script>", 1)
