"""Errors as a browser reads them: what happened, why, what to do, and the id that the log has too."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from structlog.contextvars import get_contextvars


@dataclass(frozen=True)
class Words:
    what: str
    why: str
    do: str


WORDS = {
    400: Words(
        "This cannot be read",
        "The request is not one that this site understands.",
        "Go back, look at what was typed, and send it again.",
    ),
    403: Words(
        "You may not do this",
        "Your account does not have the right to it.",
        "Log in with an account that has, or ask an operator.",
    ),
    404: Words(
        "There is nothing here",
        "What you followed leads nowhere, or to something that is not yours to see.",
        "Look at the address, or begin from the first page.",
    ),
    429: Words(
        "Too many requests",
        "This address or account asks more often than one may.",
        "Wait a little and load the page again.",
    ),
    500: Words(
        "Something went wrong here",
        "The fault is this network's and not yours; nothing that you sent was half done.",
        "Try again in a moment. If it stays so, tell an operator the id below: the log says more under it.",
    ),
}


def page(request: HttpRequest, status: int, why: str = "", headers: dict[str, str] | None = None) -> HttpResponse:
    """The page of an error. Where too much came or something failed, it asks nothing of database or session."""
    words = WORDS[status]
    context = {
        "what": words.what,
        "why": why or words.why,
        "do": words.do,
        "status": status,
        "request_id": request.headers.get("X-Request-ID", "") or get_contextvars().get("request_id", ""),
    }
    if status in (429, 500):
        html = render_to_string("error.html", context | {"theme": request.COOKIES.get("theme", "")})
    else:
        html = render_to_string("error.html", context, request)
    return HttpResponse(html, status=status, headers=headers)
