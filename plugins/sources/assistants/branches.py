"""Conversations that are trees: the one branch that the chat went on with, out of all edits and regenerated answers.

What a message of a format looks like does not belong here.
"""

from collections.abc import Mapping


def chosen_branch(
    parents: Mapping[str, str | None], current: str | None, ages: Mapping[str, float] | None = None
) -> list[str]:
    """Return the messages from the first to the current one; all of them where none says what it follows.

    A link to a message that is not there, or round in a circle, is where a piece of the chat is missing: it goes on with the
    newest older piece. Linear in time, apart from one sort of the leaves.

    Args:
        parents: Message to the one before it, None for a first one; in the order of the file.
        current: The last message; None, or one that is not there: the newest.
        ages: Message to its time, larger is newer; of equal or unknown ones the later in the file is newer.
    """
    links, cut = _forest(parents, current)
    roots, newest = _pieces(links, ages or {})
    inner = set(links.values()) - {None}
    if not inner:
        return list(links)
    place = {node: number for number, node in enumerate(links)}
    leaves = sorted((node for node in links if node not in inner), key=lambda node: (newest[node], place[node]))
    if current not in links:
        if not leaves:
            return []
        current = leaves[-1]
    path = _up(current, links)
    taken = {roots[current]}
    for leaf in reversed(leaves):
        if path[0] not in cut:
            break
        if roots[leaf] not in taken and (newest[leaf], place[leaf]) < (newest[path[0]], place[path[0]]):
            taken.add(roots[leaf])
            path = _up(leaf, links) + path
    return path


def _forest(parents: Mapping[str, str | None], current: str | None) -> tuple[dict[str, str | None], set[str]]:
    """Return the links without broken ones and circles, and the messages before which one was.

    A circle is cut behind its last message: the current one, or the last in the file.
    """
    links = {node: parent if parent in parents else None for node, parent in parents.items()}
    cut = {node for node, parent in parents.items() if parent is not None and parent not in parents}
    walks: dict[str, int] = {}
    for number, start in enumerate((current, *reversed(links))):
        node = start if start in links else None
        while node is not None and node not in walks:
            walks[node] = number
            parent = links[node]
            if parent is not None and walks.get(parent) == number:
                links[node] = None
                cut.add(node)
            node = links[node]
    return links, cut


def _pieces(links: Mapping[str, str | None], ages: Mapping[str, float]) -> tuple[dict[str, str], dict[str, float]]:
    """Return the first message of the piece that each belongs to, and the newest time on the way from there."""
    roots: dict[str, str] = {}
    newest: dict[str, float] = {}
    for start in links:
        walk: list[str] = []
        node: str | None = start
        while node is not None and node not in roots:
            walk.append(node)
            node = links[node]
        for each in reversed(walk):
            before = links[each]
            own = ages.get(each, 0.0)
            roots[each] = each if before is None else roots[before]
            newest[each] = own if before is None else max(own, newest[before])
    return roots, newest


def _up(node: str, links: Mapping[str, str | None]) -> list[str]:
    path: list[str] = []
    step: str | None = node
    while step is not None:
        path.append(step)
        step = links[step]
    return path[::-1]
