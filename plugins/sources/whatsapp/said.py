"""What somebody said in a WhatsApp message, apart from what the application put there itself.

Names of files, stand-ins for media, notices and marks are told from speech by the whole of a line, never by a word in it:
people talk about deleted messages and missed calls, too.
"""

import re
from typing import Any

from plugins.sources.whatsapp.words import BEGUN, ENDED, LEFT_TO_RIGHT, MARKS, Words, key

NOTICE = "a notice of the app, nobody said it"
MEDIA = "media without a caption"
DELETED = "a deleted message"
CALL = "a call, no words in it"
PLACE = "a location, no words in it"
EMPTY = "a message without text"
REASONS = {"media": MEDIA, "deleted": DELETED, "call": CALL, "place": PLACE, "notice": NOTICE}

LONGEST_NAME = 100
LONGEST_NOTICE = 400
"""Characters of the longest line that is compared with the phrases."""

HIDDEN = re.compile("[\u200e\u202a-\u202e\u2066-\u2069\ufeff]")
"""Marks that say nothing in a text; the isolates around a mentioned name among them."""
AROUND = " \t\r\n\u00a0\u202f\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
"""What is taken away around a text."""
IN_BRACKETS = re.compile(rf"^[{MARKS}\s]*<([^<>\n]{{2,60}})>$")
AT_END = re.compile(rf"<([^<>\n]{{2,60}})>[\s{MARKS}]*$")
ENCLOSED = re.compile(rf"^(.*?)[\s{MARKS}]*<([^<>:：\n]{{1,30}}?)\s?[:：]\s?([^<>\n]+)>$")
NUMBERED_FILE = re.compile(r"^\d{6,10}-")
FILE = re.compile(r"\w\.\w{1,8}$")
FILE_OF_THE_APP = re.compile(r"^(?:IMG|VID|AUD|PTT|STK|DOC|PANO|MP4|GIF)-\d{8}-WA\d+\.\w{2,5}$", re.IGNORECASE)
AFTER_MARK = re.compile(rf"^(.+?)\s*{LEFT_TO_RIGHT}([^{LEFT_TO_RIGHT}\n]+)$")
MAP = re.compile(r"^([^\n:：]{1,60})\s?[:：]\s?https?://maps\.google\.com/\?q=-?[\d.]+,-?[\d.]+$")
VENUE = re.compile(r"^[^\n]{1,200}?\)[:：]\s?https?://foursquare\.com/v/[0-9a-f]{24}$")
POLL = re.compile(rf"^[{MARKS}]*[^\W\d_]{{3,20}}\s?[:：]$")
OPTION = re.compile(
    rf"^[{MARKS}]*([^\W\d_]{{2,20}})\s?[:：]\s(.+?)\s\([{MARKS}]*(\d+)[{MARKS}]*\s[^()\n]+\)[{MARKS}]*$"
)
PHOTO_OF_THE_APP = re.compile(r"^\d{6,10}-[A-Z]+-[\d-]+\.\w{2,5}$")
TITLE = re.compile(r"\.\w{2,5}[\s•]")
"""A file's name within a line."""
FIRST_PART = re.compile(r"[.,،。]")
QUOTED = re.compile(r"[\"“”„«「『‘]([^\"“”„«»「」『』\n]+)[\"”“»」』’]")
OPENS, CLOSES = "“„«「『", "”»」』"


Said = tuple[str, str | None, dict[str, Any] | None]
"""Words that somebody said, why there are none, and what else is known of the message; a plain tuple: one for every line."""


Line = tuple[str | None, str, str | None]
"""Why a line is no speech (None where it is), a caption in it, and the name of a file."""


