"""What somebody wrote in a mail: the plain text (or the page made plain), without what is quoted and without the signature."""

import codecs
import re
from email.message import Message

from plugins.sources.pages import PageReader
from records.names import cleaned

LARGEST_TEXT = 1 << 20
LARGEST_PAGE = 1 << 20
"""Characters of a page that are read."""

WRONG = {"ascii", "iso8859-1", "latin-1", "cp1252", "us-ascii"}
"""Encodings that programs name without looking."""

DATED = r"(?=[^\n]{0,250}(?:\d|@))"
WROTE = re.compile(
    rf"(?:On|El|Le|Am|Em|Il|Op|Den|Dnia|W dniu|Vào|Pada) {DATED}.{{3,300}}?"
    r"(?:wrote|escribió|escribio|a écrit|schrieb.{0,120}|escreveu|ha scritto|schreef.{0,120}|skrev.{0,120}|napisał\(?a?\)?)\s?:\s*"
    r"|.{2,120}<[^<>\s]+@[^<>\s]+>.{0,60}(?:wrote|escribió|a écrit|schrieb|escreveu|ha scritto)\s?:\s*"
)
START_OF_WROTE = re.compile(rf"(?:On|El|Le|Am|Em|Il|Op) {DATED}.{{3,200}}")
ORIGINAL = re.compile(
    r"-{2,}\s*(?:Original Message|Mensaje original|Message d'origine|Ursprüngliche Nachricht|Mensagem original|Messaggio originale"
    r"|Forwarded message|Mensaje reenviado|Message transféré|Weitergeleitete Nachricht|Mensagem encaminhada)\s*-{2,}"
    r"|Begin forwarded message:|Inicio del mensaje reenviado:|#{2,}-? ?(?:Please type your|Escriba su respuesta).*",
    re.IGNORECASE,
)
HEADERS = re.compile(r"\*?(?:From|De|Von|Da|Van)\*?:\*? .{1,300}", re.IGNORECASE)
SENT = re.compile(
    r"\*?(?:Sent|Date|To|Enviado(?: el)?|Fecha|Para|Gesendet|Datum|An|Envoyé|À|Inviato|Data|Enviada)(?: em)?\*?\s?:\*? .{1,300}",
    re.IGNORECASE,
)
MADE_BY = re.compile(
    r"(?:Sent from (?:my|Mail for|Yahoo|Outlook|Proton)|Enviado desde mi|Enviado desde (?:Correo|Outlook|Yahoo)|Get Outlook for|Obtener Outlook para"
    r"|Envoyé de mon|Von meinem .{2,40} gesendet|Gesendet mit|Enviado do meu|Inviato da).{0,80}",
    re.IGNORECASE,
)
RULE = re.compile(r"_{20,}")
"""Outlook's before the mail that is answered, Mailman's before the footer of a list."""

SIGNATURE = ("-- ", "--")


def plain_text(mail: Message) -> str:
    """Return what the sender wrote, empty where there is nothing of their own."""
    plain: list[str] = []
    pages: list[str] = []
    _collect(mail, plain, pages, 0)
    written = own_words("\n".join(plain))
    return written or own_words("\n".join(page_text(page) for page in pages))


def _collect(part: Message, plain: list[str], pages: list[str], depth: int) -> None:
    kind = part.get_content_type()
    if part.is_multipart():
        inner = part.get_payload()
        # A mail inside of a mail was written by somebody else.
        if kind != "message/rfc822" and isinstance(inner, list) and depth < 20:
            for each in inner:
                if isinstance(each, Message):
                    _collect(each, plain, pages, depth + 1)
        return
    if kind not in ("text/plain", "text/html") or part.get_content_disposition() == "attachment" or part.get_filename():
        return
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return
    text = decoded(data[:LARGEST_TEXT], part.get_content_charset() or "utf-8").replace("\r\n", "\n").replace("\r", "\n")
    if kind == "text/html":
        pages.append(text)
    else:
        plain.append(_flowed(text, str(part.get_param("delsp", "")).lower() == "yes") if _is_flowed(part) else text)


def decoded(data: bytes, charset: str) -> str:
    """Return bytes as text: UTF-8 where they are that, whatever is said of them; else as said, else as Windows writes."""
    try:
        name = codecs.lookup(charset.strip("\"' ")).name
    except (LookupError, ValueError):
        name = "utf-8"
    tries = ("utf-8", "cp1252") if name in WRONG or name == "utf-8" else (name, "utf-8", "cp1252")
    for each in tries:
        try:
            text = data.decode(each)
        except (UnicodeError, LookupError):
            continue
        # Codecs such as hex are none of text.
        if isinstance(text, str):
            return cleaned(text)
    return cleaned(data.decode("latin-1"))


