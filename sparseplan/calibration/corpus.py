"""From text, tokens or images to the files that a training reads: split by document, hashed, ready to map into memory.

A corpus is prepared once into a folder of its own (`train.bin`, `valid.bin`, `corpus.json`, and `tokenizer.json` for
BPE), named by a hash of the sources and the choices: found there the next time, and never written over by another one.
Token files that are already split, the nanoGPT habit, are used where they lie.

Documents are files; one above `PIECE_BYTES` is cut at line ends. A document goes to training or validation by a hash of
its content, and equal documents count once, so nothing is in both, and a new file moves no old one.
"""

import hashlib
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from sparseplan.calibration.images import ImageCorpus, prepare_images
from sparseplan.common.files import open_regular, read_regular, replacing
from sparseplan.common.json_struct import decode
from sparseplan.errors import CorpusError
from sparseplan.runs.spec import DataSpec, Dtype, Split
from sparseplan.shapes.base import Inputs

PIECE_BYTES = 2**18
END_OF_DOCUMENT = b"\0"
SEPARATOR = "<|end|>"
_STDLIB_ASIDE = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__", "lib2to3"}

Tokens = NDArray[np.unsignedinteger[Any]]
Share = Annotated[float, Meta(gt=0, lt=1, description="Share of the documents that are kept for validation.")]


class TextCorpus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="text"):
    """Text files and folders, read as bytes, or through a BPE tokenizer trained on the training documents.

    Attributes:
        paths: Files, and folders that are searched for `patterns`; none stands for Python's standard library.
        patterns: Names that are read in folders.
        valid_share: Share of the documents kept for validation.
        bpe_vocab: Size of the BPE vocabulary, separator included; None trains on bytes.
    """

    paths: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ("*.py", "*.txt", "*.md", "*.rst", "*.c", "*.h")
    valid_share: Share = 0.05
    bpe_vocab: Annotated[int, Meta(ge=257, le=2**24)] | None = None


class TokenCorpus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="tokens"):
    """Token files: `.bin` of raw little-endian numbers, or `.npy`.

    Attributes:
        train: The training tokens.
        valid: The validation tokens; None takes the last `valid_share` of `train`.
        dtype: How `.bin` files are stored; `.npy` files say so themselves and must agree.
        valid_share: Share of `train` that is kept for validation where `valid` is None.
        bytes_per_token: Mean bytes of text behind a token, for bits a byte; None where unknown.
        vocab: Size of the vocabulary, as of weights to start from; None takes the largest token that occurs, and one.
    """

    train: str
    valid: str | None = None
    dtype: Dtype = "uint16"
    valid_share: Share = 0.05
    bytes_per_token: Annotated[float, Meta(gt=0)] | None = None
    vocab: Annotated[int, Meta(ge=2, le=2**24)] | None = None