class Reader:
    """Tells speech from what the application writes; ``marks`` says whether a left-to-right mark first shows the latter."""

    def __init__(self, words: Words, *, marks: bool) -> None:
        self.words = words
        self.marks = marks
        self._begun, self._ended = words.begun, words.ended
        self.calls = {phrase for phrase, kind in words.whole.items() if kind == "call"}

    def said(self, body: str) -> Said:
        """Return what was said in a message without its header and name."""
        first = body if "\n" not in body else body[: body.index("\n")]
        shown = first.strip(AROUND)
        if not (
            shown[:BEGUN].casefold() in self._begun
            or ">" in body[-4:]
            or shown[-1:] in (">", ")", ":", "：")
            or LEFT_TO_RIGHT in first
            or "maps.google" in first
            or "foursquare" in first
            or ("." in first and shown[-ENDED:].casefold() in self._ended)
        ):
            text = shown if first is body else body.strip(AROUND)
            return (text if text.isascii() else HIDDEN.sub("", text), None, None) if text else ("", EMPTY, None)
        metadata: dict[str, Any] | None = None
        if ">" in body[-4:]:
            cut = self._without_edit(body)
            if cut is not None:
                body, metadata = cut, {"edited": True}
        first, _, more = body.partition("\n")
        reason, caption, file = self._line(first) if len(first) <= LONGEST_NOTICE else (None, "", None)
        if reason in (MEDIA, PLACE):
            body = f"{caption}\n{more}" if caption else more
            if not body.strip(AROUND):
                return "", reason, None
            if file is not None:
                metadata = {**(metadata or {}), "attachment": _without_words(file)}
        elif reason == NOTICE or (reason is not None and not more.strip()):
            return "", reason, None
        elif more and POLL.match(first):
            poll = _poll(more)
            if poll is not None:
                return poll[0], None, {**(metadata or {}), "poll": poll[1]}
        if reason is None and self.marks and first.startswith(LEFT_TO_RIGHT) and not shown.startswith("@"):
            return "", NOTICE, None
        text = HIDDEN.sub("", body).strip(AROUND)
        return (text, None, metadata) if text else ("", EMPTY, None)

    def is_notice(self, rest: str) -> bool:
        """Return whether a line without its header is a notice, although it has a colon as if somebody spoke."""
        name, found, _ = rest.partition(":")
        if not found or len(name) > LONGEST_NAME + 2 * MARKS_OF_A_NAME:
            return True
        before = key(name)
        if not before or self.words.changing.search(before) is not None:
            return True
        if name.count('"') % 2 or sum(map(name.count, OPENS)) > sum(map(name.count, CLOSES)):
            return True
        return self.words.openings.match(key(rest[:LONGEST_NOTICE])) is not None

    def group_name(self, notice: str) -> str | None:
        """Return the first name of the group that a notice of its creation or renaming gives, else None."""
        quoted = QUOTED.search(notice[:LONGEST_NOTICE])
        if quoted is None or self.words.naming.search(key(notice[:LONGEST_NOTICE])) is None:
            return None
        return quoted[1].strip(AROUND) or None

    def is_of_a_group(self, notice: str) -> bool:
        """Return whether a notice is one that only groups have."""
        text = key(notice[:LONGEST_NOTICE])
        return self.words.naming.search(text) is not None or self.words.membership.search(text) is not None

    def _line(self, line: str) -> Line:
        """Return what a first line is."""
        shown = line.strip(AROUND)
        reason = self._phrase(key(shown)) if shown[:BEGUN].casefold() in self._begun else None
        found: Line | None = None if reason is None else (reason, "", None)
        if found is None and shown.endswith(">"):
            found = self._bracketed(shown)
        if found is None and shown.endswith(")"):
            file, _, word = shown[:-1].rpartition(" (")
            if FILE.search(file[-10:]) and (key(word) in self.words.attached or FILE_OF_THE_APP.match(file)):
                found = MEDIA, "", file
        if found is None and "://" in shown and self._is_place(shown, marked=line.startswith(LEFT_TO_RIGHT)):
            found = PLACE, "", None
        if found is None and LEFT_TO_RIGHT in line:
            found = self._marked(line.strip())
        if found is None and TITLE.search(shown) is not None and key(shown).endswith(self.words.titled):
            found = MEDIA, "", None
        return found or (None, "", None)

    def _phrase(self, text: str) -> str | None:
        """Return why a line that is wholly one of the phrases is no speech, else None."""
        words = self.words
        reason = REASONS.get(words.whole.get(text, ""))
        if reason is None and text == "null" and not self.marks:  # a picture to be viewed once, on Android
            reason = MEDIA
        if reason is None:
            longer = (
                (words.deleted_by, DELETED),
                (words.called, CALL),
                (words.noticed, NOTICE),
                (words.openings, NOTICE),
            )
            reason = next((why for pattern, why in longer if pattern.match(text) is not None), None)
        return reason

    def _is_place(self, line: str, *, marked: bool) -> bool:
        match = MAP.match(line)
        return VENUE.match(line) is not None if match is None else marked or key(match[1]) in self.words.place

    def _marked(self, line: str) -> Line | None:
        """Return what a line with a left-to-right mark in it is: the mark stands before what the application wrote."""
        match = AFTER_MARK.match(line)
        if match is not None and key(match[2]) in self.words.after_mark:
            before = match[1].strip(AROUND)
            return (MEDIA, "", before) if key(match[2]) in self.words.documents else (MEDIA, before, None)
        if self.marks and line.startswith(LEFT_TO_RIGHT):
            text = key(line)
            if text in self.words.after_mark:
                return MEDIA, "", None
            if FIRST_PART.split(text, maxsplit=1)[0] in self.calls:
                return CALL, "", None
        return None

    def _bracketed(self, line: str) -> Line | None:
        """Return what an angle bracket at the end of a line stands for, None where it is nothing of the application."""
        words = self.words
        match = IN_BRACKETS.match(line)
        if match is not None:
            inner = key(match[1])
            if inner in words.bracketed or inner.endswith(words.left_out):
                return MEDIA, "", None
            if words.whole.get(inner) == "deleted":
                return DELETED, "", None
        match = ENCLOSED.match(line)
        if match is not None and (key(match[2]) in words.enclosed or NUMBERED_FILE.match(match[3])):
            caption, file = match[1].strip(AROUND), match[3].strip(AROUND)
            title = caption.split(" • ")[0].strip(AROUND)
            return MEDIA, "" if title and title in file else caption, file
        return None

    def _without_edit(self, body: str) -> str | None:
        """Return the text before the mark of an edited message, None where there is no such mark."""
        start = body.rfind("<")
        match = AT_END.match(body, start) if start >= 0 else None
        if match is None:
            return None
        inner, before = key(match[1]), body[:start].rstrip(AROUND)
        if inner in self.words.edited:
            return before
        # A language that is not known: an iPhone sets a left-to-right mark before what it adds.
        by_app = self.marks and before and LEFT_TO_RIGHT in body[len(before) : start]
        return before if by_app and ":" not in inner and inner not in self.words.bracketed and " " in inner else None


