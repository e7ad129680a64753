"""Where a run lives: a folder, or a prefix in a bucket. Names are relative, with `/` between their parts."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from ursa_ray.errors import OptionError, StoreError
from ursa_ray.ledger.folder import FolderStore


class Store(Protocol):
    """Files that are there whole or not at all.

    What cannot be done is an `OSError` with a `strerror`; what is not there a `FileNotFoundError`.
    """

    url: str
    """What the user calls it."""

    @property
    def anywhere(self) -> str:
        """The same for processes that run elsewhere."""
        ...

    def names(self, folder: str) -> list[str]:
        """Names of what is directly in `folder`, in order: files and folders; none if there is no such folder."""
        ...

    def exists(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes: ...

    def sha256(self, name: str) -> str | None:
        """Of the content of a file, in hexadecimal digits; None if there is none."""
        ...

    def create(self, name: str, content: bytes) -> None:
        """Put a file where none is; it survives a crash of the machine from the moment that this returns.

        Raises:
            FileExistsError: there is one, and it is not of this very call.
        """
        ...

    def put(self, name: str, content: bytes) -> None:
        """Put a file, in place of one that may be there. A crash of the machine may undo it, never tear it."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with its files, if it is there; best effort."""
        ...

    def reading(self, name: str) -> AbstractContextManager[Path]:
        """A local file of the same last name with the content of `name`, for as long as the context lasts."""
        ...

    def writing(self, folder: str) -> AbstractContextManager[Path]:
        """A local folder; files that are published in it are in `folder` of the store once the context has ended."""
        ...

    def lease(self, holder: str) -> AbstractContextManager[None]:
        """Keep other renders out for as long as the context lasts, and clear away what killed ones left.

        Raises:
            LeaseError: another holds the lease; says who.
            OptionError: it cannot be written.
        """
        ...

    def holder(self) -> str | None:
        """Who holds the lease, None if nobody; looking keeps nobody out."""
        ...


def refused(store: Store, name: str, error: Exception) -> StoreError:
    """What to tell of a file, or of those in a folder, that cannot be written."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return StoreError(
        f"{store.url}/{name}: cannot be written ({why}). What is committed is safe; mend that and render again."
    )


def open_store(url: str | Path) -> Store:
    """The store at a folder's path or at `s3://bucket/prefix`; nothing is read or written yet.

    Raises:
        OptionError: it is neither, or boto3 is missing.
    """
    if isinstance(url, Path) or "://" not in url:
        return FolderStore(Path(url))
    if not url.startswith("s3://"):
        raise OptionError(f"{url}: a run is in a folder or at s3://bucket/prefix.")
    try:
        from ursa_ray.ledger.s3 import S3Store
    except ModuleNotFoundError as error:
        raise OptionError(f'{url}: needs boto3, which is missing. pip install "ursa-ray[s3]"') from error
    return S3Store(url)
