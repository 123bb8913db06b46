"""Who may come in, from where, how often and with how much: every middleware, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi.middleware.cors import CORSMiddleware

from pneumocascade.server.metrics import Meter
from pneumocascade.server.middleware.authentication import TokenCheck, check_token
from pneumocascade.server.middleware.headers import NOBODY, SecurityHeaders
from pneumocascade.server.middleware.limits import BodyLimit, RateLimit, RequestLimit, SlowBodies
from pneumocascade.server.middleware.origins import (
    CrossOrigin,
    HostCheck,
    SameOrigin,
    check_hosts,
    check_origins,
)
from pneumocascade.server.middleware.route_allow_list import RouteAllowList
from pneumocascade.server.middleware.transfer import CacheHeaders, Compression

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from pneumocascade.server.metrics import Metrics

UPLOADS = ("/api/", "/gradio_api/")
"""Paths to which films are sent."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a server lets in.

    Attributes
    ----------
    hosts : tuple of str, optional
        Names and addresses that requests may be for, without ports; empty for any. By default any, but
        for :func:`pneumocascade.server.serve` on an address that only this machine reaches: there, those of
        this machine.
    frame_ancestors : str
        Who may show the web app in a frame; see
        :class:`pneumocascade.server.middleware.headers.SecurityHeaders`.
    per_minute : int
        Requests of one client's address, those left out that only ask (GET); 0 for any number.
    origins : tuple of str
        Origins of pages that may use the API, as ``https://viewer.example.org``; by default none but its own.
    """

    hosts: tuple[str, ...] | None = None
    frame_ancestors: str = NOBODY
    per_minute: int = 0
    origins: tuple[str, ...] = ()


def add_middleware(
    app: Starlette, metrics: Metrics, access: Access, *, max_body: int, token: str | None = None
) -> None:
    """Put everything around an application that stands between it and the network.

    Parameters
    ----------
    app : Starlette
    metrics : Metrics
    access : Access
    max_body : int
        Largest request, in bytes.
    token : str, optional
        See :class:`pneumocascade.server.middleware.authentication.TokenCheck`.

    Raises
    ------
    UsageError
        Where the token is too easily guessed, or a host or an origin is none.
    """
    # From the inside to the outside: what is added last sees a request first.
    # One that allows nobody keeps Gradio from adding its own, which allows every page to read answers.
    app.add_middleware(CORSMiddleware, allow_origins=())
    app.add_middleware(RouteAllowList)
    app.add_middleware(CacheHeaders)
    add_limits(app, access, uploads=UPLOADS, max_body=max_body, token=token)
    app.add_middleware(Meter, metrics=metrics)
    app.add_middleware(SecurityHeaders, frame_ancestors=access.frame_ancestors)
    app.add_middleware(Compression)


def add_limits(
    app: Starlette, access: Access, *, uploads: str | tuple[str, ...], max_body: int, token: str | None = None
) -> None:
    """Put around an application what refuses requests, whatever it serves.

    Parameters
    ----------
    app : Starlette
    access : Access
    uploads : str or tuple of str
        Beginnings of the paths to which films are sent.
    max_body : int
        Largest request to these, in bytes.
    token : str, optional
        See :class:`pneumocascade.server.middleware.authentication.TokenCheck`.

    Raises
    ------
    UsageError
        Where the token is too easily guessed, or a host or an origin is none.
    """
    app.add_middleware(BodyLimit, limit=max_body, prefix=uploads)
    app.add_middleware(SlowBodies)
    if token is not None:
        app.add_middleware(TokenCheck, token=check_token(token))
    origins = check_origins(access.origins)
    app.add_middleware(SameOrigin, origins=origins)
    if access.per_minute:
        app.add_middleware(RateLimit, per_minute=access.per_minute)
    app.add_middleware(HostCheck, hosts=check_hosts(access.hosts or ()))
    app.add_middleware(RequestLimit)
    if origins:  # around all that refuses, so that pages can read the refusal
        app.add_middleware(CrossOrigin, origins=origins)
