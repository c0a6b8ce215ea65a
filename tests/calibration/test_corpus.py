"""Claims about prepared corpora: split by document, hashed, found again, and read from tokens."""

import os
from pathlib import Path

import numpy as np
import pytest

from sparseplan.calibration import corpus as corpus_module
from sparseplan.calibration.corpus import PIECE_BYTES, Corpus, TextCorpus, TokenCorpus, Tokens, prepare, prepare_text
from sparseplan.errors import CorpusError
from sparseplan.runs.spec import Split


def write_documents(folder: Path, number: int = 40) -> Path:
    folder.mkdir()
    for i in range(number):
        (folder / f"{i:02}.txt").write_text(f"document {i} says é\n" * (i + 1), encoding="utf-8")
    return folder


def documents_in(split: Split) -> set[bytes]:
    return set(np.fromfile(split.path, dtype=np.uint8).tobytes().split(b"\0")) - {b""}


def test_every_document_is_in_one_split_whole(tmp_path: Path) -> None:
    source = write_documents(tmp_path / "texts")
    manifest = prepare_text(TextCorpus(paths=(str(source),), valid_share=0.3), tmp_path / "out")
    train, valid = documents_in(manifest.data.train), documents_in(manifest.data.valid)
    assert train | valid == {path.read_bytes() for path in source.iterdir()}
    assert not train & valid
    assert manifest.documents == (len(train), len(valid))
    assert manifest.vocab == 256
    assert manifest.data.bytes_per_token == 1.0
    assert manifest.data.unit == "byte"


def test_a_new_file_moves_no_old_one_between_the_splits_and_a_copy_counts_once(tmp_path: Path) -> None:
    source = write_documents(tmp_path / "texts")
    corpus = TextCorpus(paths=(str(source),), valid_share=0.3)
    before = documents_in(prepare_text(corpus, tmp_path / "out").data.valid)
    (source / "copy.txt").write_bytes((source / "01.txt").read_bytes())
    (source / "new.txt").write_text("something new")
    manifest = prepare_text(corpus, tmp_path / "out")
    assert before <= documents_in(manifest.data.valid)
    assert sum(manifest.documents) == 41


def test_a_prepared_folder_is_found_again_and_a_damaged_one_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = TextCorpus(paths=(str(write_documents(tmp_path / "texts")),), valid_share=0.3)
    first = prepare_text(corpus, tmp_path / "out")
    written: list[Path] = []
    real = corpus_module._write_tokens

    def noted(path: Path, tokens: Tokens) -> Split:
        written.append(path)
        return real(path, tokens)

    monkeypatch.setattr(corpus_module, "_write_tokens", noted)
    assert prepare_text(corpus, tmp_path / "out") == first
    assert written == []
    Path(first.data.valid.path).write_bytes(b"x")
    assert prepare_text(corpus, tmp_path / "out") == first
    assert len(written) == 2


def test_a_moved_folder_keeps_its_hashes_and_gets_its_new_paths(tmp_path: Path) -> None:
    corpus = TextCorpus(paths=(str(write_documents(tmp_path / "texts")),), valid_share=0.3)
    first = prepare_text(corpus, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "moved")
    moved = prepare_text(corpus, tmp_path / "moved")
    assert moved.data.train.sha256 == first.data.train.sha256
    assert Path(moved.data.train.path).is_relative_to(tmp_path / "moved")


def test_one_large_file_is_cut_at_line_ends(tmp_path: Path) -> None:
    line = b"x" * 99 + b"\n"
    (tmp_path / "large.txt").write_bytes(b"".join(b"%06d" % i + line for i in range(20_000)))
    manifest = prepare_text(TextCorpus(paths=(str(tmp_path / "large.txt"),), valid_share=0.3), tmp_path / "out")
    pieces = documents_in(manifest.data.train) | documents_in(manifest.data.valid)
    assert all(len(piece) <= PIECE_BYTES and piece.endswith(b"\n") for piece in pieces)
    assert sum(map(len, pieces)) == 20_000 * 106


