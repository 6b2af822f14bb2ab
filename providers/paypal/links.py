"""PayPal's HATEOAS links: how one resource names another."""

from __future__ import annotations

import re
from typing import Any, Final

from providers.core.reading import text_at

_RESOURCE_LINK: Final = re.compile(r"/([a-z-]+)/([A-Za-z0-9-]+)\Z")


def linked(links: Any, relation: str, collection: str) -> str | None:
    """Return the id of the resource of that collection (`captures`, `authorizations`) that a relation leads to.

    The relation `up` of a refund is its capture; that of a capture is its order or its authorization.
    """
    for link in links if isinstance(links, list) else ():
        resource = _RESOURCE_LINK.search(text_at(link, "href") or "")
        if resource and resource[1] == collection and text_at(link, "rel") == relation:
            return resource[2]
    return None
