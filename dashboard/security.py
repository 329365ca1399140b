# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Access: host names, token, CSRF protection, and security headers."""

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

# Plotly needs inline styles.
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
    "Referrer-Policy": "same-origin",  # without a referrer, browsers send "Origin: null" with forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def protect(app: Flask, settings: Settings) -> None:
    """Check every request, and add the security headers to every answer."""
    secret = settings.token or secrets.token_urlsafe(32)
    # Derived from the token, so that a cookie does not reveal it.
    app.secret_key = hashlib.sha256(f"autotune.kernel dashboard {secret}".encode()).digest()
    app.config.update(
        # Browsers send cookies to every port of a host: two dashboards need different names.
        SESSION_COOKIE_NAME=f"autotune_{settings.port}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_PATH=settings.prefix or "/",
        MAX_CONTENT_LENGTH=64 * 1024,
    )

    @app.before_request
    def check_request() -> AnyResponse | None:
        app.config["SESSION_COOKIE_SECURE"] = request.is_secure
        return _check_host(settings) or (_check_token(settings.token) if settings.token else None)

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if not response.cache_control.max_age and "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response


def refusal(text: str, code: int) -> Response:
    return Response(f"{text}\n", code, mimetype="text/plain")


def _check_host(settings: Settings) -> Response | None:
    """Refuse unknown host names: another site may point its own name here (DNS rebinding)."""
    name = urlsplit(f"//{request.host}").hostname if _is_host(request.host) else None
    if name and (_is_address(name) or name in {"localhost", socket.gethostname().lower(), *settings.host_names}):
        return None
    return refusal(
        f"The host name {request.host[:100]!r} is not allowed: start the dashboard with --host-name, "
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


def _check_token(token: str) -> AnyResponse | None:
    """None if a cookie or an Authorization header gives access. The printed URL exchanges its token for a cookie."""
    shown = request.args.get("token")
    if shown is not None and request.method == "GET":
        if not _same(shown, token):
            return refusal("Invalid token: use the address that was printed last.", 403)
        session["in"] = True
        kept = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
        return redirect(request.script_root + request.path + (f"?{urlencode(kept)}" if kept else ""), 303)
    if session.get("in") is True or _same(_bearer(request), token):
        return None
    return refusal(
        "Token missing: open the address that was printed when the dashboard was started, "
        "or send the header Authorization: Bearer TOKEN.",
        401,
    )


def _bearer(request: Request) -> str:
    given = request.headers.get("Authorization", "")
    return given.removeprefix("Bearer ") if given.startswith("Bearer ") else ""


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def csrf_token() -> str:
    """The token of this session's forms, which other sites do not know."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def forged(settings: Settings) -> str | None:
    """Why a POST is not from a page of this dashboard, or None. Programs with a bearer token need no form."""
    if settings.token and _same(_bearer(request), settings.token):
        return None
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.host}":
        return f"the request comes from {origin[:100]!r}, not from this dashboard"
    if origin is None and request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "the request comes from another site"
    given = request.form.get("csrf_token") or request.headers.get("X-CSRF-Token") or ""
    if not _same(given, str(session.get("csrf") or secrets.token_urlsafe(24))):
        return "the form has expired; reload the page and try again"
    return None


def may_act(settings: Settings) -> bool:
    """Local users may act; others need the token."""
    return settings.token is not None or not settings.needs_token
