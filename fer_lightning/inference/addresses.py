"""Images at addresses, on the web or in storage, fetched within bounds; only of what the user has typed."""

import http.client
import ipaddress
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import urlsplit

from fer_lightning import storage
from fer_lightning.data.image_files import UnreadableImageError
from fer_lightning.names import printable
from fer_lightning.version import __version__

MOST_BYTES = 50_000_000
"""What an image that is fetched may weigh."""

LONGEST, _SILENT = 60.0, 15.0
"""Seconds that fetching an image may take, and that the server may say nothing."""


def is_stream(address: str) -> bool:
    """Whether that is the address of a stream (rtsp, rtsps), which is watched like a camera."""
    return address.lower().startswith(("rtsp://", "rtsps://"))


def is_on_web(address: str) -> bool:
    """Whether that is an address on the web (http, https), where nothing can be listed."""
    return address.lower().startswith(("http://", "https://"))


def fetch(address: str) -> bytes:
    """What is at an address, of the web at most `MOST_BYTES` in at most `LONGEST` seconds.

    Raises:
        UnreadableImageError: If it cannot be had, is a web page, too large or too slow, or leads to another kind of
            address, or from the internet to this network.
    """
    if not is_on_web(address):
        return _of_storage(address)
    found: list[bytes | str] = []

    def work() -> None:
        end, why = time.monotonic() + LONGEST, ""
        for pause in (*storage.PAUSES, None):
            try:
                found.append(_fetch(address, end))
                return
            except UnreadableImageError as error:
                why = error.reason
                break
            except Exception as error:  # urllib's, http.client's, ssl's and the socket's own
                why = _reason(error)
                if not _may_pass(error):
                    break
                if pause is None:
                    why = f"{why}, in {len(storage.PAUSES) + 1} tries"
                    break
            time.sleep(pause)
        found.append(why)

    thread = threading.Thread(target=work, name="fetch", daemon=True)  # a server may dawdle in every step
    thread.start()
    thread.join(LONGEST)
    what = found[0] if found else f"it took more than {LONGEST:.0f} seconds"
    if isinstance(what, str):
        raise UnreadableImageError(what, storage.without_secret(address))
    return what


def _of_storage(address: str) -> bytes:
    """What is at the address of a bucket or such."""

    def work(system: Any, path: str) -> bytes:
        if (system.info(path).get("size") or 0) > MOST_BYTES:
            raise UnreadableImageError(f"it has more than {MOST_BYTES // 10**6} MB", storage.without_secret(address))
        return bytes(system.cat_file(path))

    try:
        return storage.tried(address, work)
    except storage.StorageError as error:
        raise UnreadableImageError(error.reason, storage.without_secret(address)) from None


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
        raise http.client.IncompleteRead(bytes(content))
    return bytes(content)


def _may_pass(error: Exception) -> bool:
    """Whether another try may go better: the connection is to blame, or a server that has too much to do."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code == 429 or error.code >= 500
    if isinstance(error, urllib.error.URLError):
        error = error.reason if isinstance(error.reason, Exception) else error
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return isinstance(error, ConnectionError | TimeoutError | http.client.IncompleteRead | http.client.BadStatusLine)


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
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended before the image did"
    if isinstance(error, http.client.InvalidURL | UnicodeError):
        return "it is not an address on the web"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"it cannot be fetched: {printable(str(said))[:150]}"
