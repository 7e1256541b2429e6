"""The content-addressed store: fitted models and documents, named by the digest of their bytes.

A model set is one safetensors file: the arrays, and one metadata entry of canonical JSON that holds
every plain number. What is read is hashed first, so nothing damaged or exchanged is ever used, and
nothing read here can run code. Loading needs neither torch nor scikit-learn.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from models.model_set import ModelSet
from tables.stores.replacing import replacing

FORMAT = "tradewind-models-1"

_MODELS, _DOCUMENTS = "safetensors", "json"
_HEX_DIGITS = 64
_HEADER_KEY = "tradewind"
_LENGTH_BYTES = 8


class ArtifactError(Exception):
    """Base of every error of the store; each class names what the operator can do."""


class ArtifactMissing(ArtifactError):  # noqa: N818  says what is the case
    """No artefact has this digest.

    Operator action: fit or import the model set, or correct the digest in the epoch.
    """


class ArtifactCorrupt(ArtifactError):  # noqa: N818  says what is the case
    """A file's bytes are not those that its name promises, or not what the store writes.

    Operator action: delete the named file and put the artefact again from its source.
    """


class Artifacts:
    """Artefacts under one directory, which several processes may share.

    Parameters
    ----------
    root : Path
        Made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put_models(self, models: ModelSet) -> str:
        """Store a model set; give its SHA-256 in hex.

        The same models give the same digest; storing twice changes nothing.

        Raises
        ------
        ValueError
            If a number in the metadata is not finite: JSON has no word for it.
        """
        return self._put(_models_to_bytes(models), _MODELS)

    def load_models(self, digest: str) -> ModelSet:
        """Load the model set of this digest.

        Raises
        ------
        ArtifactMissing, ArtifactCorrupt
        """
        return _models_from_bytes(self._load(digest, _MODELS), digest)

    def metadata_of(self, digest: str) -> dict[str, Any]:
        """Return what the model set of this digest says of itself, without its arrays.

        Raises
        ------
        ArtifactMissing, ArtifactCorrupt
        """
        metadata: dict[str, Any] = _header(self._load(digest, _MODELS), digest)["metadata"]
        return metadata

    def path_of_models(self, digest: str) -> Path:
        """Return where the file of a model set is.

        Raises
        ------
        ArtifactMissing
            If the text is no digest.
        """
        return self._path(digest, _MODELS)

    def put_file(self, file: Path, digest: str) -> str:
        """Store the file of a model set that comes from elsewhere; give its digest.

        Raises
        ------
        ArtifactCorrupt
            If its bytes have another digest, or are no model set of this version.
        """
        data = file.read_bytes()
        actual = hashlib.sha256(data).hexdigest()
        if actual != digest:
            raise ArtifactCorrupt(f"{file} must have the digest {digest}, was {actual}")
        _models_from_bytes(data, digest)
        return self._put(data, _MODELS)

    def put_json(self, document: Any) -> str:  # noqa: ANN401  any JSON value
        """Store a JSON document in canonical form; give its SHA-256 in hex."""
        return self._put(canonical_json(document), _DOCUMENTS)

    def load_json(self, digest: str) -> Any:  # noqa: ANN401  any JSON value
        """Load the document of this digest.

        Raises
        ------
        ArtifactMissing, ArtifactCorrupt
        """
        return json.loads(self._load(digest, _DOCUMENTS))

    def list_models(self) -> tuple[str, ...]:
        """List the digests of all model sets, sorted."""
        return self._list(_MODELS)

    def list_json(self) -> tuple[str, ...]:
        """List the digests of all documents, sorted."""
        return self._list(_DOCUMENTS)

    def find(self, **wanted: Any) -> tuple[str, ...]:  # noqa: ANN401  any JSON value
        """List the digests of the model sets whose metadata has all these entries, sorted.

        A model set that another version of the program fitted has other metadata, and is passed
        over.

        Raises
        ------
        ArtifactCorrupt
            If any model file of the store is damaged.
        """
        return tuple(digest for digest in self.list_models() if self._matches(digest, wanted))

    def _matches(self, digest: str, wanted: dict[str, Any]) -> bool:
        metadata = self.metadata_of(digest)
        return all(key in metadata and metadata[key] == value for key, value in wanted.items())

    def _path(self, digest: str, kind: str) -> Path:
        if len(digest) != _HEX_DIGITS or set(digest) - set("0123456789abcdef"):
            raise ArtifactMissing(
                f"a digest is {_HEX_DIGITS} lower-case hex digits, was {digest!r}"
            )
        return self.root / f"{digest}.{kind}"

    def _list(self, kind: str) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in self.root.glob(f"{'?' * _HEX_DIGITS}.{kind}")))

    def _put(self, data: bytes, kind: str) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest, kind)
        self.root.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write(data)
        return digest

    def _load(self, digest: str, kind: str) -> bytes:
        path = self._path(digest, kind)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise ArtifactMissing(f"no {kind} artefact {digest} in {self.root}") from error
        actual = hashlib.sha256(data).hexdigest()
        if actual != digest:
            raise ArtifactCorrupt(f"{path} must have the digest {digest}, was {actual}")
        return data


