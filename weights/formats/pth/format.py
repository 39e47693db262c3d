"""PyTorch's checkpoints (.pth, .pt, .pth.tar, .bin), read and written without PyTorch.

A checkpoint is a pickle beside the bytes of its arrays: `pickles` reads the one as data,
`tensors` makes views of the others, `archive` and `legacy` know how they lie in a
file, and `tree` finds the sets of arrays in what people save around them.
"""

from __future__ import annotations

from dataclasses import replace

from weights.formats.arrays import metadata_from_json
from weights.formats.contents import Contents, Format
from weights.formats.pth.archive import is_zip, read_zip
from weights.formats.pth.legacy import is_legacy, read_legacy
from weights.formats.pth.tree import contents_of
from weights.formats.pth.write import MAX_METADATA, METADATA, write_zip
from zoo.errors import WeightsError

# The first member of a file from before PyTorch 0.1.10: a tar archive, told by "ustar" in its head.
_TAR_MEMBERS = (b"sys_info\0", b"pickle\0", b"tensors\0", b"storages\0")


def matches(data: memoryview) -> bool:
    """Tell whether bytes are one of PyTorch's files, of any age."""
    return is_zip(data) or is_legacy(data) or _is_tar(data)


def read(data: memoryview) -> Contents:
    """Return every dict of arrays in a checkpoint under its path, and notes on the rest.

    Raises:
        WeightsError: the file is damaged, holds no dict of arrays, or names something that is
            neither a tensor nor a plain container. Nothing that it names is imported or called.
    """
    if _is_tar(data):
        raise WeightsError(
            "a tar archive of PyTorch before 0.1.10 (2017), which is not read; load it with a "
            "PyTorch of your trust and save its state_dict() again"
        )
    if is_legacy(data):
        return contents_of(*read_legacy(data))
    found, records, archive = read_zip(data)
    contents = contents_of(found, records)
    if METADATA not in archive:
        return contents
    record = archive[METADATA]
    metadata = metadata_from_json(record) if len(record) <= MAX_METADATA else None
    if metadata is None:
        note = f"record {METADATA}: not a short dict of texts, not read"
        return replace(contents, notes=(*contents.notes, note))
    return replace(contents, metadata=metadata)


def _is_tar(data: memoryview) -> bool:
    return bytes(data[257:262]) == b"ustar" and bytes(data[:10]).startswith(_TAR_MEMBERS)


FORMAT = Format(
    name="torch",
    suffixes=(".pth", ".pt", ".pth.tar", ".bin"),
    matches=matches,
    read=read,
    write=write_zip,
)
