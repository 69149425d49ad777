"""An OpenID Connect provider on a loopback port, whose one user is whoever the test says."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs


def token(claims: dict[str, Any]) -> str:
    """An ID token straight from the provider, whose signature nobody needs to check (OpenID Core, 3.1.3.7)."""
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    body = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*body, "c2lnbmVk"])


class Provider(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.claims: dict[str, Any] = {"sub": "42", "email": "carol@example.org", "email_verified": True}
        self.asked: list[dict[str, list[str]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def _answer(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        url = self.server.url
        if self.path.startswith("/userinfo"):
            self._answer(self.server.claims)
        else:
            ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
            self._answer({"issuer": url, "jwks_uri": f"{url}/keys"} | {k: f"{url}/{v}" for k, v in ends.items()})

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append(sent)
        now = int(time.time())
        claims = {"iss": self.server.url, "aud": "computenet", "iat": now, "exp": now + 60} | self.server.claims
        self._answer({"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": token(claims)})

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[Provider]:
    provider = Provider()
    thread = Thread(target=provider.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        provider.server_close()
        thread.join()
