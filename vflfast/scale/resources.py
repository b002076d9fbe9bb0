"""What one party's run may use besides this machine's memory and threads: a cluster of its own, a scratch disk. No other party sees it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..crypto import engine, storage
from ..errors import ClusterError, InputError
from ..net.config import is_loopback, split_address
from ..tables.toml import known, text

FILES = ("ca", "certificate", "key")
SETTINGS = {"workers", "scheduler", "plaintext", "scratch", *FILES}
MAX_WORKERS = 1024
START_SECONDS = 60.0
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Resources:
    """A party's cluster and scratch disk; InputError for parts that do not fit.

    Attributes
    ----------
    workers
        Worker processes of a cluster on this machine, one thread each, behind certificates made for the run; 0: none.
    scheduler
        Address of an existing Dask scheduler, such as tls://10.0.0.5:8786, in place of `workers`.
    ca, certificate, key
        PEM files for it.
    plaintext
        No TLS: only for a scheduler at a loopback address. Whoever reaches a scheduler runs programs on it.
    scratch
        Folder for large arrays, or None: memory.
    """

    workers: int = 0
    scheduler: str | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    plaintext: bool = False
    scratch: Path | None = None

    def __post_init__(self) -> None:
        if isinstance(self.workers, bool) or not isinstance(self.workers, int) or not 0 <= self.workers <= MAX_WORKERS:
            raise InputError("resources.workers", f"must be a whole number from 0 to {MAX_WORKERS}")
        if not isinstance(self.plaintext, bool):
            raise InputError("resources.plaintext", "must be true or false")
        given = [name for name in FILES if getattr(self, name) is not None]
        if self.scheduler is None:
            if given or self.plaintext:
                raise InputError(f"resources.{[*given, 'plaintext'][0]}", "belongs to a scheduler")
            return
        if self.workers:
            raise InputError("resources.workers", "belongs to a cluster on this machine; an existing scheduler has its own")
        self._check_scheduler(self.scheduler, given)

    def _check_scheduler(self, address: str, given: list[str]) -> None:
        scheme, _, place = address.partition("://")
        host, _ = split_address("resources.scheduler", place)
        if scheme != ("tcp" if self.plaintext else "tls"):
            raise InputError("resources.scheduler", "must be tls://host:port, or tcp://host:port with plaintext = true")
        if self.plaintext and (given or not is_loopback(host)):
            raise InputError("resources.plaintext", "is for loopback addresses, without certificates")
        for name in () if self.plaintext else FILES:
            path = getattr(self, name)
            if path is None or not path.is_file():
                raise InputError(f"resources.{name}", "must be a PEM file, for a scheduler reached by TLS")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Run a block with them: large arrays in the scratch folder, heavy passes on the cluster; results do not depend on it.

        Raises
        ------
        InputError
            The folder cannot be written to, or `distributed` is not installed.
        ClusterError
            The cluster does not start or cannot be reached.
        """
        with ExitStack() as stack:
            stack.enter_context(storage.use_scratch(self.scratch))
            if self.workers or self.scheduler:
                from .cluster import DaskEngine  # loads compiled code

                stack.enter_context(engine.use(DaskEngine(stack.enter_context(self._client()))))
            yield

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            import distributed
        except ImportError as error:
            raise InputError("resources", "a cluster needs the package distributed: pip install 'vflfast[cluster]'") from error
        with ExitStack() as stack:
            try:
                address: Any = self.scheduler or stack.enter_context(self._local(distributed, stack))
                client = distributed.Client(  # type: ignore[no-untyped-call]
                    address, security=self._security(distributed), direct_to_workers=True, set_as_default=False, timeout=START_SECONDS
                )
                stack.callback(client.close)
            except (OSError, TimeoutError, ValueError) as error:
                raise ClusterError(f"the cluster cannot be reached: {type(error).__name__}") from error
            yield client

    def _local(self, distributed: Any, stack: ExitStack) -> Any:
        """Return a cluster of processes that only this process can reach."""
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vflfast-cluster-"))
        return distributed.LocalCluster(
            n_workers=self.workers, threads_per_worker=1, memory_limit=0, host=LOOPBACK, dashboard_address=f"{LOOPBACK}:0",
            worker_dashboard_address=f"{LOOPBACK}:0", security=True, local_directory=folder,
        )

    def _security(self, distributed: Any) -> Any:
        if self.scheduler is None or self.plaintext:
            return None
        files = {"tls_ca_file": str(self.ca), "tls_client_cert": str(self.certificate), "tls_client_key": str(self.key)}
        return distributed.Security(require_encryption=True, **files)


NO_RESOURCES = Resources()


def read_resources(section: Mapping[str, Any], folder: Path) -> Resources:
    """Return the resources of a job file's section; relative paths start at `folder`; InputError names what is wrong."""
    known("resources", section, SETTINGS)
    given: dict[str, Any] = {name: section[name] for name in ("workers", "plaintext") if name in section}
    given |= {name: folder / text(f"resources.{name}", section[name]) for name in ("scratch", *FILES) if name in section}
    if "scheduler" in section:
        given["scheduler"] = text("resources.scheduler", section["scheduler"])
    return Resources(**given)


def with_choice(resources: Resources, cluster: str | None, scratch: Path | None) -> Resources:
    """Return the resources that a command line changes: a number of workers, or a loopback scheduler's address; and a folder.

    Raises
    ------
    InputError
        `cluster` is neither.
    """
    if scratch is not None:
        resources = replace(resources, scratch=scratch)
    if cluster is None:
        return resources
    if cluster.isdecimal() and len(cluster) < 6:
        return Resources(workers=int(cluster), scratch=resources.scratch)
    if resources.scheduler is not None and "://" in cluster:  # its certificates stay those of the file
        return replace(resources, scheduler=cluster)
    return Resources(scheduler=cluster, plaintext=cluster.startswith("tcp://"), scratch=resources.scratch)
