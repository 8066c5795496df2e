"""Images at addresses on the web, fetched within bounds; only of what the user has typed."""

import http.client
import ipaddress
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

from fer_lightning.data.image_files import UnreadableImageError
from fer_lightning.names import printable
from fer_lightning.version import __version__

MOST_BYTES = 50_000_000
"""What an image that is fetched may weigh."""

LONGEST, _SILENT = 60.0, 15.0
"""Seconds that fetching an image may take, and that the server may say nothing."""


def is_address(text: str) -> bool:
    """Whether a text is the address of an image (http, https) or of a stream (rtsp, rtsps)."""
    return re.match(r"(https?|rtsps?)://", text, re.IGNORECASE) is not None


def is_stream(address: str) -> bool:
    """Whether that is the address of a stream, which is watched like a camera."""
    return address.lower().startswith("rtsp")


def without_secret(text: str) -> str:
    """An address without user name and password, to be shown and written; any other text as it is."""
    if not is_address(text) or "@" not in text:
        return text
    try:
        parts = urlsplit(text)
        if "@" not in parts.netloc:
            return text
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    except ValueError:
        return text.partition("://")[0] + "://..."


def fetch(address: str) -> bytes:
    """What is at an http or https address, at most `MOST_BYTES` in at most `LONGEST` seconds.

    Raises:
        UnreadableImageError: If it cannot be had, is a web page, too large or too slow, or leads to another kind of
            address, or from the internet to this network.
    """
    found: list[bytes | str] = []

    def work() -> None:
        try:
            found.append(_fetch(address, time.monotonic() + LONGEST))
        except UnreadableImageError as error:
            found.append(error.reason)
        except Exception as error:  # urllib's, http.client's, ssl's and the socket's own
            found.append(_reason(error))

    thread = threading.Thread(target=work, name="fetch", daemon=True)  # a server may dawdle in every step
    thread.start()
    thread.join(LONGEST)
    what = found[0] if found else f"it took more than {LONGEST:.0f} seconds"
    if isinstance(what, str):
        raise UnreadableImageError(what, without_secret(address))
    return what


def _fetch(address: str, end: float) -> bytes:
    opener = urllib.request.OpenerDirector()  # urllib's usual one opens files and FTP, too
    parts: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler(), urllib.request.HTTPHandler()]
    parts += [urllib.request.HTTPSHandler(), urllib.request.HTTPErrorProcessor()]
    parts += [urllib.request.HTTPDefaultErrorHandler(), _Redirects()]
    for part in parts:
        opener.add_handler(part)
    request = urllib.request.Request(address, headers={"User-Agent": f"fer_lightning/{__version__}"})  # noqa: S310
    content = bytearray()
    with opener.open(request, timeout=_SILENT) as response:
        kind = response.headers.get_content_type()
        if kind.startswith("text/"):
            raise UnreadableImageError(f"it is a page ({printable(kind)[:40]}), not an image")
        while piece := response.read1(1 << 16):
            content += piece
            if len(content) > MOST_BYTES:
                raise UnreadableImageError(f"it has more than {MOST_BYTES // 10**6} MB")
            if time.monotonic() > end:
                raise UnreadableImageError(f"it took more than {LONGEST:.0f} seconds")
    if response.length:
        raise UnreadableImageError("the connection ended before the image did")
    return bytes(content)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to other web addresses, but not from the internet into the user's own network."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith(("http://", "https://")):
            raise UnreadableImageError("the server leads to an address that is not of the web")
        if is_public(urlsplit(req.full_url).hostname) and not is_public(urlsplit(newurl).hostname):
            raise UnreadableImageError("the server leads to an address in this network")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def is_public(host: str | None) -> bool:
    """Whether all that a host's name stands for is on the internet; not so if that cannot be found out."""
    try:
        found = socket.getaddrinfo(host, None)
        return bool(found) and all(ipaddress.ip_address(one[4][0]).is_global for one in found)
    except (OSError, ValueError):
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        if 300 <= error.code < 400:  # what urllib refuses itself, or more steps than anybody needs
            return "the server leads to an address that is not of the web, or in circles"
        return printable(f"the server answers {error.code}" + (f" ({error.reason})" if error.reason else ""))[:200]
    if isinstance(error, urllib.error.URLError):
        error = error.reason if isinstance(error.reason, Exception) else error
    if isinstance(error, TimeoutError):
        return f"the server said nothing for {_SILENT:.0f} seconds"
    if isinstance(error, http.client.InvalidURL | UnicodeError):
        return "it is not an address on the web"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"it cannot be fetched: {printable(str(said))[:150]}"
