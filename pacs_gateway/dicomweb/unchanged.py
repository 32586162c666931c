"""Does a client have this answer already? What is served under an address may change, so it asks each time (RFC 9110).

A study is assigned to another patient, an instance is rejected, another content is chosen: the address stays. So every
answer is to be asked for again before it is shown, with the ETag of what was served; who has that is told in a few
bytes, from the index alone.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from engine.store.imaging_reading import Held
from engine.store.statements import edition
from pacs_gateway.dicomweb.sending import HEADERS

_FORMAT = b"1"
"""To be raised with every change of how objects and their values are answered."""
_TAG = re.compile(r'"[^"]*"')


async def unless_had(request: Request, held: Sequence[Held], answer: Callable[[], Awaitable[Response]]) -> Response:
    """304 for who has the answer to this request about these objects, before any of them is read; else the answer.

    One that leaves something out (206) has no tag.
    """
    etag = _etag(request, held)
    if is_had(request, etag):
        return not_modified(etag)
    response = await answer()
    if response.status_code == 200:
        response.raw_headers.append((b"etag", etag.encode()))
    return response


def is_had(request: Request, etag: str) -> bool:
    """Whether If-None-Match names it, as strong or weak tag, or names whatever there is."""
    named = request.headers.get("if-none-match")
    return named is not None and (named.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(named))


def not_modified(etag: str) -> Response:
    return Response(status_code=304, headers={**HEADERS, "ETag": etag})


def _etag(request: Request, held: Sequence[Held]) -> str:
    """Of what the objects say now, in the representation that is asked for; its address is told by the client."""
    contents = b"".join(
        b"%b%b%b\n"
        % (f"{one.series_uid}\0{one.sop_uid}\0{one.transfer_syntax}\0".encode(), one.sha256, edition(one.location))
        for one in held
    )
    accept = request.headers.get("accept", "").encode()
    digest = sha256(b"\0".join((_FORMAT, accept, contents))).hexdigest()
    return f'"{digest[:40]}"'