def test_the_standard_library_is_at_hand_and_leaves_its_tests_out(tmp_path: Path) -> None:
    data, vocab, _ = prepare(TextCorpus(), tmp_path)
    assert vocab == 256
    assert data.train.tokens > 5_000_000
    assert data.valid.tokens > 100_000
    text = b"".join(documents_in(data.train))
    assert b"class Counter(dict):" in text or b"class Counter(dict):" in b"".join(documents_in(data.valid))


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        (TextCorpus(paths=("/nowhere.txt",)), "/nowhere.txt: can't read this text"),
        (TokenCorpus(train="/nowhere.bin"), "/nowhere.bin: can't read these tokens"),
    ],
)
def test_missing_sources_are_one_clear_error(tmp_path: Path, corpus: Corpus, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        prepare(corpus, tmp_path)


def test_too_little_text_says_which_split_is_empty(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("alone")
    with pytest.raises(CorpusError, match="documents for training and for validation, found"):
        prepare(TextCorpus(paths=(str(tmp_path / "one.txt"),)), tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"expected files named \*\.py"):
        prepare(TextCorpus(paths=(str(tmp_path / "empty"),)), tmp_path / "out")


def test_token_files_are_used_where_they_lie(tmp_path: Path) -> None:
    np.arange(1000, dtype=np.uint16).tofile(tmp_path / "train.bin")
    data, vocab, _ = prepare(TokenCorpus(train=str(tmp_path / "train.bin"), valid_share=0.1), tmp_path / "unused")
    assert vocab == 1000
    assert (data.train.tokens, data.valid.start, data.valid.tokens) == (900, 900, 100)
    assert data.bytes_per_token is None
    assert not (tmp_path / "unused").exists()
    np.save(tmp_path / "valid.npy", np.full(50, 1999, dtype=np.uint16))
    both = TokenCorpus(train=str(tmp_path / "train.bin"), valid=str(tmp_path / "valid.npy"), bytes_per_token=4.0)
    data, vocab, _ = prepare(both, tmp_path / "unused", max_epochs=3)
    assert (data.train.tokens, data.valid.tokens, vocab, data.max_epochs) == (1000, 50, 2000, 3)


def test_token_files_of_another_width_are_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.bin").write_bytes(b"abc")
    with pytest.raises(CorpusError, match="whole uint16 tokens of 2 bytes, found 3 bytes"):
        prepare(TokenCorpus(train=str(tmp_path / "odd.bin")), tmp_path)
    np.save(tmp_path / "wide.npy", np.arange(9, dtype=np.int64))
    with pytest.raises(CorpusError, match="a list of uint16 tokens, found an array of int64, 9"):
        prepare(TokenCorpus(train=str(tmp_path / "wide.npy")), tmp_path)


def test_a_bpe_tokenizer_reads_back_to_the_same_text_and_counts_its_bytes(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    source = write_documents(tmp_path / "texts")
    corpus = TextCorpus(paths=(str(source),), valid_share=0.3, bpe_vocab=300)
    manifest = prepare_text(corpus, tmp_path / "out")
    tokenizer = tokenizers.Tokenizer.from_file(str(Path(manifest.data.valid.path).with_name("tokenizer.json")))
    ids = np.fromfile(manifest.data.valid.path, dtype=np.uint16)
    end = tokenizer.token_to_id("<|end|>")
    bounds = np.flatnonzero(ids == end)
    texts = {tokenizer.decode(part[part != end].tolist()).encode() for part in np.split(ids, bounds) if len(part) > 1}
    assert texts <= {path.read_bytes() for path in source.iterdir()}
    assert len(texts) == manifest.documents[1]
    assert manifest.data.bytes_per_token == pytest.approx((sum(map(len, texts)) + len(texts)) / len(ids))
    assert manifest.data.bytes_per_token is not None
    assert manifest.data.bytes_per_token > 2
    assert manifest.data.unit == "token"


def test_another_corpus_never_writes_over_the_first(tmp_path: Path) -> None:
    source = write_documents(tmp_path / "texts")
    corpus = TextCorpus(paths=(str(source),), valid_share=0.3)
    first = prepare_text(corpus, tmp_path / "out")
    whole = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    (source / "new.txt").write_text("something new")
    assert prepare_text(corpus, tmp_path / "out").data != first.data
    assert {path: path.read_bytes() for path in whole} == whole


def test_validating_on_the_training_tokens_is_refused(tmp_path: Path) -> None:
    np.arange(1000, dtype=np.uint16).tofile(tmp_path / "train.bin")
    (tmp_path / "copy.bin").write_bytes((tmp_path / "train.bin").read_bytes())
    for name in ("train.bin", "copy.bin"):
        corpus = TokenCorpus(train=str(tmp_path / "train.bin"), valid=str(tmp_path / name))
        with pytest.raises(CorpusError, match=rf"{name}: expected tokens that are not trained on, found the same"):
            prepare(corpus, tmp_path / "out")


@pytest.mark.parametrize("broken", [b"", b"\xff\xfe", b"{}", b'{"vocab": "\xff"}', b"[" * 5000])
def test_a_broken_corpus_json_is_made_again(tmp_path: Path, broken: bytes) -> None:
    corpus = TextCorpus(paths=(str(write_documents(tmp_path / "texts")),), valid_share=0.3)
    first = prepare_text(corpus, tmp_path / "out")
    Path(first.data.train.path).with_name("corpus.json").write_bytes(broken)
    assert prepare_text(corpus, tmp_path / "out") == first


def test_pipes_and_devices_are_no_corpus(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    for corpus in (TokenCorpus(train=str(tmp_path / "pipe.npy")), TextCorpus(paths=(str(tmp_path / "zero.txt"),))):
        with pytest.raises(CorpusError, match="expected a regular file, found a pipe, device or folder"):
            prepare(corpus, tmp_path / "out")
