"""Files that are written whole or not at all, and that only their owner reads: models, labels, tables, reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OWNER_ONLY = 0o600


@contextmanager
def written_whole(path: str | os.PathLike[str], mode: str = "w", **options: Any) -> Iterator[Any]:
    """Give a stream to a draft beside the file, which takes its place when the block ends well; text is UTF-8.

    Parameters
    ----------
    mode
        "w" or "wb".
    options
        Of `open`, such as ``newline``.
    """
    target = Path(path)
    draft = target.with_name(target.name + ".new")
    draft.unlink(missing_ok=True)  # what an interrupted write left, whoever could read it
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(descriptor, mode, encoding=encoding, **options) as stream:
            yield stream
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    os.replace(draft, target)
