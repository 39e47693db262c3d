"""What is known of one published file of weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from weights.address import is_address, parse
from weights.dialects import find_dialect
from zoo.arch.preprocessing import Preprocessing
from zoo.families.registry import catalog
from zoo.renamed import warn


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """One published file of weights.

    Attributes:
        model: the network's name in the catalog (`zoo.list_models`).
        tag: who trained it on what, ``"mindcv/imagenet1k"``; unique for the model.
        url: where the publisher has the file; ``hf-hub:OWNER/REPO`` on the Hugging Face Hub;
            ``package:NAME`` for one of those that come with this package
            (``weights/pretrained/bundled/``).
        sha256: the first hexadecimal digits, at least 8, of the file's SHA-256. Eight find every
            damage, but stop nobody who is out to forge a file. "" on the hub, which says it itself.
        size: bytes of the file, or None where the publisher does not say.
        license: SPDX identifier, as the publisher states it; ``NOASSERTION`` where none is stated.
        dialect: whose names and layouts the arrays in the file have.
        preset: the conventions that the network was trained in, where they are not those that the
            code base has otherwise.
        preprocessing: of the pictures that the accuracy was measured on.
        top1: accuracy in percent on the data set's validation part, as published, or None.
        top5: likewise.
        source: the page that states the accuracy.
        measured_on: the images that the accuracy was measured on, where they are not the data set's
            validation part.
        classes: the names of the classes in order, where they are few; empty otherwise.

    Raises:
        ValueError: the hash or tag is malformed, or the URL names no file.
    """

    model: str
    tag: str
    url: str
    sha256: str
    size: int | None
    license: str
    dialect: str
    preprocessing: Preprocessing
    top1: float | None
    top5: float | None
    source: str
    measured_on: str = ""
    preset: str = ""
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256) and not (
            self.on_hub and self.sha256 == ""
        ):
            raise ValueError(f"sha256 (={self.sha256!r}) must be 8 to 64 lower-case hex digits")
        # The tag is a folder of the cache and the URL's last part a file there: neither may lead
        # to another place.
        word = r"[a-z0-9][\w.-]*"
        if not re.fullmatch(word if self.packaged else f"{word}/{word}", self.tag, re.ASCII):
            told = "'dataset'" if self.packaged else "'publisher/dataset'"
            raise ValueError(f"tag (={self.tag!r}) must be like {told}")
        if self.on_hub:
            parse(self.url)
        elif not re.fullmatch(r"\w[\w.+-]*", self.file.rpartition("/")[2], re.ASCII):
            raise ValueError(f"url (={self.url!r}) must end in the name of a file")

    @property
    def file(self) -> str:
        """The file's place in the cache: the tag's folder and the publisher's file name.

        Of the hub's, whose cache is `huggingface_hub`'s, what tells them apart.
        """
        return f"{self.tag}/{urlsplit(self.url).path.rpartition('/')[2]}"

    @property
    def licence(self) -> str:
        """The name of before for `license`."""
        warn("Pretrained.licence", "license")
        return self.license

    @property
    def packaged(self) -> bool:
        """Whether the file comes with this package."""
        return urlsplit(self.url).scheme == "package"

    @property
    def on_hub(self) -> bool:
        """Whether the file is on the Hugging Face Hub."""
        return is_address(self.url)

    @property
    def conventions(self) -> str | None:
        """The preset that the network has: its code base's, unless it is stated."""
        if self.preset:
            return self.preset
        spec = catalog()[self.model]
        (dialect,) = find_dialect(self.dialect, spec.family)
        return dialect.preset(spec.repeats)