def _is_flowed(part: Message) -> bool:
    return str(part.get_param("format", "")).lower() == "flowed"


def _flowed(text: str, delsp: bool) -> str:
    """Return a text whose soft line ends are spaces again."""
    lines: list[str] = []
    open_line = False
    for line in text.split("\n"):
        soft = line.endswith(" ") and line != SIGNATURE[0] and not line.startswith(">")
        if open_line and not line.startswith(">"):
            lines[-1] += line[:-1] if soft and delsp else line
        else:
            lines.append(line[:-1] if soft and delsp else line)
        open_line = soft
    return "\n".join(lines)


def own_words(text: str) -> str:
    """Return a text without quoted lines, without the sentence that announces them, and without the signature."""
    kept: list[str] = []
    lines = text.split("\n")
    place = 0
    while place < len(lines):
        line, shown = lines[place], lines[place].strip()
        if line in SIGNATURE or ORIGINAL.fullmatch(shown) or RULE.fullmatch(shown):
            break
        if (
            HEADERS.fullmatch(shown)
            and place + 1 < len(lines)
            and any(SENT.fullmatch(each.strip()) for each in lines[place + 1 : place + 4])
        ):
            break
        announced = _announced(lines, place)
        if announced:
            place += announced
            behind = next((each.strip() for each in lines[place:] if each.strip()), "")
            if not behind.startswith(">"):
                break  # what follows is the mail that is answered, though not marked
            continue
        if not line.startswith((">", " >")):
            kept.append(line.rstrip())
        place += 1
    while kept and (not kept[-1].strip("_ *-") or MADE_BY.fullmatch(kept[-1].strip())):
        kept.pop()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _announced(lines: list[str], place: int) -> int:
    """Return how many lines announce a quote here ("On Monday, Ana wrote:" may take three), 0 where none does."""
    first = lines[place].strip()
    if len(first) < 400 and WROTE.fullmatch(first):
        return 1
    if len(first) < 250 and START_OF_WROTE.fullmatch(first):
        for more in (2, 3):
            parts = [each.strip() for each in lines[place : place + more]]
            if len(parts) < more or not parts[-1] or WROTE.fullmatch(parts[-1]) or first.endswith((".", "!", "?", "…")):
                break  # what stands above an announcement, or a paragraph before, is somebody's own sentence
            joined = " ".join(parts)
            if len(joined) < 500 and WROTE.fullmatch(joined):
                return more
    return 0


def page_text(page: str) -> str:
    """Return a page of HTML as text, without what it quotes."""
    reader = _Reader()
    reader.feed(page[:LARGEST_PAGE])
    reader.close()
    lines = ("".join(reader.parts)).replace("\u00a0", " ").split("\n")
    return "\n".join(" ".join(line.split()) for line in lines)


class _Reader(PageReader):
    """Collects the text of a page; blocks are lines, and quotes, styles and scripts are passed over."""

    BLOCKS = frozenset(
        (
            "p",
            "div",
            "br",
            "li",
            "tr",
            "table",
            "ul",
            "ol",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "section",
            "article",
        )
    )
    VOID = frozenset(
        ("br", "hr", "img", "meta", "link", "input", "wbr", "area", "base", "col", "embed", "param", "source", "track")
    )
    PASSED = frozenset(("style", "script", "head", "title", "blockquote", "template", "noscript"))
    QUOTES = re.compile(
        r"gmail_quote|gmail_signature|moz-cite-prefix|moz-signature|yahoo_quoted|divRplyFwdMsg|OutlookMessageHeader|appendonsend|protonmail_quote"
    )

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._passed: list[str] = []
        self._ended = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Start a line, or pass over what is quoted."""
        if tag in self.BLOCKS:
            self.parts.append("\n")
        if tag in self.VOID:
            return
        if self._passed:
            if tag == self._passed[0]:
                self._passed.append(tag)
            return
        marks = " ".join(value or "" for key, value in attrs if key in ("class", "id"))
        quoted = self.QUOTES.search(marks)
        # Outlook puts the quoted mail behind its headers, not into them.
        self._ended = self._ended or (
            quoted is not None and quoted[0] in ("divRplyFwdMsg", "OutlookMessageHeader", "appendonsend")
        )
        if tag in self.PASSED or quoted:
            self._passed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """End what was passed over, or the line."""
        if self._passed and tag == self._passed[0]:
            self._passed.pop()
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep text; line ends of a page are spaces."""
        if not self._passed and not self._ended:
            self.parts.append(data.replace("\n", " "))
