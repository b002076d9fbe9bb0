"""One party's end of the network: its service, and its calls to every peer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from .board import Board
from .client import Peer
from .config import NetConfig
from .service import Service

if TYPE_CHECKING:
    from .certs import Credentials


@contextmanager
def connected(
    config: NetConfig, shown: Credentials | None, settings: str = "", task: str = "", ended: int | None = None
) -> Iterator[tuple[Board, dict[str, Peer]]]:
    """Serve and call the peers for the length of a block.

    Parameters
    ----------
    shown
        The party's certificates; None for plaintext.
    settings, task
        As of `Status`: what the peers are told of the run.
    ended
        The attempt in which the run came to its end here, in an earlier process.
    """
    board = Board(config.role, config.peers, config.max_held_bytes, settings, task)
    if ended is not None:
        board.come_back(ended)
    peers = {name: Peer(board, config, shown, name) for name in config.peers}
    with ExitStack() as stack:
        for peer in peers.values():
            stack.callback(peer.close)
        service = Service(board, config, shown, lambda role, instance: peers[role].confirm(instance))
        stack.callback(service.stop)
        for peer in peers.values():
            peer.start()
        yield board, peers
