"""Long texts in passages: where they are cut, what is read of a very long one, and what becomes of their vectors."""

import unicodedata
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.contracts import Embedder, TokenEmbedder
from plugins.embedders.encoder import BATCH, Encoder
from plugins.embedders.minilm import MiniLMTokens, NoTokens
from plugins.embedders.passages import LONGEST, PASSAGE, passages, units

SENTENCE = "The old bridge was closed for repairs until the end of the summer. "
ZOO = "El koala duerme veinte horas al día, dice la guía. "


class Letters(Embedder):
    """Counts the letters of a text: its vector has a dimension for each of a to z."""

    name = "letters"
    given_sizes: ClassVar[list[list[int]]] = []

    @property
    def dim(self) -> int:
        return 26

    def embed(self, texts):
        self.given_sizes.append([len(text) for text in texts])
        rows = np.zeros((len(texts), 26), dtype=np.float32)
        for number, text in enumerate(texts):
            for letter in text.lower():
                if "a" <= letter <= "z":
                    rows[number, ord(letter) - 97] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


class Words(TokenEmbedder):
    """A vector per word: its first letter and its length."""

    name = "words"

    @property
    def dim(self) -> int:
        return 2

    def embed(self, texts):
        return [np.array([[ord(w[0]) % 127, len(w) % 127] for w in text.split() or ["-"]], np.int8) for text in texts]

    def embed_query(self, text):
        return self.embed([text])[0].astype(np.float32)


@pytest.mark.parametrize("text", ["", "-", "Hi.", SENTENCE * 14, "日" * 250, " " * 1_000, "\n\n".join("abc")])
def test_a_short_text_is_its_own_passage(text: str) -> None:
    assert passages(text, PASSAGE) == [text]


def test_passages_end_where_a_paragraph_a_line_a_sentence_or_a_word_does() -> None:
    paragraph = SENTENCE * 13
    assert passages("\n\n".join([paragraph] * 3), PASSAGE) == [paragraph.strip()] * 3
    rows = [f"row {number} {'x' * 60}" for number in range(100)]
    assert [line for part in passages("\n".join(rows), PASSAGE) for line in part.split("\n")] == rows
    assert all(part.endswith(("summer.", "guía.")) for part in passages((SENTENCE + ZOO) * 90, PASSAGE))
    assert all(
        part.endswith("。") for part in passages("昨日は友達と公園に行って、コーヒーを飲みました。" * 90, PASSAGE)
    )
    words = ("several words without an end " * 300).strip()
    assert " ".join(passages(words, PASSAGE)) == words


@pytest.mark.parametrize("text", ["aGVsbG8" * 900, "x" * 5_000, "日本語" * 900, "0123456789" * 500, "😀" * 2_000])
def test_a_text_without_spaces_is_cut_hard_and_nothing_is_lost(text: str) -> None:
    found = passages(text, PASSAGE)
    assert "".join(found) == text
    assert max(int(units(part).sum()) for part in found) <= PASSAGE


@pytest.mark.parametrize("sign", ["e\u0301", "👩\u200d👩\u200d👧", "❤\ufe0f"])
def test_a_hard_cut_does_not_part_one_sign(sign: str) -> None:
    for start in range(len(sign)):
        found = passages("x" * start + sign * 3_000, PASSAGE, 10**6)
        assert len(found) > 1
        assert all(part.endswith(sign) for part in found)
    assert passages("\u0301" * 2_000, PASSAGE)  # marks without end: there is no good place


@given(st.text(alphabet=st.sampled_from("aé 日\n.\u0301\ud83d😀1\u200d"), max_size=400), st.integers(1, 60))
def test_passages_hold_the_whole_text_and_are_bounded(text: str, size: int) -> None:
    found = passages(text, size, 10**6)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(int(units(part).sum()) <= max(size, 4) for part in found) or found == [text[:size]]


