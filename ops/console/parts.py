"""What the console is made of: one value that every page is handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

    from ops.console.actions import Actions
    from ops.console.board_poller import BoardPoller
    from ops.console.ledger_check import LedgerCheck
    from ops.console.passwords import Password, Tries
    from ops.console.reader import Reader
    from ops.console.session_rows import SessionRows
    from ops.console.sessions import Sessions
    from ops.console.sso import SignOn
    from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts, put together by `ops.console.role`."""

    settings: Settings
    sessions: Sessions
    tries: Tries
    password: Password
    rows: SessionRows
    sso: SignOn
    reader: Reader
    poller: BoardPoller
    actions: Actions
    ledger: LedgerCheck
    templates: jinja2.Environment
