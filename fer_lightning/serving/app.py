"""The service's addresses, and what each does."""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from fer_lightning.errors import FERError
from fer_lightning.serving.answers import ErrorAnswer, ModelAnswer, PredictAnswer, image_answer
from fer_lightning.serving.batcher import Batcher, Seen
from fer_lightning.serving.bodies import BodyReader, images_in
from fer_lightning.serving.gate import PREDICT, App, Gate, Guard
from fer_lightning.serving.limits import Limits, RefusedError
from fer_lightning.serving.metrics import CONTENT_TYPE, Metrics
from fer_lightning.serving.pages import PAGE_PATHS, add_pages
from fer_lightning.version import __version__

OPEN_PATHS = (*PAGE_PATHS, "/openapi.json", "/health")
"""What is there without a token: nothing of it is about the model, and a browser cannot send a token for a page."""

_IMAGE = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"images": {"type": "array", "items": _IMAGE}}}
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {"images": {"type": "array", "items": {"type": "string"}}},
                },
                "example": {"images": ["data:image/jpeg;base64,..."]},
            },
            "image/*": {"schema": _IMAGE},
        },
    }
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": text}
    for status, text in {
        401: "No token, or another one",
        408: "The request came too slowly",
        413: "Too many bytes, pixels or images",
        415: "A kind of content that is not taken",
        422: "An option, a form, JSON or an image that cannot be used",
        429: "Too many images wait: try again after the seconds in Retry-After",
        503: "The service ends",
        504: "No answer within the time limit",
    }.items()
}
_ERROR_STATUS = {"too_many_pixels": 413, "no_memory": 503}
"""The status where no image could be used, by the code of the first; else 422."""


@dataclass(frozen=True)
class Service:
    """What the addresses are about.

    Attributes:
        model: What `/v1/model` answers.
        batcher: Answers for images.
        limits: What a request may ask for.
        metrics: What is counted.
        about: A sentence about the model.
        browser: Files with which the page runs the model itself, by path: content and its kind; empty if it does not.
    """

    model: dict[str, Any]
    batcher: Batcher
    limits: Limits
    metrics: Metrics
    about: str
    browser: Mapping[str, tuple[bytes, str]] = field(default_factory=dict)


def make_app(service: Service, guard: Guard, origins: Collection[str] = ()) -> App:
    """The application (ASGI).

    Args:
        service: What it is about.
        guard: Who may ask.
        origins: Other web pages that may ask.
    """
    app = FastAPI(title="fer_lightning", version=__version__, description=service.about, docs_url=None, redoc_url=None)
    for kind in (RefusedError, RequestValidationError, HTTPException, ClientDisconnect):
        app.add_exception_handler(kind, _refusal)
    add_pages(app, service.browser)
    _add_predict(app, service)
    model = json.dumps(service.model).encode()

    @app.get("/v1/model", response_model=ModelAnswer, responses={401: _ERRORS[401]})
    async def about_the_model() -> Response:
        """What the model is: classes, input, limits, its card, and what it must not be used for."""
        return Response(model, media_type="application/json")

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the service answers."""
        return {"status": "ok", "version": __version__}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Requests, images, faces, seconds and what waits, as Prometheus reads them."""
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    inner: Any = app
    if origins:
        headers = ["Authorization", "Content-Type"]
        inner = CORSMiddleware(app, list(origins), allow_methods=["GET", "POST"], allow_headers=headers)
    return Gate(inner, guard, service.limits, service.metrics)


def _add_predict(app: FastAPI, service: Service) -> None:
    bodies, limits, batcher = BodyReader(service.limits), service.limits, service.batcher

    @app.post(PREDICT, response_model=PredictAnswer, responses=_ERRORS, openapi_extra=_BODY)
    async def predict(
        request: Request,
        min_confidence: Annotated[
            float, Query(ge=0, le=1, allow_inf_nan=False, description="answers below are uncertain")
        ] = 0.0,
        whole: Annotated[
            bool | None, Query(description="take each image as one face; without it, as the network was trained")
        ] = None,
    ) -> Response:
        """Name the expressions in images.

        The images come as files of a form, as base64 in JSON, or one as the body itself. If none of them can be read,
        the status is that of an error, and what is wrong with each stands beside it.
        """
        until = asyncio.get_running_loop().time() + limits.seconds
        came = False
        try:
            async with asyncio.timeout_at(until), bodies.body(request) as body:
                came = True
                kind = request.headers.get("content-type", "")
                images = await asyncio.wrap_future(batcher.run(images_in, body, kind, limits))
                try:
                    answers = batcher.submit(images, whole)
                except FERError as error:  # no faces can be looked for here
                    raise RefusedError(422, "impossible", str(error)) from None
                seen = await asyncio.gather(*map(asyncio.wrap_future, answers))
        except TimeoutError:
            raise _too_slow(came, limits.seconds) from None
        return _answer(seen, min_confidence, service.metrics)


def _too_slow(came: bool, seconds: float) -> RefusedError:
    if came:
        message = f"There was no answer within {seconds:g} seconds. Try again later, or with fewer images."
        return RefusedError(504, "no_answer", message)
    return RefusedError(408, "too_slow", f"A request has to be there within {seconds:g} seconds.")


def _answer(seen: list[Seen], least: float, metrics: Metrics) -> Response:
    answers = [image_answer(number, one, least) for number, one in enumerate(seen)]
    for one in seen:
        metrics.image(one.code or ("faces" if one.faces else "no_face"), len(one.faces))
    if all(one.code for one in seen):
        code, many = seen[0].code, f" The same or the like with {len(seen) - 1:,} more." if len(seen) > 1 else ""
        raise RefusedError(_ERROR_STATUS.get(code, 422), code, seen[0].reason + many, more={"images": answers})
    return Response(json.dumps({"images": answers}), media_type="application/json")


async def _refusal(request: Request, error: Exception) -> Response:
    """An error as JSON, in the form that all have."""
    headers: dict[str, str] = {}
    if isinstance(error, RequestValidationError):
        wrong = error.errors()[0]  # what was received is left out: it may be anything
        error = RefusedError(422, "wrong_option", f"Invalid value for {wrong['loc'][-1]}. {wrong['msg']}.")
    elif isinstance(error, HTTPException):
        headers = dict(error.headers or {})
        allowed = f" Expected {headers['Allow']}." if "Allow" in headers else ""
        words = {404: ("no_such_path", "There is nothing at this address. What there is: /docs")}
        words[405] = ("wrong_method", f"This address does not take {request.method[:20]}.{allowed}")
        error = RefusedError(error.status_code, *words.get(error.status_code, ("wrong_request", str(error.detail))))
    elif isinstance(error, ClientDisconnect):
        error = RefusedError(400, "left", "The client left before its request had come.")
    assert isinstance(error, RefusedError)  # noqa: S101 (for mypy)
    return Response(error.body, error.status, headers | error.headers, "application/json")
