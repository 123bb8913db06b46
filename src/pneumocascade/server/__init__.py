"""The REST API, with the web app mounted at ``/``."""

from pneumocascade.errors import MissingExtraError

try:
    from pneumocascade.server.app import create_app
    from pneumocascade.server.middleware.origins import LOOPBACK
    from pneumocascade.server.middleware.stack import Access
    from pneumocascade.server.serving import BackgroundServer, listen, serve
except ModuleNotFoundError as error:
    if error.name is not None and error.name.startswith("pneumocascade"):
        raise
    raise MissingExtraError("the server", "web") from error

__all__ = ["LOOPBACK", "Access", "BackgroundServer", "create_app", "listen", "serve"]
