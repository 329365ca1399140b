# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Who is let in, what browsers may do with the pages, and who may act."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from urllib.parse import urlencode, urlsplit

from flask import Flask, Request, Response, redirect, request, session
from werkzeug.wrappers import Response as AnyResponse

from .settings import Settings

# 'unsafe-inline' for styles alone: Plotly places its parts by them.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none at all, browsers say of a form only that it comes from "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def protect(app: Flask, settings: Settings) -> None:
    """Have the app let in whom the settings let in, and send every answer with its headers."""
    secret = settings.token or secrets.token_urlsafe(32)
    # From the token, not the token: who has seen a cookie cannot make another one.
    app.secret_key = hashlib.sha256(f"autotune.kernel page {secret}".encode()).digest()
    app.config.update(
        # Browsers send a cookie to every port of a host: two pages must not take each other's.
        SESSION_COOKIE_NAME=f"autotune_{settings.port}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_PATH=settings.prefix or "/",
        MAX_CONTENT_LENGTH=64 * 1024,
    )

    @app.before_request
    def let_in() -> AnyResponse | None:
        app.config["SESSION_COOKIE_SECURE"] = request.is_secure
        return _wrong_host(settings) or (_show_token(settings.token) if settings.token else None)

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if not response.cache_control.max_age and "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response


def refusal(text: str, code: int) -> Response:
    return Response(f"{text}\n", code, mimetype="text/plain")


def _wrong_host(settings: Settings) -> Response | None:
    """A foreign page can have a name of its own point here; what it then asks for carries that name."""
    name = urlsplit(f"//{request.host}").hostname if _is_host(request.host) else None
    if name and (_is_address(name) or name in {"localhost", socket.gethostname().lower(), *settings.host_names}):
        return None
    return refusal(
        f"This page is not reached as {request.host[:100]!r}: if it should be, start it with --host-name, "
        "or set dashboard_host_names.",
        403,
    )


def _is_host(text: str) -> bool:
    try:
        dummy = urlsplit(f"//{text}").port
    except ValueError:
        return False
    return True


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _show_token(token: str) -> AnyResponse | None:
    """None for who may come in, by a cookie or (programs) a header. The printed URL gets a cookie for its token."""
    shown = request.args.get("token")
    if shown is not None and request.method == "GET":
        if not _same(shown, token):
            return refusal("This token does not open this page: take the address that was printed last.", 403)
        session["in"] = True
        kept = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
        return redirect(request.script_root + request.path + (f"?{urlencode(kept)}" if kept else ""), 303)
    if session.get("in") is True or _same(_bearer(request), token):
        return None
    return refusal(
        "This page needs its token: open the address that was printed when it was started, "
        "or send the header Authorization: Bearer TOKEN.",
        401,
    )


def _bearer(asked: Request) -> str:
    given = asked.headers.get("Authorization", "")
    return given.removeprefix("Bearer ") if given.startswith("Bearer ") else ""


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def csrf_token() -> str:
    """For this visitor's forms: what comes without it was not sent by one of our pages."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def forged(settings: Settings) -> str | None:
    """Why a POST cannot have come from one of our pages, or None. A program that shows the token needs no form."""
    if settings.token and _same(_bearer(request), settings.token):
        return None
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.host}":
        return f"the request comes from {origin[:100]!r}, not from this page"
    if origin is None and request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "the request comes from another site"
    given = request.form.get("csrf_token") or request.headers.get("X-CSRF-Token") or ""
    if not _same(given, str(session.get("csrf") or secrets.token_urlsafe(24))):
        return "the form is too old; reload the page and try again"
    return None


def may_act(settings: Settings) -> bool:
    """Whoever gets in may act: on this machine as its users may, from elsewhere by the token."""
    return settings.token is not None or not settings.needs_token
