"""Weights from files and into files, whatever the format and the code base."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from weights import formats
from weights.address import is_address
from weights.canonical import Weights, check
from weights.dialects import Named, find_dialect
from weights.entries import choose
from weights.recognize import recognize
from weights.stated import PICTURES, metadata, stated_preprocessing, stated_spec
from zoo.arch import Spec
from zoo.arch.preprocessing import Preprocessing
from zoo.arch.spec import Conventions
from zoo.errors import WeightsError
from zoo.families import base_model
from zoo.families import spec as to_spec
from zoo.families.stems import with_stem_of

FRAMEWORKS = {"torch": "torch", "mindspore": "mindspore"}
"""Format → the framework that alone writes it."""
OWN_DIALECTS = {".ckpt": "zoo_mindspore"}
"""Suffix → our dialect for it, where that is not the canonical one."""


@dataclass(frozen=True, eq=False, repr=False)
class Checkpoint(Mapping[str, np.ndarray]):
    """The weights in a file, by canonical name, and what they turned out to be.

    It is a mapping, so that ``zoo.set_weights(model, zoo.load_weights(path))`` works.

    Attributes:
        path: the file.
        format: "safetensors", "torch", "mindspore", "onnx" or "npz".
        entry: where in the file the weights were; "" in files that are one flat set.
        dialect: the code base whose names they had.
        spec: the network, with the conventions it was trained in.
        weights: canonical name → float32 array, a read-only view of the file's bytes where it can
            be: copy one before you change it.
        notes: what else was found in the file, what was not read, and what is odd.
        stated: how pictures were prepared, as the file or its publisher says; None where neither
            does, see `preprocessing`.
        told: whether the file, or who read it, tells the conventions; if not, the stem of the code
            base's published networks is assumed, see `zoo.families.stems.with_stem_of`.
    """

    path: Path
    format: str
    entry: str
    dialect: str
    spec: Spec
    weights: Weights
    notes: tuple[str, ...]
    stated: Preprocessing | None = None
    told: bool = True

    def __getitem__(self, name: str) -> np.ndarray:
        return self.weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def model(self) -> str:
        """The catalog's name of the network, or what it is called that is none of the catalog."""
        return base_model(self.spec) or self.spec.label

    @property
    def names(self) -> Named | None:
        """The names that further files of its code base have; None where it has none of its own."""
        return None

    @property
    def as_read(self) -> Checkpoint:
        """The same under the names, and in the order of channels, in which it was read."""
        return self

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How a picture becomes the input that the weights want; None where it is not known.

        Files of ours say it, if it was known when they were written; of others it is known by whose
        names they have, for ImageNet's classes.
        """
        from weights.pretrained.known import known_preprocessing

        return self.stated or known_preprocessing(self.spec, self.dialect)

    def summary(self) -> str:
        """Return what was found, in a few lines."""
        values = sum(array.size for array in self.weights.values())
        place = f", entry {self.entry!r}" if self.entry else ""
        lines = [
            f"{self.path}: {self.format} file{place}, names of {self.dialect}",
            f"{describe(self.spec)}; {len(self)} arrays, {values:,} values",
            *([f"pictures: {self.preprocessing}"] if self.preprocessing else []),
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Checkpoint {self.summary()}>"


def describe(spec: Spec) -> str:
    """Return a network in one line: name, conventions, classes, input."""
    name = base_model(spec)
    if name is None and not spec.told_by_shapes:
        name = f"{spec.label} ({spec.family})"
    elif name is None:
        own = {f.name for f in dataclasses.fields(Spec)}
        fields = [f.name for f in dataclasses.fields(spec) if f.name not in own]
        values = ", ".join(f"{field}={getattr(spec, field)}" for field in fields)
        name = f"{spec.family} ({values})"
    classes = f"{spec.num_classes} classes" if spec.num_classes else "no classifier"
    return (
        f"{name}, conventions {spec.conventions_told}, {classes}, {spec.in_channels} input channels"
    )


def load_weights(
    path: str | Path,
    *,
    model: str | Spec | Checkpoint | None = None,
    dialect: str | None = None,
    conventions: str | Conventions | None = None,
    entry: str | None = None,
) -> Checkpoint:
    """Return the weights in a file of any supported format and code base.

    Format, code base, network, width, groups and classes are found from the bytes, names and
    shapes. No code in the file is run, and no framework is needed.

    Args:
        path: the file, or one on the Hugging Face Hub: ``hf-hub:owner/repo[@revision][/file]``.
        model: the network that is expected, a name or a spec. Only needed where the file does not
            tell the conventions: files of our own names that do not carry their spec. With what
            `zoo.adopt` returned, the names may be those of its code base.
        dialect: consider only this code base's names.
        conventions: a preset, where the names do not tell it.
        entry: which set of arrays in the file, if there are several.

    Raises:
        WeightsError: the file is missing, damaged, of no known network, of another one than
            ``model``, or ambiguous; the message lists what does not fit, or the candidates.
        UnknownNameError: no such model, dialect, preset or entry.

    Example:
        >>> zoo.load_weights("theirs.pth").spec.groups  # doctest: +SKIP
        3
    """
    path, said = located(path)
    format_name, contents = formats.read(path)
    like = to_spec(model) if model is not None else None
    names = model.names if isinstance(model, Checkpoint) and not (dialect or conventions) else None
    try:
        place, arrays, notes = choose(contents, entry)
        stated = stated_spec(contents.metadata, len(arrays))
        pictures = stated_preprocessing(contents.metadata)
        if stated is not None and conventions is None:
            found = recognize(arrays, dialect=dialect, like=stated, conventions=stated.conventions)
            found = dataclasses.replace(found, spec=_with_details(found.spec, stated))
        else:
            found = recognize(
                arrays, dialect=dialect, names=names, like=like, conventions=conventions,
                framework=FRAMEWORKS.get(format_name),
            )  # fmt: skip
            if like is not None and conventions is None:
                found = dataclasses.replace(found, spec=with_stem_of(like, found.spec))
        weights, oddities = found.canonical()
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    if like is not None:
        require_same_network(path, found.spec, like)
    return Checkpoint(
        path, format_name, place, found.dialect.name, found.spec, weights,
        (*said, *notes, *found.notes, *oddities), pictures,
        told=stated is not None or conventions is not None,
    )  # fmt: skip


def located(path: str | Path) -> tuple[Path, tuple[str, ...]]:
    """Return where a file is, and a note on where it came from if that is the hub.

    Raises:
        WeightsError: the hub's file cannot be had.
    """
    if not is_address(path):
        return Path(path), ()
    from weights.pretrained import hub  # the only use of what it imports

    found = hub.fetch(str(path))
    return found, (f"from {path}",)


def save_weights(
    path: str | Path,
    spec: Spec,
    weights: Mapping[str, np.ndarray],
    *,
    dialect: str | None = None,
    format: str | None = None,
    split: bool = False,
    preprocessing: Preprocessing | None = None,
    force: bool = False,
    verify: Callable[[Path], None] | None = None,
) -> None:
    """Write weights to a file, with the spec in its metadata. All or nothing.

    Args:
        path: the destination; its suffix decides the format.
        spec: the network.
        weights: canonical name → array.
        dialect: whose names the file has; by default our own, MindSpore's spelling in a ``.ckpt``.
            The conventions have to be those that the spec has.
        format: instead of the suffix's.
        split: write group convolutions as one convolution a group.
        preprocessing: how pictures are prepared for the weights, where that is known.
        force: replace an existing file.
        verify: called with the temporary file before it takes its place; what it raises leaves
            the old file as it was.

    Raises:
        WeightsError: the weights do not fit.
        OutputError: the destination exists or cannot be written.
        UnknownNameError: no such dialect or format.
    """
    path = Path(path)
    name = dialect or own_dialect(path)
    (chosen,) = find_dialect(name, spec.family)
    arrays = chosen.write(spec.graph, check(spec.graph, weights), split=split)
    told = metadata(spec, name)
    if preprocessing is not None:
        told[PICTURES] = preprocessing.to_json()
    formats.write(path, arrays, told, format=format, force=force, verify=verify)


def own_dialect(path: Path) -> str:
    """Return the name of our dialect for a destination."""
    return OWN_DIALECTS.get(path.suffix, "zoo")


def require_same_network(path: Path, found: Spec, wanted: Spec) -> None:
    """Raise `WeightsError` unless two specs are one network, whatever head, input, conventions."""
    if type(found) is not type(wanted):
        raise WeightsError(
            f"{path}: holds {base_model(found) or found.family}, not "
            f"{base_model(wanted) or wanted.family}: another family"
        )
    adaptable = {f.name for f in dataclasses.fields(Spec)}
    different = [
        f"{field.name} (={getattr(found, field.name)}) must be {getattr(wanted, field.name)}"
        for field in dataclasses.fields(wanted)
        if field.name not in {*adaptable, *wanted.weightless}
        and getattr(found, field.name) != getattr(wanted, field.name)
    ]
    if different:
        raise WeightsError(
            f"{path}: holds {base_model(found) or found.family}, not "
            f"{base_model(wanted) or wanted.family}: {', '.join(different)}"
        )


def _with_details(found: Spec, stated: Spec) -> Spec:
    """Return the stated spec if it is what was found, but for what arrays cannot tell."""
    details = {field: getattr(stated, field) for field in type(stated).weightless}
    if type(found) is not type(stated) or dataclasses.replace(found, **details) != stated:
        raise WeightsError(
            f"the file's metadata says {describe(stated)}, its arrays are {describe(found)}"
        )
    return stated
