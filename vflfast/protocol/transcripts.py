"""Transcripts: what two parties said to each other must be the same at both ends, compared by the arbiter.

At every vote, and once more when a run or a scoring session ends, before anybody uses its results. A session's transcripts go on
from those of its matching, so that a change there is found at the first comparison.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import ProtocolError
from . import messages as ms
from .link import Link


async def confirm(link: Link) -> None:
    """Data party: have all transcripts compared; return when the arbiter found them equal."""
    await link.send("arbiter", ms.Transcripts(link.transcripts()))
    await link.receive("arbiter", ms.TranscriptsEqual)


async def confirm_all(link: Link) -> None:
    """Arbiter: compare the transcripts of all parties at the end, and tell them; ProtocolError as of `compare`."""
    views = {link.name: link.transcripts()}
    for party in link.peers:
        views[party] = (await link.receive(party, ms.Transcripts)).digests
    compare(link, views, "Transcripts")
    for party in link.peers:
        await link.send(party, ms.TranscriptsEqual())


def compare(link: Link, views: Mapping[str, bytes], step: str) -> None:
    """Hold every party's transcripts, 32 bytes a peer by name, against the peers'.

    Raises
    ------
    ProtocolError
        Of a party whose transcripts have another length, or differ from a peer's.
    """
    digests = {}
    for name, joined in views.items():
        others = sorted({link.name, *link.peers} - {name})
        if len(joined) != ms.DIGEST_BYTES * len(others):
            raise ProtocolError(name, step, f"needs a transcript of {ms.DIGEST_BYTES} bytes with each of {', '.join(others)}")
        for i, other in enumerate(others):
            digests[name, other] = joined[i * ms.DIGEST_BYTES : (i + 1) * ms.DIGEST_BYTES]
    for (name, other), digest in digests.items():
        if digests[other, name] != digest:
            raise ProtocolError(name, step, f"{name} and {other} did not see the same messages: one was changed on the way")
