"""The pages that imessage-exporter writes, read piece by piece."""

from html.parser import HTMLParser

from plugins.sources.normalise import cleaned

VOID = frozenset(
    ("br", "hr", "img", "meta", "link", "input", "source", "wbr", "area", "base", "col", "embed", "param", "track")
)
PARTS = ("timestamp", "sender", "bubble", "tapback", "reaction", "announcement", "reply_context")


class Page(HTMLParser):
    """Collects the messages of a page: the time, the sender (None: a notice) and the lines as the text export writes them.

    Messages inside of the replies of another one are passed over: they come again at their own time.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self._label = self._cell = ""
        self._texts: dict[str, list[str]] = {}
        self._done: list[tuple[str, str | None, list[str]]] = []

    def taken(self) -> list[tuple[str, str | None, list[str]]]:
        """Return the messages that ended since this was asked last."""
        done, self._done = self._done, []
        return done

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is for."""
        if tag in VOID:
            if tag == "br":
                self.handle_data("\n")
            elif tag == "img" and not {"replies", "bubble", "tapback", "reaction"} & set(self._open):
                self._texts.setdefault("bubble", []).append("Attachment missing!")
            return
        names = (dict(attrs).get("class") or "").split()
        part = "row" if tag == "tr" else next((name for name in names if name in ("message", "replies", *PARTS)), "")
        if part in ("message", "announcement") and "message" not in self._open:
            self._texts = {}
        if part == "row":
            self._label = self._cell = ""
        elif part in ("bubble", "tapback", "reaction") and "replies" not in self._open:
            self._texts.setdefault(part, []).append("")
        self._open.append(part)

    def handle_endtag(self, tag: str) -> None:
        """Hand over a message that ends."""
        if tag in VOID or not self._open:
            return
        ended = self._open.pop()
        if ended == "row" and "replies" not in self._open:
            # The history of an edited message: "Edited 15 seconds later" in one cell, the text in the other.
            label = f"{self._label.strip()}: " if self._label.strip().startswith("Edited") else ""
            self._texts.setdefault("bubble", []).append(f"{label}{self._cell.strip()}")
        if ended in ("message", "announcement") and "message" not in self._open:
            self._end(notice=ended == "announcement")

    def handle_data(self, data: str) -> None:
        """Add text to the part of the message that it stands in."""
        if "replies" in self._open:
            return
        part = next((name for name in reversed(self._open) if name in PARTS), None)
        if "row" in self._open:
            self._label, self._cell = (
                (self._label + data, self._cell) if part == "timestamp" else (self._label, self._cell + data)
            )
        elif part is not None:
            texts = self._texts.setdefault(part, [""])
            texts[-1] += data

    def _end(self, *, notice: bool) -> None:
        time = " ".join("".join(self._texts.get("timestamp", [])).split())
        sender = cleaned("".join(self._texts.get("sender", []))).strip() or None
        lines = [line for text in self._texts.get("bubble", []) for line in text.strip().split("\n")]
        reactions = [" ".join(text.split()) for key in ("tapback", "reaction") for text in self._texts.get(key, [])]
        if any(reactions):
            lines += ["Tapbacks:", *(text for text in reactions if text)]
        if "reply_context" in self._texts:
            lines.append("This message responded to an earlier message.")
        if time:
            self._done.append((time, None if notice else sender, lines))
        self._texts = {}
