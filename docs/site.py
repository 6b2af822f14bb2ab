# noqa: INP001 - a script beside what it reads, in no package
"""The site: every page of the checkout, and every file that one of them links to, as HTML that needs no network.

    python docs/site.py FOLDER

Pages keep their places, so their links stay as they are written. A link to a file that is no page leads to a page that
shows the file; a link to a folder leads to its README, or to a list of what it holds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = ("clients", "deploy", "docs", "tests")
"""Where pages lie beside those at the top: nothing that a checkout makes (.venv, .ratchet) is one of them."""
PICTURES: Final = frozenset({".png", ".svg"})
LANGUAGES: Final = {".py": "python", ".sql": "sql", ".sh": "sh", ".json": "json", ".toml": "toml", ".yaml": "yaml"}
LINK: Final = re.compile(
    r"""(?P<fenced>(?ms:^(?P<indent>[ ]*)(?P<fence>```|~~~).*?^(?P=indent)(?P=fence)[ \t]*$))
    | \[(?P<text>[^\]]*)\]\((?P<target>[^()\s]+)\)
    | (?P<ticks>`+).+?(?P=ticks)""",
    re.VERBOSE,
)
"""A link, or code, in which there is none."""
LOADED: Final = re.compile(r"""<(?:script|img|iframe)[^>]+src="(?P<src>[^"]+)"|<link[^>]+rel="stylesheet"[^>]*>""")


class Site:
    """Collects the pages, and what they link to, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shown: set[Path] = set()

    def collect(self) -> None:
        """Write every page, with its links as they must be on the site."""
        for page in pages():
            text = LINK.sub(lambda match, page=page: self._rewritten(page, match), page.read_text(encoding="utf-8"))
            self._write(place_of(page), text)

    def _rewritten(self, page: Path, match: re.Match[str]) -> str:
        target = match["target"]
        if target is None or urlsplit(target).scheme or target.startswith("#"):
            return match[0]
        parts = urlsplit(target)
        found = (page.parent / unquote(parts.path)).resolve()
        there = os.path.relpath(self._folder / self._place_on_site(found), self._folder / place_of(page).parent)
        return f"[{match['text']}]({there}{'#' if parts.fragment else ''}{parts.fragment})"

    def _place_on_site(self, found: Path) -> Path:
        """Return where a linked file or folder is on the site, which shows it from now on."""
        if found.is_dir():
            readme = found / "README.md"
            return place_of(readme) if readme.exists() else self._show(found, found.relative_to(ROOT) / "index.md")
        if found.suffix == ".md":
            return place_of(found)
        own = found.relative_to(ROOT)
        return (
            self._copy(found, own) if found.suffix in PICTURES else self._show(found, own.with_name(own.name + ".md"))
        )

    def _copy(self, found: Path, place: Path) -> Path:
        (self._folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, self._folder / place)
        return place

    def _show(self, found: Path, place: Path) -> Path:
        if found not in self._shown:
            self._shown.add(found)
            self._write(place, listing(found) if found.is_dir() else source(found))
        return place

    def _write(self, place: Path, text: str) -> None:
        (self._folder / place).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / place).write_text(text, encoding="utf-8")


def pages() -> list[Path]:
    """Return every page of the checkout."""
    return sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])


def place_of(page: Path) -> Path:
    """Return a page's place on the site: a README is its folder's first page."""
    own = page.relative_to(ROOT)
    return own.with_name("index.md") if own.name == "README.md" else own


def source(path: Path) -> str:
    """Return the page that shows a file."""
    text = path.read_text(encoding="utf-8").rstrip("\n")
    language = LANGUAGES.get(path.suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n# {path.relative_to(ROOT)}\n\n````{language}\n{text}\n````\n"


def title(page: Path) -> str:
    """Return a page's heading; its name where it begins with none."""
    first = page.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ") if first.startswith("# ") else page.name


def listing(folder: Path) -> str:
    """Return the page of a folder: its pages by links under their titles, its other files by name."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__pycache__")))
    lines = [f"- [{title(path)}]({path.name})" if path.suffix == ".md" else f"- {path.name}" for path in paths]
    return f"# {folder.relative_to(ROOT)}\n\n" + "\n".join(lines) + "\n"


def loaded_from_elsewhere(html: Path) -> list[str]:
    """Return what pages would load from another host: a reader may have no network."""
    found = ((page, match[0]) for page in html.rglob("*.html") for match in LOADED.finditer(page.read_text()))
    return [
        f"{page.relative_to(html)}: {tag}" for page, tag in found if re.search(r"\b(?:src|href)=\"(?:\w+:)?//", tag)
    ]


def main(folder: Path) -> int:
    """Build the site anew; return 0 if every link leads somewhere and nothing is loaded from elsewhere."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(ROOT / "docs" / "zensical.toml", folder / "zensical.toml")
    Site(folder / "pages").collect()
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict", "--clean"]
    if failed := subprocess.run(command, cwd=folder, check=False).returncode:  # noqa: S603 - our own command
        return failed
    for one in (elsewhere := loaded_from_elsewhere(folder / "html")):
        print(f"loaded from another host: {one}", file=sys.stderr)  # noqa: T201 - what the command reports
    return 1 if elsewhere else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
