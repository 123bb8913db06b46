"""The web app; Gradio is imported only when it is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pneumocascade.errors import MissingExtraError

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

    from pneumocascade.audit.counter import Counter
    from pneumocascade.inference.cascade import Cascade

__all__ = ["build_app", "mount_app"]


def build_app(cascade: Cascade, counter: Counter | None = None) -> gr.Blocks:
    """Return the web app as Gradio blocks.

    Parameters
    ----------
    cascade : Cascade
        Gives every answer the app shows.
    counter : Counter, optional
        Of the films analysed; by default that of this installation.

    Raises
    ------
    MissingExtraError
        Where the extra ``web`` is not installed.
    """
    with _needs_gradio():
        from pneumocascade.web import app

    return app.build_app(cascade, counter)


def mount_app(app: FastAPI, cascade: Cascade, counter: Counter | None = None) -> FastAPI:
    """Put the web app, with its theme, at ``/`` of a FastAPI application that has its routes already.

    Raises
    ------
    MissingExtraError
        Where the extra ``web`` is not installed.
    """
    with _needs_gradio():
        from pneumocascade.web import app as web_app

    return web_app.mount_app(app, cascade, counter)


@contextmanager
def _needs_gradio() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError("the web app", "web") from error
