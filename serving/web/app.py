"""The web application: page, API, and what is said of errors."""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from serving.client_errors import ServingError
from serving.web.errors import Refused, explained
from serving.web.keys import Allowance
from serving.web.libretranslate import Api
from serving.web.models import Models
from serving.web.page import Page

FILES = Path(__file__).with_name("static")
HEADERS = {
    # Nothing comes from elsewhere, nothing inside the page is run, and no other page may show it.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
# A client that has gone reads no answer; the number is nginx's.
CLIENT_CLOSED_REQUEST = 499


def create(models: Models, allowance: Allowance) -> Starlette:
    """The application.

    Args:
        models: whose page it is.
        allowance: who may ask.
    """
    api, page = Api(models, allowance), Page(models, allowance)

    @contextlib.asynccontextmanager
    async def closing(_):
        yield
        await models.upstream.close()

    return Starlette(
        routes=[
            Route("/", file("index.html")),
            Route("/docs", file("docs.html")),
            Route("/openapi.json", file("openapi.json")),
            Route("/translate", api.translate, methods=["POST"]),
            Route("/detect", api.detect, methods=["POST"]),
            Route("/languages", api.languages),
            Route("/health", api.health),
            Route("/frontend/settings", api.settings),
            Route("/frontend/models", page.list_models),
            Route("/frontend/translate", page.translate, methods=["POST"]),
            Route("/frontend/details", page.details, methods=["POST"]),
            Mount("/static", StaticFiles(directory=FILES)),
        ],
        middleware=[
            Middleware(WithHeaders),
            # As LibreTranslate's: there are no cookies, a key is in the body.
            Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]),
        ],
        exception_handlers={
            Refused: refused,
            ServingError: failed,
            HTTPException: of_http,
            ClientDisconnect: gone,
            Exception: broken,
        },
        lifespan=closing,
    )


def file(name: str) -> Callable[[Any], Awaitable[FileResponse]]:
    """What answers with a file of the page."""

    async def answer(_):
        return FileResponse(FILES / name)

    return answer


class WithHeaders:
    """Adds `HEADERS` to all answers."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = message | {"headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


async def refused(_, error: Refused) -> JSONResponse:
    """The errors of LibreTranslate's API have this form, and so have all."""
    return JSONResponse({"error": error.message}, error.status, error.headers)


async def failed(request, error: ServingError) -> JSONResponse:
    """The server of the models said no, or nothing."""
    return await refused(request, explained(error))


async def of_http(_, error: HTTPException) -> JSONResponse:
    """A path or a method that there is not."""
    return JSONResponse({"error": f"{error.detail}."}, error.status_code, error.headers)


async def gone(_, error) -> Response:
    """Nobody reads it."""
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def broken(_, error) -> JSONResponse:
    """A fault of this program, whose details are in the log."""
    return JSONResponse({"error": "This page has failed; its log says why."}, 500)
