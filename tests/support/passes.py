"""Passes over ids as small as a test wants them, with or without a scratch folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vflfast.crypto import storage
from vflfast.tables import files, id_texts, sorting


@contextmanager
def passes_of(n_ids: int, scratch: Path | None = None) -> Iterator[None]:
    """Let a pass take `n_ids` ids, a CSV's chunk about as many cells; with `scratch`, every array is mapped, however small."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for module in (id_texts, sorting, files):
            patch.setattr(module, "IDS_PER_PASS", n_ids)
        patch.setattr(storage, "ROWS_PER_PASS", n_ids)
        patch.setattr(files, "BLOCK_CHARS", 16 * n_ids)
        patch.setattr(files, "CHUNK_CELLS", 4 * n_ids)
        stack.enter_context(storage.use_scratch(scratch, least_bytes=1))
        yield


def is_mapped(array: Any) -> bool:
    """Whether an array's numbers are in a file."""
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None