NO_CONTACT = "~ "
MARKS_OF_A_NAME = 8
"""Invisible marks that a name may have beside its letters."""


def name_of(raw: str) -> str:
    """Return a name as a person would write it; the tilde before those who are no contacts stays, as ``"~ Nora"``."""
    name = " ".join(HIDDEN.sub("", raw).replace("\u200f", "").replace("\u061c", "").split())
    return f"{NO_CONTACT}{bare}" if name.startswith("~") and (bare := name[1:].strip()) else name


def _without_words(file: str) -> str:
    """Return a file's name if the application made it, else its suffix: people write what is private into names."""
    made = FILE_OF_THE_APP.match(file) or PHOTO_OF_THE_APP.match(file)
    return file if made else file.rpartition(".")[2].lower()


def _poll(lines: str) -> tuple[str, list[int]] | None:
    """Return the question and the options of a poll as text, and the votes of each, None for something else."""
    asked: list[str] = []
    choices: list[str] = []
    votes: list[int] = []
    word = None
    for line in lines.strip().split("\n"):
        option = OPTION.match(line)
        if option is None:
            if votes:
                return None
            asked.append(HIDDEN.sub("", line))
        elif word in (None, option[1]):
            word = option[1]
            choices.append(HIDDEN.sub("", option[2]).strip())
            votes.append(int(option[3][:9]))
        else:
            return None
    if len(votes) < 2:
        return None
    return "\n".join([*asked, *(f"- {choice}" for choice in choices)]).strip(), votes
