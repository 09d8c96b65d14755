"""Where the Ray cluster is, whether it answers, what it has, and joining it.

A cluster is looked at by a process of its own (`python -m jobs.ray_cluster ADDRESS`): Ray waits for minutes
for an address that does not answer, and only a process can be stopped in the middle of that. It also keeps
Ray out of the process that serves the pages.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import causalmix_core
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import CONFIG_NAME, Workspace

TCP_SECONDS = 3.0
"""How long a machine may take to accept a connection."""
LOOK_SECONDS = 30.0
"""How long a cluster may take to say what it has."""
_ADDRESS = re.compile(r"(ray://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})")
_CLIENT = "ray://"
_HOW = (
    "Give the address of a running cluster as host:port, the one that `ray start --head` prints, or as "
    "ray://host:10001 (docs/RAY.md)."
)


class Means(BaseModel):
    """What a cluster has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpus: float = Field(ge=0)
    gpus: float = Field(ge=0)


class Address(BaseModel):
    """Where a cluster is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    host: str
    port: int = Field(ge=1, le=65535)

    @classmethod
    def parse(cls, text: str, origin: str) -> Address:
        """Read an address.

        Args:
            text: `host:port` or `ray://host:port`.
            origin: where it comes from, for the message.

        Raises:
            CausalMixError: it is none. `local` and `auto` are none either: a cluster is never started or
                guessed.
        """
        match = _ADDRESS.fullmatch(text.strip())
        if match is None or not 0 < int(match[3]) < 1 << 16:
            raise CausalMixError(f"{origin} is {text!r}, which is no address of a Ray cluster. {_HOW}")
        return cls(text=text.strip(), host=match[2].strip("[]"), port=int(match[3]))


def find_address(workspace: Workspace, chosen: str | None = None) -> Address:
    """The address of the cluster: what was chosen, else `RAY_ADDRESS`, else `ray_address` of the workspace.

    Raises:
        CausalMixError: none of them is given, or the one that counts is no address.
    """
    if chosen:
        return Address.parse(chosen, "The chosen address")
    if given := os.environ.get("RAY_ADDRESS"):
        return Address.parse(given, "The environment variable RAY_ADDRESS")
    if configured := workspace.config().ray_address:
        return Address.parse(configured, f"ray_address in {workspace.config_path}")
    raise CausalMixError(
        f"No Ray cluster is named. Set ray_address in {CONFIG_NAME} or the environment variable RAY_ADDRESS. "
        f"{_HOW}"
    )


def look_at(address: Address) -> Means:
    """Ask a cluster what it has; ends within `LOOK_SECONDS`.

    Raises:
        CausalMixError: Ray is not installed here, nothing answers, what answers is no Ray cluster, it is of
            another version, or this machine is no node of it.
    """
    _refuse_without_ray(address)
    try:
        with socket.create_connection((address.host, address.port), timeout=TCP_SECONDS):
            pass
    except OSError as error:
        raise CausalMixError(
            f"The Ray cluster at {address.text} does not answer ({error.strerror or error}). Start it with "
            "`ray start --head`, or correct the address."
        ) from error
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "jobs.ray_cluster", address.text],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LOOK_SECONDS,
            cwd=Path(__file__).resolve().parent.parent,
        )
    except subprocess.TimeoutExpired as error:
        raise CausalMixError(
            f"Something listens at {address.text}, but it does not answer as a Ray cluster does. {_HOW}"
        ) from error
    lines = answer.stdout.splitlines()
    try:
        return Means.model_validate_json(lines[-1] if lines else "")
    except ValidationError as error:
        said = (answer.stderr.splitlines() or ["it says nothing"])[-1]
        raise CausalMixError(
            said if said.startswith("The Ray cluster") else f"The Ray cluster at {address.text}: {said}"
        ) from error


@contextmanager
def joined(address: Address, *, code: bool = False) -> Iterator[None]:
    """Be a driver of the cluster; what still runs in the cluster for it ends with the block.

    Args:
        address: where the cluster is.
        code: send the library to the nodes, so that they train with this very version.

    Raises:
        CausalMixError: the cluster refuses.
    """
    _refuse_without_ray(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.pop("RAY_ADDRESS", None)  # what is given counts
    # A task that is out of memory again and again would be retried for ever.
    os.environ.setdefault("RAY_task_oom_retries", "3")
    import ray

    package = str(Path(causalmix_core.__file__).resolve().parent)
    try:
        ray.init(
            address=address.text,
            namespace="causalmix",
            log_to_driver=False,
            logging_level=logging.WARNING,
            runtime_env={"py_modules": [package], "excludes": ["__pycache__"]} if code else None,
        )
    except Exception as error:
        words = " ".join(str(error).split())[:400]
        here = "" if address.text.startswith(_CLIENT) else (
            " This machine must be a node of the cluster: run "
            f"`ray start --address={address.text} --num-cpus=0` here, or use ray://host:10001."
        )  # fmt: skip
        raise CausalMixError(f"The Ray cluster at {address.text} cannot be joined: {words}{here}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_without_ray(address: Address) -> None:
    if importlib.util.find_spec("ray") is None:
        raise CausalMixError("Ray is not installed. Install it with `pip install 'causalmix[ray]'`.")
    if address.text.startswith(_CLIENT) and importlib.util.find_spec("grpc") is None:
        raise CausalMixError(
            f"An address such as {address.text} needs Ray's client. Install it with `pip install "
            "'ray[client]'`."
        )


def main(arguments: list[str]) -> int:
    """Print what the cluster at an address has, as JSON; what is wrong with it as one line on stderr."""
    try:
        address = Address.parse(arguments[0], "The address")
        with joined(address):
            import ray

            found = ray.cluster_resources()
            print(json.dumps({"cpus": found.get("CPU", 0), "gpus": found.get("GPU", 0)}), flush=True)
    except CausalMixError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
