"""Files from the Hugging Face Hub, by `huggingface_hub`: its cache, its token, its offline mode.

``hf auth login`` or ``HF_TOKEN`` opens private repositories, ``HF_HOME`` names the cache's folder,
``HF_ENDPOINT`` another host, ``HF_HUB_OFFLINE`` or ``ZOO_OFFLINE`` keep to what the cache has. What
a branch or a tag led to first is kept as a hash in our own cache, as for other published files: a
later one has to be the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from weights import formats
from weights.address import Address, parse
from weights.pretrained.cache import cache_folder, is_offline
from weights.pretrained.hashes import mismatch, pin, pinned, sha256
from zoo.errors import NotInstalledError, WeightsError, ZooError

PREFERRED = ("model.safetensors", "pytorch_model.bin")
"""What the hub's own libraries call a file of weights, by format."""
TOKEN = "hf auth login, or HF_TOKEN"


def fetch(text: str, *, published: bool = False) -> Path:
    """Return a file of the hub, downloaded unless its cache has it.

    Args:
        text: ``hf-hub:owner/repo[@revision][/file]``. Without a file, the one file of weights that
            is there; of several the one with the usual name, safetensors first.
        published: whether it has to stay the file that came first, also without a revision.

    Raises:
        WeightsError: the file cannot be had, or is another one than that which came first. The
            cache is left as it was.
        NotInstalledError: there is no `huggingface_hub`.
    """
    address = parse(text)
    with told(text, address) as hub:
        name = address.file or _only_file(hub, address)
        path = Path(
            hub.hf_hub_download(
                address.repo, name, revision=address.revision, local_files_only=is_offline()
            )
        )
    _require_as_stored(text, path)
    if not address.fixed and (published or address.revision):
        _require_unmoved(text, address, name, path)
    return path


def library(text: str) -> Any:
    """Return `huggingface_hub`.

    Args:
        text: what needs it.

    Raises:
        NotInstalledError: there is none.
    """
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise NotInstalledError(
            f"{text}: needs huggingface_hub (pip install 'parity-zoo[hub]')"
        ) from None
    return huggingface_hub


def _only_file(hub: Any, address: Address) -> str:
    """Return the name of the file of weights in a repository."""
    if is_offline():
        return _cached(hub, address)
    try:
        # Not `list_repo_files`, which tries for a minute where there is no network.
        found = hub.HfApi().model_info(address.repo, revision=address.revision).siblings or []
    except (*hub.errors.HfHubHTTPError.__bases__, OSError) as error:
        if isinstance(error, hub.errors.HfHubHTTPError) and error.response.status_code < 500:
            raise  # the hub answers: there is no such thing
        return _cached(hub, address, error)
    return choose(str(address), [file.rfilename for file in found])


def _cached(hub: Any, address: Address, error: Exception | None = None) -> str:
    """Return the name of the file that the cache has."""
    for name in PREFERRED:
        if isinstance(
            hub.try_to_load_from_cache(address.repo, name, revision=address.revision), str
        ):
            return name
    why = f"cannot be reached ({_line(error)})" if error else "is not asked for, offline"
    raise WeightsError(
        f"{address}: the hub {why}, and the cache has none of {', '.join(PREFERRED)} of it"
    )


def choose(place: str, names: list[str]) -> str:
    """Return which of a repository's files are the weights.

    Raises:
        WeightsError: there is none, or several that may be it.
    """
    for entry in formats.FORMATS.values():
        fitting = [name for name in sorted(names) if name.endswith(entry.suffixes)]
        usual = [name for name in fitting if name in PREFERRED]
        if len(usual or fitting) == 1:
            return (usual or fitting)[0]
        if fitting:
            some = ", ".join(fitting[:5]) + (", …" if len(fitting) > 5 else "")
            raise WeightsError(
                f"{place}: several files may be the weights ({some}); say which: "
                f"{place}/{fitting[0]}"
            )
    known = ", ".join(suffix for entry in formats.FORMATS.values() for suffix in entry.suffixes)
    some = ", ".join(sorted(names)[:5]) or "nothing"
    raise WeightsError(f"{place}: no file of weights ({known}) is there, but {some}")


def _require_as_stored(text: str, path: Path) -> None:
    """Hold a file against the hash that the hub said: its cache names what it stores by it."""
    stored = path.resolve()
    if not re.fullmatch(r"[0-9a-f]{64}", stored.name):
        return
    if (found := sha256(path)) != stored.name:
        raise WeightsError(
            f"{text}: {mismatch(found, stored.name)}, as the hub says; the copy in the cache is "
            f"damaged: delete {stored}"
        )


def _require_unmoved(text: str, address: Address, name: str, path: Path) -> None:
    """Hold a file against the hash of the first one that came by the same name."""
    folder = cache_folder() / "hub" / address.repo.replace("/", "--")
    first = folder / (address.revision or "main") / name
    digest, known = sha256(path) or "", pinned(first)
    if known is None:
        first.parent.mkdir(parents=True, exist_ok=True)
        pin(first, digest)
    elif known != digest:
        commit = path.parts[-1 - len(Path(name).parts)]
        raise WeightsError(
            f"{text}: {mismatch(digest, known)}, as when it came first: the revision has moved, to "
            f"{commit}; hf-hub:{address.repo}@{commit} takes what is there now, or delete "
            f"{first}.sha256"
        )


@contextmanager
def told(text: str, address: Address) -> Iterator[Any]:
    """Give `huggingface_hub`, and tell what it raises as ours, in one line.

    Args:
        text: what the message begins with.
        address: what is asked for.
    """
    hub = library(text)
    errors = hub.errors
    try:
        yield hub
    except ZooError:
        raise
    except errors.GatedRepoError:
        raise WeightsError(
            f"{text}: its owner asks for consent first, on its page; then {TOKEN}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise WeightsError(
            f"{text}: there is no such repository, or it is private ({TOKEN})"
        ) from None
    except errors.RevisionNotFoundError:
        raise WeightsError(
            f"{text}: there is no revision {address.revision!r}, or no longer"
        ) from None
    except errors.LocalEntryNotFoundError as error:
        raise WeightsError(
            f"{text}: the hub cannot be reached, and the cache has no such file "
            f"({_line(error.__cause__ or error)})"
        ) from None
    except errors.EntryNotFoundError:
        raise WeightsError(f"{text}: there is no file {address.file!r}") from None
    except (*errors.HfHubHTTPError.__bases__, OSError, ValueError) as error:
        response = getattr(error, "response", None)
        if response is not None and response.status_code in (401, 403):
            raise WeightsError(f"{text}: not allowed; it takes a token ({TOKEN})") from None
        raise WeightsError(f"{text}: {_line(error)}") from None


def _line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__
