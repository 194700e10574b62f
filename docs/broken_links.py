"""Lists every link of a built site that leads nowhere inside of it: ``python docs/broken_links.py build/site``.

`mkdocs build --strict` looks at links of Markdown alone. This looks at what a browser gets: links, pictures, scripts
and styles of every page, in both languages, and the places inside of pages. It needs nothing but Python, and no
network: links to other servers are not followed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """What a page leads to, and the places in it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {str(given[name]) for name in ("id", "name") if given.get(name)}
        self.links += [str(given[name]) for name in ("href", "src") if given.get(name)]


def broken(site: Path) -> list[str]:
    """A line a broken link: the page, and the link as it stands there.

    Args:
        site: the folder that a build has written.

    Raises:
        FileNotFoundError: there is no page in it.
    """
    site = site.resolve()
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        raise FileNotFoundError(
            f"Wanted a built site. Received: {site}, which holds no page; `mkdocs build` makes one."
        )
    found = []
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            if not _leads_somewhere(link, path, site, pages):
                found.append(f"{path.relative_to(site).as_posix()}: {link}")
    return found


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _leads_somewhere(link: str, page: Path, site: Path, pages: dict[Path, _Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:  # another server, mail, or data in the link itself
        return True
    folder = site if parts.path.startswith("/") else page.parent
    target = (folder / unquote(parts.path).lstrip("/")).resolve() if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file() or not target.is_relative_to(site):
        return False
    place = unquote(parts.fragment)
    return not place or target not in pages or place in pages[target].places


def main(arguments: Sequence[str] | None = None) -> int:
    (site,) = sys.argv[1:] if arguments is None else arguments
    found = broken(Path(site))
    print("\n".join(found) or f"no broken link in {site}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
