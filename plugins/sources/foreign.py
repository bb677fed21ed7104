"""Files that people have and that no source reads: what they are, and how to get what is in them in a form that is read."""

import re
import zipfile
from pathlib import Path

HEAD = 4_096
"""Bytes in which most files say what they are."""

TABLE = "save it as CSV, with a column each for time, speaker and text"

BYTES = (
    (b"%PDF-", "a PDF; export the chat as text, JSON or CSV instead"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"a document or workbook of an old Office; {TABLE}"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\x89PNG", "a picture; export the chat as text, JSON or CSV instead"),
    (b"\xff\xd8\xff", "a picture; export the chat as text, JSON or CSV instead"),
    (b"OggS", "a recording; export the chat as text, JSON or CSV instead"),
)
"""How files of other kinds begin."""

SUFFIXES = {
    r"\.crypt\d+": "WhatsApp's encrypted backup; open the chat in WhatsApp, choose 'Export chat', and import what it gives",
    r"\.tar": "a tar archive; unpack it first",
    r"\.(?:docx?|odt|rtf|pages)": "a text document; export the chat as text, JSON or CSV instead",
    r"\.(?:jpe?g|png|gif|webp|mp4|mov|opus|m4a|mp3|ogg)": "a picture or a recording; export the chat as text, JSON or CSV instead",
}

TEXTS = (
    (r"class=\"(?:message default|page_header|history)\b|<title>Exported Data</title>",
     "Telegram's export as HTML; export again in the format 'Machine-readable JSON'"),
    (r"chatlog__message|class=\"?preamble|DiscordChatExporter",
     "DiscordChatExporter's HTML; export again with --format Json"),
    (r"^={20,}\s*\nGuild: ", "DiscordChatExporter's text; export again with --format Json"),
    (r"class=\"_a6-g|class=\"_3-95|pam _3-95|<title>.{0,80}(?:Messenger|Instagram)",
     "Meta's export as HTML; ask for your information again and choose JSON"),
    (r"<smses\b|<sms\s+protocol", f"SMS Backup & Restore's XML; {TABLE}"),
    (r"^\ufeff?\[LINE\] ", f"LINE's export as text, which is not read; {TABLE}"),
    (r"^\ufeff?.{0,80}(?:KakaoTalk Chats|카카오톡 대화)", f"KakaoTalk's export as text, which is not read; {TABLE}"),
    (r"^\s*<\?xml\b", f"XML, which is not read; {TABLE}"),
    (r"^\s*(?:<!doctype html|<html)\b", "a web page; export the chat as JSON or text instead"),
)  # fmt: skip
"""What stands in the heads of texts of other kinds."""

WORKBOOKS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml", "word/document.xml", "ppt/presentation.xml")
"""Files that are in an archive which is a document of an Office."""


def what_is(path: Path, head: str = "") -> str | None:
    """Return what a file is that no source reads, and what to do about it; None where that is not known.

    Args:
        path: The file.
        head: Its first 64 kB as text.
    """
    with path.open("rb") as handle:
        begun = handle.read(HEAD)
    by_bytes = next((told for mark, told in BYTES if begun.startswith(mark)), None)
    if by_bytes is not None:
        return by_bytes
    by_text = next((told for mark, told in TEXTS if re.search(mark, head, re.IGNORECASE)), None)
    return by_text or next((told for mark, told in SUFFIXES.items() if re.fullmatch(mark, path.suffix.lower())), None)


def what_holds(path: Path) -> str | None:
    """Return what an archive is that is a document, and what to do about it; None where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    found = next((name for name in WORKBOOKS if name in names), None)
    if found is None or (found == "content.xml" and "mimetype" not in names):
        return None
    what = "a workbook" if found.startswith(("xl/", "content")) else "a document"
    return f"{what}; {TABLE}"
