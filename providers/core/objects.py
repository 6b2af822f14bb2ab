"""APIs that show an object under its id: one description, from which request, answer and meaning follow.

Most read APIs are of this form. A reference names a payment by the payment's own id, and whatever else by an id behind
a prefix (`refund:re_1`): which object that is, and where, an `ApiObject` says.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from providers.core.meaning import undecodable
from providers.core.reading import read_json, text_at, value_at
from providers.core.refetch import KIND_PREFIX, Answer, ApiRequest, Credentials, Fetched, Gone, Refetch, bearer
from schemas.facts import RefKind

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping

    from providers.core.refetch import Grant, Watch
    from schemas.facts import FactKind, Meaning

CHARGES: Final = f"{RefKind.CHARGE}:"
CAPTURES: Final = f"{RefKind.CAPTURE}:"
REFUNDS: Final = f"{RefKind.REFUND}:"
DISPUTES: Final = f"{RefKind.DISPUTE}:"
"""What stands before the id of a payment's child where it is asked about: the kind of its reference; see `Watch`."""


@dataclass(frozen=True, slots=True)
class ApiObject:
    """One kind of object that an API shows under its id.

    `name` is what its answers are called (`refetch.<name>`). `ids` fits a whole id. `path` holds `{id}`, and
    `{merchant}` where the API wants the merchant's. `read` gets what stands in the answer at `within`. `prefix` stands
    before the id in a reference. The object must have the id at `id_at`; where the answer is a list of objects
    (`listed`), each of them must.
    `shows` is a field of the answer and what must stand in it. `payment_at` is where the object names its payment,
    whose id keys the event; without it the object's own does. `instead` is the prefix of the object that an id may be
    of where this one is not known by it: ids that look alike don't show what they are of. `parts` are the labels of the
    events that an answer makes which may be several payments'; then `read` gets the body and the event's id too.
    """

    name: str
    ids: re.Pattern[str]
    path: str
    read: Callable[..., Meaning]
    prefix: str = ""
    within: tuple[str, ...] = ()
    id_at: tuple[str, ...] = ("id",)
    shows: tuple[str, str] | None = None
    payment_at: tuple[str, ...] = ()
    listed: bool = False
    instead: str = ""
    parts: Callable[[Any], tuple[str, ...]] | None = None

    def id_of(self, ref: str) -> str | None:
        """Return the id that a reference holds, or None where it is of something else."""
        own = ref.removeprefix(self.prefix)
        return own if ref.startswith(self.prefix) and self.ids.fullmatch(own) else None

    def answers(self, own: str, answer: Any) -> bool:
        """Tell whether an answer shows the very object that was asked for."""
        if self.shows is not None and value_at(answer, self.shows[0]) != self.shows[1]:
            return False
        found = value_at(answer, *self.within)
        if self.listed:
            return isinstance(found, list) and all(text_at(one, *self.id_at) == own for one in found)
        return text_at(found, *self.id_at) == own

    def fetched(self, own: str, answer: Any) -> Fetched:
        """Return what an answer is that shows the object."""
        found = value_at(answer, *self.within)
        payment = text_at(found, *self.payment_at) if self.payment_at else None
        return Fetched(self.name, payment or own, () if self.parts is None else self.parts(found)[1:])

    def meaning(self, value: Any, body: bytes, event_id: str) -> Meaning:
        """Return what an answer says that holds `value`, or the part of it that the event's id names."""
        return self.read(value) if self.parts is None else self.read(value, body, event_id)


@dataclass(frozen=True, slots=True)
class ObjectsApi:
    """An API of such objects; the first whose id a reference holds is asked for.

    `headers` say who asks. `parse` reads an answer, and returns None where it is none. `gone` are the codes, in the
    field `code` of an answer of status 400, by which the API says that it does not know what was asked for.
    """

    objects: tuple[ApiObject, ...]
    headers: Callable[[Credentials], Mapping[str, str]]
    parse: Callable[[bytes], Any] = read_json
    gone: tuple[str, ...] = ()

    def _asked(self, ref: str) -> tuple[ApiObject, str] | None:
        found = ((one, one.id_of(ref)) for one in self.objects)
        return next(((one, own) for one, own in found if own is not None), None)

    def request(self, ref: str, credentials: Credentials, _now: float) -> ApiRequest | None:
        """Return how the API is asked about a reference; None where it can't be."""
        asked = self._asked(ref)
        if asked is None:
            return None
        found, own = asked
        path = found.path.format(id=quote(own, safe=""), merchant=quote(credentials.merchant, safe=""))
        return ApiRequest("GET", credentials.base_url + path, self.headers(credentials))

    def answer(self, ref: str, status: int, body: bytes) -> Answer:
        """Return what was fetched; None leaves an answer to its status, or says that it is of something else."""
        asked = self._asked(ref)
        if asked is None or (status != HTTPStatus.OK and not self.gone):
            return None
        found, own = asked
        answer = self.parse(body)
        if status != HTTPStatus.OK:
            unknown = status == HTTPStatus.BAD_REQUEST and text_at(answer, "code") in self.gone
            return Gone.GONE if unknown else None
        return found.fetched(own, answer) if found.answers(own, answer) else None

    def instead(self, ref: str) -> str | None:
        """Return the reference to ask by where the API does not know this one."""
        found, own = self._asked(ref) or (None, "")
        return found.instead + own if found is not None and found.instead else None

    def interpret(self, kind: str, body: bytes, event_id: str = "") -> Meaning:
        """Return what an answer says; of several events that it makes, what the one says that the id names."""
        found = next((one for one in self.objects if KIND_PREFIX + one.name == kind), None)
        value = value_at(self.parse(body), *found.within) if found else None
        if found is None or not isinstance(value, list if found.listed else dict):
            raise undecodable("the answer is no object of the API's shape")
        return found.meaning(value, body, event_id)

    def refetch(  # noqa: PLR0913 - what differs from API to API
        self,
        base_url: str,
        *,
        watches: tuple[Watch, ...],
        needs: tuple[str, ...] = (),
        grant: Grant | None = None,
        timed: Iterable[FactKind] = (),
        ticks_per_second: int = 1,
        unknown: bool = False,
    ) -> Refetch:
        """Return the API as the dispatcher uses it."""
        return Refetch(
            base_url,
            self.request,
            self.answer,
            self.interpret,
            needs=needs,
            grant=grant,
            timed=frozenset(timed),
            ticks_per_second=ticks_per_second,
            unknown=unknown,
            watches=watches,
            instead=self.instead,
            interpret_part=self.interpret if any(one.parts for one in self.objects) else None,
        )


def by_key(credentials: Credentials) -> dict[str, str]:
    """Return the headers of a call whose bearer token is the key itself."""
    return bearer(credentials.key)


def by_token(credentials: Credentials) -> dict[str, str]:
    """Return the headers of a call whose bearer token was granted."""
    return bearer(credentials.token)


def basic(credentials: Credentials, accept: str = "application/json") -> dict[str, str]:
    """Return the headers of a call by key and secret (RFC 7617)."""
    text = base64.b64encode(f"{credentials.key}:{credentials.secret}".encode()).decode()
    return {"Authorization": f"Basic {text}", "Accept": accept}
