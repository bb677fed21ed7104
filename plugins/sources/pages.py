"""Pages of HTML as tags and texts, in time linear in their length: Python's own parser takes its square where tags never end.

What a page means does not belong here.
"""

import re
from html import unescape

NAME = re.compile(r"</?([a-zA-Z][^\s/>]{0,60})")
ATTRIBUTE = re.compile(r"""([a-zA-Z_:][\w:.-]{0,60})\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
STOP = re.compile(r"[>\"']")
RAW = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in ("script", "style")}
"""Elements whose content is no HTML, and where each ends."""

ENTITY = 12
"""Characters that an entity (``&quot;``) takes at most."""


class PageReader:
    """Calls its methods for the tags and texts of a page, which may come in pieces; comments and declarations are passed over."""

    def __init__(self) -> None:
        self._rest: list[str] = []
        self._waiting = self._enough = 0
        self._raw: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element that begins; its name and those of its attributes are in lower case."""

    def handle_endtag(self, tag: str) -> None:
        """Take note of an element that ends."""

    def handle_data(self, data: str) -> None:
        """Take note of a piece of text, its entities as letters."""

    def feed(self, text: str) -> None:
        """Read on; what is not complete yet waits for the next piece."""
        self._rest.append(text)
        self._waiting += len(text)
        # What ended in the middle is looked at again when there is twice as much of it.
        if self._waiting < self._enough:
            return
        page = "".join(self._rest)
        left = page[self._read(page, whole=False) :]
        self._rest, self._waiting, self._enough = [left], len(left), 2 * len(left)

    def close(self) -> None:
        """Read what is left; a tag that does not end there never was one."""
        page, self._rest, self._waiting, self._enough = "".join(self._rest), [], 0, 0
        self._read(page, whole=True)

    def _read(self, page: str, *, whole: bool) -> int:
        """Read a page as far as it is complete; return where that is."""
        place = 0
        while place < len(page):
            if self._raw is not None:
                found = RAW[self._raw].search(page, place)
                if found is None:
                    return len(page) if whole else max(place, len(page) - len(self._raw) - 2)
                place, self._raw = found.start(), None
            start = page.find("<", place)
            if start < 0:
                return self._text(page, place, whole=whole)
            if start > place:
                self.handle_data(unescape(page[place:start]))
            end = _end_of_tag(page, start)
            if end is None:
                return len(page) if whole else start
            if end == start:
                self.handle_data("<")
                place = start + 1
            else:
                self._tag(page[start:end])
                place = end
        return place

    def _text(self, page: str, place: int, *, whole: bool) -> int:
        """Hand over the text at the end of a piece, but for an entity that may be cut."""
        cut = -1 if whole else page.rfind("&", max(place, len(page) - ENTITY))
        end = len(page) if cut < 0 or ";" in page[cut:] else cut
        if end > place:
            self.handle_data(unescape(page[place:end]))
        return end

    def _tag(self, tag: str) -> None:
        found = NAME.match(tag)
        if found is None:
            return
        name = found[1].lower()
        if tag.startswith("</"):
            self.handle_endtag(name)
            return
        pairs = ((m[1].lower(), m[2] or m[3] or m[4] or "") for m in ATTRIBUTE.finditer(tag, found.end()))
        self.handle_starttag(name, [(key, unescape(value)) for key, value in pairs])
        if tag.endswith("/>"):
            self.handle_endtag(name)
        elif name in RAW:
            self._raw = name


def _end_of_tag(page: str, start: int) -> int | None:
    """Return where the tag, comment or declaration that starts here ends; ``start`` where it is none, None where the page ends first."""
    if page.startswith("<!--", start):
        end = page.find("-->", start + 4)
        return end + 3 if end >= 0 else None
    if page[start + 1 : start + 2] in ("!", "?", ""):
        end = page.find(">", start + 1)
        return end + 1 if end >= 0 else None
    name = NAME.match(page, start)
    if name is None:
        return start if len(page) > start + 2 else None
    place = name.end()
    while (stop := STOP.search(page, place)) is not None:
        if stop[0] == ">":
            return stop.end()
        place = stop.end()
        if (
            page[max(start, stop.start() - ENTITY) : stop.start()].rstrip().endswith("=")
        ):  # else it is a quote in nothing
            place = page.find(stop[0], place) + 1
            if not place:
                return None
    return None