Corpus = TextCorpus | TokenCorpus | ImageCorpus


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies in a prepared folder, as `corpus.json`.

    Attributes:
        corpus: The choices that it was made with.
        sources_sha256: Hash of all documents that went in.
        documents: Distinct documents, training and validation.
        data: The files, hashed.
        vocab: Size of the vocabulary.
        description: In words, for a report.
    """

    corpus: TextCorpus
    sources_sha256: str
    documents: tuple[int, int]
    data: DataSpec
    vocab: int
    description: str


class Prepared(NamedTuple):
    """The data of a corpus, the size of its vocabulary or what its images are, and what it is, in words."""

    data: DataSpec
    inputs: Inputs
    description: str


def prepare(corpus: Corpus, folder: Path, *, max_epochs: float = 1.0) -> Prepared:
    """The data of a corpus, prepared below `folder` if it isn't already.

    Raises:
        CorpusError: if sources can't be read or are too few, or the tokenizer's package is missing.
    """
    inputs: Inputs
    if isinstance(corpus, ImageCorpus):
        data, inputs, description = prepare_images(corpus, folder)
    elif isinstance(corpus, TokenCorpus):
        data, inputs = _token_files(corpus)
        description = f"{data.train.tokens} + {data.valid.tokens} {data.unit}s"
    else:
        manifest = prepare_text(corpus, folder)
        data, inputs, description = manifest.data, manifest.vocab, manifest.description
    return Prepared(msgspec.structs.replace(data, max_epochs=max_epochs), inputs, description)


def prepare_text(corpus: TextCorpus, folder: Path) -> Manifest:
    """Prepare text as `prepare` does; returns the manifest of the corpus's own folder below `folder`."""
    documents = sorted(set(_documents(corpus)))
    sources = hashlib.sha256()
    for document in documents:
        sources.update(hashlib.sha256(document).digest())
    choices = msgspec.json.encode(corpus, order="deterministic")
    folder = folder / hashlib.sha256(choices + sources.digest()).hexdigest()[:16]
    known = read_manifest(folder)
    if known is not None and known.corpus == corpus and known.sources_sha256 == sources.hexdigest():
        return known
    valid = [document for document in documents if _is_for_validation(document, corpus.valid_share)]
    train = [document for document in documents if not _is_for_validation(document, corpus.valid_share)]
    if not train or not valid:
        raise CorpusError(
            f"expected documents for training and for validation, found {len(train)} and {len(valid)}; "
            f"add text, or change valid_share from {corpus.valid_share:g}."
        )
    if corpus.bpe_vocab is None:
        tokens = [_as_bytes(part) for part in (train, valid)]
        vocab, unit = 256, "byte"
    else:
        tokens, vocab, unit = _as_bpe(train, valid, corpus.bpe_vocab, folder), corpus.bpe_vocab, "token"
    splits = [
        _write_tokens(folder / f"{name}.bin", part) for name, part in zip(("train", "valid"), tokens, strict=True)
    ]
    text_bytes = sum(len(document) + len(END_OF_DOCUMENT) for document in valid)
    manifest = Manifest(
        corpus=corpus,
        sources_sha256=sources.hexdigest(),
        documents=(len(train), len(valid)),
        data=DataSpec(
            train=splits[0],
            valid=splits[1],
            dtype=_dtype_for(vocab),
            unit="byte" if unit == "byte" else "token",
            bytes_per_token=text_bytes / splits[1].tokens,
        ),
        vocab=vocab,
        description=f"{'text files' if corpus.paths else _stdlib_name()}, {len(train)} + {len(valid)} documents, "
        f"{splits[0].tokens} + {splits[1].tokens} {unit}s, sources {sources.hexdigest()[:12]}",
    )
    with replacing(folder / "corpus.json") as partial:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a prepared folder whose files are there; None where it has to be prepared (again)."""
    try:
        manifest: Manifest = decode(read_regular(folder / "corpus.json"), Manifest)
    except (OSError, msgspec.DecodeError):
        return None
    # the folder may have moved since
    splits = {
        name: msgspec.structs.replace(split, path=str(folder / f"{name}.bin"))
        for name, split in (("train", manifest.data.train), ("valid", manifest.data.valid))
    }
    if any(not Path(split.path).exists() or _sha256(Path(split.path)) != split.sha256 for split in splits.values()):
        return None
    return msgspec.structs.replace(manifest, data=msgspec.structs.replace(manifest.data, **splits))


def _documents(corpus: TextCorpus) -> Iterator[bytes]:
    for path in _files(corpus):
        try:
            content = read_regular(path)
        except OSError as problem:
            raise CorpusError(f"{path}: can't read this text: {problem.strerror or problem}.") from None
        yield from (piece for piece in _pieces(content) if piece)


def _files(corpus: TextCorpus) -> Iterator[Path]:
    if not corpus.paths:
        root = Path(sysconfig.get_path("stdlib"))
        for path in sorted(root.rglob("*.py")):
            if not _STDLIB_ASIDE.intersection(path.relative_to(root).parts):
                yield path
    for name in corpus.paths:
        path = Path(name)
        if path.is_dir():
            found = sorted({file for pattern in corpus.patterns for file in path.rglob(pattern) if file.is_file()})
            if not found:
                raise CorpusError(f"{path}: expected files named {', '.join(corpus.patterns)}, found none.")
            yield from found
        else:
            yield path


def _pieces(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        end = start + PIECE_BYTES
        if end < len(content):
            line_end = content.rfind(b"\n", start, end) + 1
            end = line_end if line_end > start else end
        yield content[start:end]
        start = end


def _is_for_validation(document: bytes, share: float) -> bool:
    return int.from_bytes(hashlib.sha256(document).digest()[:8], "big") < share * 2**64


def _as_bytes(documents: list[bytes]) -> Tokens:
    return np.frombuffer(b"".join(document + END_OF_DOCUMENT for document in documents), dtype=np.uint8)


def _as_bpe(train: list[bytes], valid: list[bytes], vocab: int, folder: Path) -> list[Tokens]:
    """Tokens of both parts, by a byte-level BPE trained on the first."""
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415  an extra
    except ImportError:
        raise CorpusError(
            'a BPE tokenizer needs the package tokenizers: pip install "sparseplan[bpe]", or train on bytes.'
        ) from None
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_text(document) for document in train), trainer)
    with replacing(folder / "tokenizer.json") as partial:
        tokenizer.save(str(partial))
    end = tokenizer.token_to_id(SEPARATOR)
    return [
        np.concatenate(
            [
                np.asarray([*encoding.ids, end], dtype=_dtype_for(vocab))
                for encoding in tokenizer.encode_batch([_text(document) for document in part])
            ]
        )
        for part in (train, valid)
    ]


def _text(document: bytes) -> str:
    return document.decode("utf-8", errors="replace")


def _dtype_for(vocab: int) -> Dtype:
    return "uint8" if vocab <= 2**8 else "uint16" if vocab <= 2**16 else "uint32"


def _write_tokens(path: Path, tokens: Tokens) -> Split:
    with replacing(path) as partial:
        tokens.astype(tokens.dtype.newbyteorder("<")).tofile(partial)
    return Split(path=str(path), sha256=_sha256(path), tokens=len(tokens))


def _token_files(corpus: TokenCorpus) -> tuple[DataSpec, int]:
    train_path = Path(corpus.train)
    train_tokens, largest = _measure(train_path, corpus.dtype)
    if corpus.valid is None:
        kept = max(1, round(train_tokens * corpus.valid_share))
        sha256 = _sha256(train_path)
        train = Split(path=str(train_path), sha256=sha256, tokens=train_tokens - kept)
        valid = Split(path=str(train_path), sha256=sha256, tokens=kept, start=train_tokens - kept)
    else:
        valid_path = Path(corpus.valid)
        valid_tokens, largest_valid = _measure(valid_path, corpus.dtype)
        largest = max(largest, largest_valid)
        train = Split(path=str(train_path), sha256=_sha256(train_path), tokens=train_tokens)
        valid = Split(path=str(valid_path), sha256=_sha256(valid_path), tokens=valid_tokens)
        if train.sha256 == valid.sha256:
            raise CorpusError(
                f"{valid_path}: expected tokens that are not trained on, found the same as in {train_path}. "
                "Leave valid out to keep a share of train for validation."
            )
    data = DataSpec(train=train, valid=valid, dtype=corpus.dtype, unit="token", bytes_per_token=corpus.bytes_per_token)
    if corpus.vocab is not None and largest >= corpus.vocab:
        raise CorpusError(f"{train_path}: expected tokens below the vocab of {corpus.vocab}, found {largest}.")
    return data, corpus.vocab or largest + 1


def _measure(path: Path, dtype: Dtype) -> tuple[int, int]:
    """How many tokens a file holds, and the largest."""
    try:
        open_regular(path).close()
        if path.suffix == ".npy":
            tokens: Any = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            size, width = path.stat().st_size, np.dtype(dtype).itemsize
            if size % width:
                raise CorpusError(f"{path}: expected whole {dtype} tokens of {width} bytes, found {size} bytes.")
            tokens = np.memmap(path, dtype=np.dtype(dtype).newbyteorder("<"), mode="r")
    except (OSError, ValueError) as problem:
        raise CorpusError(f"{path}: can't read these tokens: {problem}.") from None
    if tokens.ndim != 1 or tokens.dtype != np.dtype(dtype) or len(tokens) < 2:
        shape = " x ".join(map(str, tokens.shape))
        raise CorpusError(f"{path}: expected a list of {dtype} tokens, found an array of {tokens.dtype}, {shape}.")
    block = 2**24
    return len(tokens), max(int(tokens[at : at + block].max()) for at in range(0, len(tokens), block))


def _sha256(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise CorpusError(f"{path}: can't read this file: {problem.strerror or problem}.") from None


def _stdlib_name() -> str:
    return f"the source text of Python {sysconfig.get_python_version()}'s standard library"