def canonical_json(document: Any) -> bytes:  # noqa: ANN401  any JSON value
    """Encode a JSON document so that equal documents have equal bytes.

    Keys sorted, no blanks, UTF-8, shortest form of floats.

    Raises
    ------
    ValueError
        If a number is not finite.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": [0.5, None]})
    b'{"a":[0.5,null],"b":1}'
    """
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def pack_part(part: Any) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:  # noqa: ANN401  any NamedTuple of numbers and arrays
    """Split a fitted part into its plain numbers and its arrays, by field."""
    kinds = get_type_hints(type(part))
    numbers = {n: v for n, v in part._asdict().items() if kinds[n] in {int, float}}
    arrays = {
        n: np.ascontiguousarray(v)
        for n, v in part._asdict().items()
        if kinds[n] not in {int, float}
    }
    return numbers, arrays


def _models_to_bytes(models: ModelSet) -> bytes:
    header: dict[str, Any] = {"format": FORMAT, "metadata": models.metadata}
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    for part, _ in _parts():
        header[part], arrays = pack_part(getattr(models, part))
        tensors |= {f"{part}.{field}": array for field, array in arrays.items()}
    return part_bytes(header, tensors)


def _models_from_bytes(data: bytes, digest: str) -> ModelSet:
    try:
        header = _header(data, digest)
        _, tensors = read_part(data)
        parts = {
            part: kind(
                **{
                    field: header[part][field]
                    if field in header[part]
                    else tensors[f"{part}.{field}"]
                    for field in kind._fields
                }
            )
            for part, kind in _parts()
        }
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ArtifactCorrupt(f"{digest} is no model set of this version: {error!r}") from error
    return ModelSet(**parts, metadata=header["metadata"])


def _header(data: bytes, digest: str) -> dict[str, Any]:
    """Read the plain values of a model file: metadata and numbers, without its arrays."""
    try:
        header = _plain(data)
        found = header["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactCorrupt(f"{digest} is no model set of this version: {error!r}") from error
    if found != FORMAT:
        raise ArtifactCorrupt(f"{digest} must have the format {FORMAT}, was {found}")
    return header


def _plain(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    outer = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    plain: dict[str, Any] = json.loads(outer["__metadata__"][_HEADER_KEY])
    return plain


def part_bytes(numbers: dict[str, Any], arrays: dict[str, np.ndarray[Any, Any]]) -> bytes:
    """Encode plain values and arrays as one safetensors file."""
    return save_tensors(arrays, {_HEADER_KEY: canonical_json(numbers).decode()})


def read_part(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Decode plain values and arrays.

    Raises
    ------
    KeyError, TypeError, ValueError, SafetensorError
        If the bytes are no such file.
    """
    return _plain(data), load_tensors(data)


def _parts() -> Iterator[tuple[str, Any]]:
    for name, kind in get_type_hints(ModelSet).items():
        if hasattr(kind, "_fields"):
            yield name, kind