@pytest.mark.parametrize("size", [PASSAGE, 1_800])
@pytest.mark.parametrize("length", [60_000, 97_000, 1_000_000])
def test_of_a_very_long_text_passages_are_read_evenly_over_the_whole(length: int, size: int) -> None:
    text = "".join(f"Entry {number} says nothing new. " for number in range(length // 25))[:length]
    found = passages(text, size)
    assert sum(int(units(part).sum()) for part in found) <= LONGEST
    assert len(found) == LONGEST // size
    places = [text.index(part) for part in found]
    assert places[0] == 0
    assert text.endswith(found[-1])
    gaps = np.diff([*places, length])
    assert gaps.max() < 2.2 * length / len(found)
    assert all(part.startswith("Entry") for part in found)


def test_passages_of_ordinary_text_are_what_the_token_model_reads_at_once() -> None:
    model = MiniLMTokens()
    tokenizer = model.tokenizer
    numbers = "\n".join(",".join(f"{n * 7919 % 9973 / 100}" for n in range(row, row + 8)) for row in range(200))
    for text in (SENTENCE * 300, numbers):
        parts = passages(text, model.passage)
        read = [len(tokenizer.encode(part).ids) for part in parts]
        assert max(read) <= model.config.longest
    half = MiniLMTokens(MiniLMTokens.Config(longest=128))
    assert half.passage == model.passage // 2


def test_a_short_text_has_the_vectors_it_has_alone_and_a_long_one_those_of_its_passages() -> None:
    embedder, tokens = Letters(), Words()
    encoder = Encoder(embedder, tokens)
    long = (SENTENCE + ZOO) * 40
    texts = ["a short one", long, "", "another"]
    made, pieces = encoder.vectors(texts), encoder.token_vectors(texts)
    for place in (0, 2, 3):
        assert np.array_equal(made[place], embedder.embed([texts[place]])[0])
        assert np.array_equal(pieces[place], tokens.embed([texts[place]])[0])
    parts = passages(long, PASSAGE)
    assert np.array_equal(pieces[1], np.concatenate(tokens.embed(parts)))
    question = embedder.embed(["the koala"])[0]
    alike = np.average(embedder.embed(parts) @ question, weights=[len(part) for part in parts])
    assert made[1] @ question == pytest.approx(alike, abs=1e-5)
    assert made.dtype == np.float32
    assert encoder.vectors([]).shape == (0, 26)
    assert encoder.token_vectors([]) == []


def test_a_long_text_is_not_nearer_to_every_question_than_the_best_of_its_passages() -> None:
    encoder = Encoder(Letters())
    text = "".join(chr(97 + number % 26) * 900 + "\n" for number in range(26))
    for letter in ("a", "m", "z"):
        question = encoder.embedder.embed([letter])[0]
        assert encoder.vectors([text])[0] @ question < 0.1


def test_a_model_is_given_bounded_batches_sorted_by_length() -> None:
    embedder = Letters()
    embedder.given_sizes.clear()
    texts = ["y" * (1 + number % 500) for number in range(300)] + [SENTENCE * 700] * 7
    Encoder(embedder).vectors(texts)
    sizes = [size for batch in embedder.given_sizes for size in batch]
    assert sizes == sorted(sizes)
    assert max(map(len, embedder.given_sizes)) <= BATCH
    assert max(sizes) <= PASSAGE


def test_cost_is_bounded_for_a_text_of_any_length() -> None:
    embedder = Letters()
    embedder.given_sizes.clear()
    Encoder(embedder).vectors([SENTENCE * 150_000])
    assert sum(sum(batch) for batch in embedder.given_sizes) <= LONGEST
    embedder.given_sizes.clear()
    Encoder(embedder).vectors([SENTENCE * 150_000], 4_000)
    assert sum(sum(batch) for batch in embedder.given_sizes) <= 4_000


def test_other_passages_are_another_fingerprint() -> None:
    class Wider(Letters):
        @property
        def passage(self) -> int:
            return 2 * PASSAGE

    assert Letters().fingerprint == Letters().fingerprint != Wider().fingerprint


def test_without_token_embedder_there_are_no_token_vectors() -> None:
    for none in (None, NoTokens()):
        assert [rows.shape for rows in Encoder(Letters(), none).token_vectors(["a", SENTENCE * 100])] == [(0, 0)] * 2


def test_units_are_those_of_what_is_read() -> None:
    assert units("año 12").tolist() == [1, 1, 1, 1, 2, 2]
    assert units("日😀\ud800").tolist() == [4, 4, 4]
    assert units("Вс").tolist() == [2, 2]
    assert not units("").size
    assert unicodedata.combining("\u0301")
