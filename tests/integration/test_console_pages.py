"""The console over HTTP: who gets in, what pages show and hide, what they do, and what they say in an outage."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from ops.console.pages import redrives as redrive_pages
from ops.console.shield import POLICY
from ops.redrives import list_redrives, progress
from schemas.errors import SettingsError
from tests.integration import console_harness
from tests.integration.console_harness import (
    CARD,
    HOSTILE,
    PASSWORD,
    PAYMENT_ID,
    Browser,
    Console,
    add_applicable,
    add_letter,
    console_settings,
    process_one_more,
    serving,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.stack import Endpoints
    from tests.conftest import Database

pytestmark = pytest.mark.integration

place, owner, letters = console_harness.place, console_harness.owner, console_harness.letters
"""The fixtures of the console's tests: under these names pytest finds them."""

AWAY = "127.0.0.1:9"
DSN_AWAY = f"postgresql://nobody:x@{AWAY}/none"
PAGES = ("/", "/payments", "/dead-letters", "/redrives", "/redrives/new", "/parked", "/commands", "/recall", "/ledger")


@pytest.fixture(scope="module")
async def console(
    stack: Endpoints, place: Database, letters: list[int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Console]:
    async with serving(console_settings(tmp_path_factory.mktemp("console"), stack.kafka, place.dsn)) as found:
        yield found


@pytest.fixture
async def browser(console: Console) -> AsyncIterator[Browser]:
    async with Browser(console) as found:
        yield found


@pytest.fixture
async def guarded(tmp_path: Any) -> AsyncIterator[Console]:
    settings = console_settings(tmp_path, AWAY, DSN_AWAY, password=PASSWORD, login_tries_max=3)
    async with serving(settings) as found:
        yield found


class TestGate:
    async def test_everything_needs_the_password(self, guarded: Console) -> None:
        async with Browser(guarded) as browser:
            for path in (*PAGES[1:], "/payments/1", "/nowhere"):
                assert (await browser.get(path))[0] == 303
                assert browser.headers["location"].startswith("/login?next=%2F")
            assert (await browser.get("/board/live", **{"hx-request": "true"}))[0] == 401
            assert browser.headers["hx-redirect"] == "/login"
            assert (await browser.post("/redrives", csrf="x"))[0] == 401
            assert (await browser.get("/login"))[0] == 200

    async def test_signing_in_and_out(self, guarded: Console) -> None:
        async with Browser(guarded) as browser:
            status, _ = await browser.sign_in()
            assert (status, browser.headers["location"]) == (303, "/ledger")
            cookie = browser.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
            assert "Secure" not in cookie
            kept = cookie.partition(";")[0]
            assert (await browser.get("/ledger"))[0] == 200
            assert (await browser.post("/logout", csrf=await browser.token("/ledger")))[0] == 303
            assert (await browser.get("/ledger"))[0] == 303
            browser.client.cookie_jar.clear()
            assert (await browser.get("/ledger", cookie=kept))[0] == 303, "the old cookie counts for nothing"

    async def test_the_path_that_a_page_had_before_leads_to_it(self, guarded: Console) -> None:
        async with Browser(guarded) as browser:
            assert (await browser.get("/books"))[0] == 308
            assert browser.headers["location"] == "/ledger"
            await browser.sign_in()
            async with browser.client.get(f"{browser.url}/books") as answer:
                assert (answer.status, answer.url.path) == (200, "/ledger")

    async def test_signing_in_makes_a_new_session(self, guarded: Console) -> None:
        async with Browser(guarded) as browser:
            before = await browser.token("/login")
            await browser.post("/login", csrf=before, password=PASSWORD)
            assert (await browser.post("/logout", csrf=before))[0] == 403

    async def test_guesses_are_bounded(self, guarded: Console) -> None:
        async with Browser(guarded) as browser:
            statuses = [(await browser.sign_in("wrong"))[0] for _ in range(4)]
            assert statuses == [401, 401, 401, 429]
            status, text = await browser.sign_in()
            assert status == 429, "the right one has to wait too, or it would tell itself apart"
            assert PASSWORD not in text

    async def test_a_form_needs_its_token(self, console: Console, letters: list[int], owner: Any) -> None:
        async with Browser(console) as browser, Browser(console) as stranger:
            path = f"/dead-letters/{letters[0]}"
            for token in ("", "0" * 64, await stranger.token("/ledger")):
                assert (await browser.post(f"{path}/discard", csrf=token, because="no"))[0] == 403
            own = await browser.token(path)
            for site in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
                assert (await browser.post(f"{path}/discard", site, csrf=own, because="no"))[0] == 403
            assert (await browser.post(f"{path}/discard", csrf=own, because="x" * 70_000))[0] == 413
            many: dict[str, Any] = {f"field{number}": "" for number in range(100)}
            assert (await browser.post(f"{path}/discard", csrf=own, **many))[0] == 400
        assert await status_of(owner, letters[0]) == "open"

    async def test_a_rebound_name_gets_nothing(self, browser: Browser) -> None:
        for path in ("/", "/payments"):
            status, text = await browser.get(path, host="rebound.example:8081")
            assert status == 421
            assert "pi_1" not in text

    async def test_over_https_the_cookie_is_secure(self, tmp_path: Any) -> None:
        trusting = {"password": PASSWORD, "trusted_proxies": ["127.0.0.1"]}
        public = {"password": PASSWORD, "public_url": "https://ops.example"}
        async with (
            serving(console_settings(tmp_path, AWAY, DSN_AWAY, **public)) as found,
            Browser(found) as browser,
        ):
            await browser.get("/login")
            assert browser.headers["strict-transport-security"] == "max-age=31536000"
        async with (
            serving(console_settings(tmp_path, AWAY, DSN_AWAY, **trusting)) as found,
            Browser(found) as browser,
        ):
            await browser.get("/login", **{"x-forwarded-proto": "https"})
            assert browser.headers["set-cookie"].startswith("__Host-ratchet_console=")
            assert "Secure" in browser.headers["set-cookie"]

    @pytest.mark.parametrize("path", [*PAGES, "/nowhere", "/static/x/y", "/login"])
    async def test_every_answer_is_shielded(self, browser: Browser, path: str) -> None:
        await browser.get(path)
        assert browser.headers["content-security-policy"] == POLICY
        assert browser.headers["x-content-type-options"] == "nosniff"
        assert browser.headers["referrer-policy"] == "same-origin"
        assert browser.headers["cache-control"] == "no-store"

    async def test_files_are_kept_for_ever_under_their_content(self, browser: Browser) -> None:
        _, text = await browser.get("/")
        for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', text):
            assert (await browser.get(path))[0] == 200
            assert "immutable" in browser.headers["cache-control"]
            assert browser.headers["content-security-policy"] == POLICY
            assert (await browser.get(path.replace("/static/", "/static/0")))[0] == 404

    async def test_get_does_nothing(self, browser: Browser, letters: list[int], owner: Any) -> None:
        for path in (f"/dead-letters/{letters[0]}/discard", "/redrives/1/stop", "/ledger/check", "/logout"):
            assert (await browser.get(path))[0] == 405
        assert await status_of(owner, letters[0]) == "open"

    async def test_an_open_address_without_a_password_refuses(self, tmp_path: Any) -> None:
        settings = console_settings(tmp_path, AWAY, DSN_AWAY, bind="0.0.0.0:0")
        with pytest.raises(SettingsError, match="RATCHET_CONSOLE__PASSWORD"):
            async with serving(settings):
                pass

    async def test_a_taken_address_refuses(self, console: Console, tmp_path: Any) -> None:
        taken = console_settings(tmp_path, AWAY, DSN_AWAY, bind=console.url[7:])
        with pytest.raises(SettingsError, match="RATCHET_CONSOLE__BIND"):
            async with serving(taken):
                pass


class TestSharedSessions:
    """Two consoles on one database, as replicas are."""

    @pytest.fixture
    async def replicas(self, place: Database, tmp_path: Any) -> AsyncIterator[tuple[Console, Console]]:
        settings = console_settings(tmp_path, AWAY, place.dsn, password=PASSWORD, session_check_seconds=0.01)
        async with serving(settings) as one, serving(settings) as other:
            yield one, other

    async def test_a_session_counts_in_both_until_it_ends_in_one(self, replicas: tuple[Console, Console]) -> None:
        here, there = replicas
        async with Browser(here) as browser, Browser(there) as elsewhere:
            await browser.sign_in()
            kept = browser.headers["set-cookie"].partition(";")[0]
            assert (await elsewhere.get("/ledger", cookie=kept))[0] == 200
            assert (await browser.post("/logout", csrf=await browser.token("/ledger")))[0] == 303
            elsewhere.client.cookie_jar.clear()

            async def ended() -> bool:
                return (await elsewhere.get("/ledger", cookie=kept))[0] == 303

            await until(ended, "the end of the session in the other replica")

    async def test_signing_out_everywhere(self, replicas: tuple[Console, Console], owner: Any) -> None:
        here, there = replicas
        async with Browser(here) as browser, Browser(there) as elsewhere:
            await browser.sign_in()
            await elsewhere.sign_in()
            assert (await browser.post("/logout/everywhere", csrf=await browser.token("/ledger")))[0] == 303

            async def ended() -> bool:
                return (await elsewhere.get("/ledger"))[0] == 303

            await until(ended, "the end of the other session")
        row = await owner.fetchrow("select * from operator_actions where action = 'console.sign_out_everywhere'")
        assert (row["who"], row["origin"], row["target"]) == ("emergency", "console, 127.0.0.1", "2 sessions")

    async def test_idle_and_old_sessions_end(self, replicas: tuple[Console, Console], owner: Any) -> None:
        async with Browser(replicas[0]) as browser:
            for column in ("used_at", "began_at"):
                await browser.sign_in()
                assert (await browser.get("/ledger"))[0] == 200
                hours, minutes = (1, 31) if column == "used_at" else (13, 0)
                past = f"began_at - interval '{hours} h', used_at = used_at - interval '{minutes} min'"
                await owner.execute(f"update console_sessions set began_at = {past}")

                async def ended() -> bool:
                    return (await browser.get("/ledger", **{"hx-request": "true"}))[0] == 401

                await until(ended, column)

    async def test_another_password_ends_every_session(self, place: Database, owner: Any, tmp_path: Any) -> None:
        settings = console_settings(tmp_path, AWAY, place.dsn, password=PASSWORD)
        async with serving(settings) as found, Browser(found) as browser:
            await browser.sign_in()
            kept = browser.headers["set-cookie"].partition(";")[0]
        key = await owner.fetchval("select signing_key from console_keys")
        other = console_settings(tmp_path, AWAY, place.dsn, password=PASSWORD[::-1])
        async with serving(other) as found, Browser(found) as browser:
            await browser.sign_in(PASSWORD[::-1])
            assert (await browser.get("/ledger"))[0] == 200
            browser.client.cookie_jar.clear()
            assert (await browser.get("/ledger", cookie=kept))[0] == 303
        assert await owner.fetchval("select signing_key from console_keys") != key
        assert await owner.fetchval("select count(*) from console_sessions") == 1

    @pytest.mark.parametrize(
        "path", ["/payments?q=%00", "/payments/%00", "/parked?q=a%00", "/dead-letters?payment=%00"]
    )
    async def test_a_nul_is_no_fault(self, browser: Browser, path: str) -> None:
        assert (await browser.get(path))[0] in (404, 422)


class TestPages:
    @pytest.mark.parametrize(
        "path", [*PAGES, "/dead-letters?reason=orphan", "/parked?q=pi_later", "/redrives/new?preview=1"]
    )
    async def test_they_show_and_escape(self, browser: Browser, path: str) -> None:
        status, text = await browser.get(path)
        assert status == 200
        assert "<script>alert" not in text
        assert "<img" not in text
        assert " style=" not in text
        assert " onclick" not in text

    @pytest.mark.parametrize("ref", ["pi_1", "ch_1", "ORD-1", str(PAYMENT_ID)])
    async def test_a_payment_is_found_by_its_names(self, browser: Browser, ref: str) -> None:
        assert (await browser.get(f"/payments?q={ref}"))[0] == 303
        assert browser.headers["location"] == f"/payments/{PAYMENT_ID}"

    async def test_a_payment_shows_its_timeline_and_hides_its_phone(self, browser: Browser) -> None:
        status, text = await browser.get(f"/payments/{PAYMENT_ID}")
        assert status == 200
        assert text.count('<tr id="row-') == 4
        assert "12.50 EUR" in text
        assert "<svg" in text
        assert "refunded" in text
        assert "+254 ••• 78" in text
        assert "712345678" not in text
        assert HOSTILE not in text
        assert "&lt;script&gt;alert(1)" in text

    async def test_nothing_by_that_name(self, browser: Browser) -> None:
        for path in ("/payments?q=nobody", "/payments/nobody"):
            status, text = await browser.get(path)
            assert status == 404
            assert "nobody" in text

    async def test_a_letter_is_masked(self, browser: Browser, letters: list[int]) -> None:
        status, text = await browser.get(f"/dead-letters/{letters[0]}")
        assert status == 200
        for secret in (
            CARD,
            "712345678",
            "0712 345",
            "254712345678",
            "tell nobody",
            "ada@",
            "0123456789abcdef",
            "abc123",
        ):
            assert secret not in text
        assert text.count("[masked]") >= 8
        assert "<script>alert" not in text
        assert "evt_bad" in text
        assert (await browser.get(f"/dead-letters/{letters[1]}"))[0] == 200, "bytes that are no text"

    @pytest.mark.parametrize(
        "path", ["/dead-letters/999999", "/dead-letters/x", "/redrives/999999", f"/redrives/{'9' * 30}"]
    )
    async def test_what_is_not_there(self, browser: Browser, path: str) -> None:
        status, text = await browser.get(path)
        assert status == 404
        assert "Traceback" not in text

    async def test_a_filter_that_cannot_be_meant(self, browser: Browser) -> None:
        status, text = await browser.get("/dead-letters?since=yesterday")
        assert status == 422
        assert "yesterday" in text
        assert (await browser.get("/redrives/new?preview=1&rate=fast"))[0] == 422

    async def test_commands_without_an_answer_are_listed(self, browser: Browser, owner: Any) -> None:
        assert "Every command that expired was answered" in (await browser.get("/commands"))[1]
        await owner.execute(
            "insert into commands (payment_id, command_id, client, command, attempt_id, provider, account,"
            " merchant_account, livemode, provider_ref, currency, amount, state, refusal, asked_at, expires_at,"
            " relay_xid) select gen_random_uuid(), 'cmd-' || number, 'shop', 'refund', gen_random_uuid(), 'stripe', '',"
            " '', true, 'pi_' || number, 'EUR', 100 * number, (array[null, 'accepted', 'done', 'refused'])[number],"
            " case number when 4 then 'the card is closed' end, now() - interval '7 hours',"
            " now() - interval '1 hour', 3 from generate_series(1, 4) as number"
        )
        page = (await browser.get("/commands"))[1]
        assert "2 commands without an answer" in page
        without, _, newest = page.partition("Newest commands")
        assert [f"cmd-{number}" in without for number in (1, 2, 3, 4)] == [True, True, False, False]
        assert "the card is closed" in newest
        await owner.execute("delete from commands")

    async def test_webhooks_that_did_not_come_stand_in_windows(self, browser: Browser, owner: Any) -> None:
        assert "No provider" in (await browser.get("/recall"))[1]
        await owner.execute(
            "insert into recall_cursors (provider, account, list, began_at, read_until, last_error)"
            " values ('stripe', '', 'events', now(), now(), 'answered 503')"
        )
        assert "Every event that the lists show came" in (await browser.get("/recall"))[1]
        await owner.execute(
            "insert into recalled_events (source, event_id, kind, occurred_at, history, first_at, webhook_at, lost_at)"
            " select 'stripe', number::text, 'charge.succeeded', '2026-11-01 10:00Z'::timestamptz"
            " + number * interval '20 minutes' + case when number > 3 then interval '1 day' else interval '0' end,"
            " number = 6, now(), case when number = 2 then now() end, case when number = 1 then now() end"
            " from generate_series(1, 6) as number"
        )
        page = (await browser.get("/recall"))[1]
        assert "2 windows" in page, "three and two: more than an hour apart, and history counts not"
        assert "answered 503" in page
        await owner.execute("delete from recalled_events")
        await owner.execute("delete from recall_cursors")

    async def test_a_list_is_asked_by_order_and_only_what_it_would_bring_is_offered(
        self, browser: Browser, owner: Any
    ) -> None:
        csrf = await browser.token("/recall?provider=mollie&since=2026-11-01")
        assert '<option value="mollie" selected>' in (await browser.get("/recall?provider=mollie"))[1]
        form = {"provider": "mollie", "since": "2026-11-01", "dry_run": "on", "because": "ticket 7"}
        status, _ = await browser.post("/recall", csrf=csrf, **form)
        path = browser.headers["location"]
        assert (status, path.rpartition("/")[0]) == (303, "/recall")
        text = (await browser.get(path))[1]
        assert ("It waits for the dispatcher" in text, "Bring" in text) == (True, False)
        status, text = await browser.post("/recall", csrf=csrf, **form)
        assert (status, "is not over" in text) == (409, True)
        ended = "update recall_orders set status = 'done', started_at = now(), ended_at = now(), pages = 2, known = 7"
        await owner.execute(ended)
        text = (await browser.get(f"{path}/live"))[1]
        assert ("Nothing would be gained" in text, "Bring" in text) == (True, False)
        kinds = """, new = 3, kinds = '{"recall.payment": 3}', first_at = now(), last_at = now()"""
        await owner.execute(ended + kinds)
        text = (await browser.get(path))[1]
        assert ("Bring 3 events" in text, "recall.payment" in text, "ticket 7" in text) == (True, True, True)
        assert f'<a href="{path}">' in (await browser.get("/recall"))[1]
        await browser.post("/recall", csrf=csrf, **form | {"dry_run": ""})
        stop = browser.headers["location"]
        await browser.post(f"{stop}/stop", csrf=csrf)
        assert "stopped by" in (await browser.get(stop))[1]
        assert (await browser.post("/recall", csrf=csrf, provider="adyen", since="2026-11-01"))[0] == 422
        assert (await browser.get("/recall/987654"))[0] == 404
        await owner.execute("delete from recall_orders")

    async def test_groups_and_rows_show_their_message(self, browser: Browser) -> None:
        _, text = await browser.get("/dead-letters?reason=undecodable")
        assert text.count('<td data-name="message" class="message">no JSON</td>') == 2

    async def test_parked_events(self, browser: Browser) -> None:
        assert "payment pi_later" in (await browser.get("/parked?q=pi_later"))[1]
        assert "evt_waits" in (await browser.get("/parked?q=evt_waits"))[1]
        assert "Nothing waits for" in (await browser.get("/parked?q=pi_1"))[1]

    async def test_the_board_counts_what_is_processed(self, browser: Browser, owner: Any) -> None:
        async def shows(pattern: str) -> bool:
            return re.search(pattern, (await browser.get("/board/live"))[1], re.DOTALL) is not None

        await until(lambda: shows("Looked at"), "the first look")
        for number in range(3):
            await process_one_more(owner, number)
        await until(
            lambda: shows(r'class="outcome noop".{0,600}<td class="number">3</td>'), "three more that say nothing new"
        )
        assert await shows("/dead-letters\\?reason=unknown_kind")
        assert await shows("payments.webhooks")

    async def test_the_headline_comes_along_only_when_it_is_another(self, browser: Browser) -> None:
        async def stated() -> str | None:
            found = re.search(r"seen=([0-9a-f]{12})", (await browser.get("/board/live"))[1])
            return found[1] if found else None

        async def quiet() -> bool:
            return "hx-swap-oob" not in (await browser.get(f"/board/live?seen={await stated()}"))[1]

        await until(quiet, "a headline that stays")
        assert "hx-swap-oob" in (await browser.get("/board/live?seen=other"))[1]


class TestActions:
    async def test_a_letter_is_discarded_with_a_reason(self, browser: Browser, owner: Any) -> None:
        letter_id = await add_letter(owner, "conflict")
        path = f"/dead-letters/{letter_id}"
        token = await browser.token(path)
        assert (await browser.post(f"{path}/discard", csrf=token, because=" "))[0] == 422
        assert (await browser.post(f"{path}/discard", csrf=token, because=f"a test {HOSTILE}"))[0] == 303
        assert (await browser.post(f"{path}/discard", csrf=token, because="again"))[0] == 409
        who = await owner.fetchval("select discarded_by from discards where dead_letter_id = $1", letter_id)
        assert who == "unnamed"
        assert await status_of(owner, letter_id) == "discarded"
        _, text = await browser.get(path)
        assert "Given up by unnamed" in text
        assert "<script>alert" not in text

    async def test_a_letter_is_redacted_with_a_reason(self, browser: Browser, owner: Any) -> None:
        letter_id = await add_letter(owner, "conflict")
        path = f"/dead-letters/{letter_id}"
        before = await owner.fetchval("select value from dead_letters where id = $1", letter_id)
        token = await browser.token(path)
        assert (await browser.post(f"{path}/redact", because="no token"))[0] == 403
        assert (await browser.post(f"{path}/redact", csrf=token, because=" "))[0] == 422
        assert await owner.fetchval("select value from dead_letters where id = $1", letter_id) == before
        assert (await browser.post(f"{path}/redact", csrf=token, because=f"a card {HOSTILE}"))[0] == 303
        assert (await browser.post(f"{path}/redact", csrf=token, because="again"))[0] == 409
        assert (await browser.post("/dead-letters/999999/redact", csrf=token, because="none"))[0] == 409
        value = await owner.fetchval("select value from dead_letters where id = $1", letter_id)
        assert value == b"redacted, sha256 " + hashlib.sha256(before).hexdigest().encode()
        assert await status_of(owner, letter_id) == "discarded"
        actions = await owner.fetch(
            "select who, origin, action, target, because from operator_actions where target = $1",
            f"dead letter {letter_id}",
        )
        assert [tuple(row) for row in actions] == [
            ("unnamed", "console, 127.0.0.1", "dead_letter.redact", f"dead letter {letter_id}", f"a card {HOSTILE}")
        ]
        assert "/redact" not in (await browser.get(path))[1], "there is nothing left to erase"

    async def test_a_redrive_is_foreseen_ordered_followed_and_stopped(self, browser: Browser, owner: Any) -> None:
        await add_applicable(owner, "data_rejected")
        _, text = await browser.get("/redrives/new?preview=1&reason=data_rejected&rate=5")
        assert "Redrive 1 dead letter<" in text
        assert await list_redrives(owner, 10) == (), "a preview writes nothing"
        token = await browser.token("/ledger")
        assert (await browser.post("/redrives", csrf=token, reason="data_rejected", rate="5"))[0] == 303
        path = browser.headers["location"]
        order = (await list_redrives(owner, 10))[0]
        assert path == f"/redrives/{order.id}"
        assert (order.rate_per_second, order.requested_by, order.selected) == (5.0, "unnamed", 1)
        assert order.filter == {"reason": "data_rejected"}
        _, text = await browser.get(path)
        assert f'hx-get="{path}/live"' in text
        assert (await browser.post(f"{path}/stop", csrf=token))[0] == 303
        assert (await list_redrives(owner, 10))[0].stopping
        assert 'id="stop"' not in (await browser.get(f"{path}/live"))[1]
        assert "stopping" in (await browser.get("/redrives"))[1]

    async def test_a_redrive_that_stopped_goes_on(self, browser: Browser, owner: Any) -> None:
        await add_applicable(owner, "unexpected")
        token = await browser.token("/ledger")
        await browser.post("/redrives", csrf=token, reason="unexpected", because="mended")
        path = browser.headers["location"]
        redrive_id = int(path.rpartition("/")[2])
        ended = "update redrives set status = 'stopped', stop_reason = 'enough', ended_at = now() where id = $1"
        await owner.execute(ended, redrive_id)
        assert 'id="resume"' in (await browser.get(path))[1]
        assert (await browser.post(f"{path}/resume", csrf=token))[0] == 303
        assert (await progress(owner, redrive_id)).status in ("queued", "running")

    async def test_only_what_would_be_applied_is_offered(self, browser: Browser, owner: Any) -> None:
        useless = await add_letter(owner, "orphan")
        _, text = await browser.get("/redrives/new?preview=1&reason=orphan")
        assert "Nothing would be gained" in text
        assert "<button>Redrive" not in text
        token = await browser.token("/ledger")
        assert (await browser.post("/redrives", csrf=token, reason="orphan"))[0] == 409
        useful = await add_applicable(owner, "orphan")
        _, text = await browser.get("/redrives/new?preview=1&reason=orphan")
        assert "Only the 1 dead letter that would be applied is sent; 1 other stays open" in text
        assert (await browser.post("/redrives", csrf=token, reason="orphan", because="mended"))[0] == 303
        redrive_id = int(browser.headers["location"].rpartition("/")[2])
        sent = "select dead_letter_id from redrive_messages where redrive_id = $1"
        assert [row["dead_letter_id"] for row in await owner.fetch(sent, redrive_id)] == [useful]
        why = "select because from operator_actions where action = 'redrive.start' order by id desc limit 1"
        assert await owner.fetchval(why) == "mended"
        ended = "update redrives set status = 'stopped', stop_reason = 'enough', ended_at = now() where id = $1"
        await owner.execute(ended, redrive_id)
        await owner.execute("delete from redrive_messages where redrive_id = $1", redrive_id)
        await owner.execute("delete from dead_letters where id = any($1)", [useless, useful])

    async def test_a_thousand_ask_for_their_number(
        self, browser: Browser, owner: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(redrive_pages, "TYPED_FROM", 2)
        ids = [await add_applicable(owner, "orphan") for _ in range(2)]
        assert 'id="typed"' in (await browser.get("/redrives/new?preview=1&reason=orphan"))[1]
        token = await browser.token("/ledger")
        for typed in ("", "1", "3"):
            status, text = await browser.post("/redrives", csrf=token, reason="orphan", typed=typed)
            assert (status, "type that number" in text) == (422, True)
        assert (await browser.post("/redrives", csrf=token, reason="orphan", typed=" 2 "))[0] == 303
        assert [await status_of(owner, one) for one in ids] == ["open", "open"], "the relay is who sends them"
        await owner.execute("delete from redrive_messages where dead_letter_id = any($1)", ids)
        await owner.execute("delete from dead_letters where id = any($1)", ids)

    async def test_a_redrive_of_nothing_is_reported(self, browser: Browser) -> None:
        token = await browser.token("/ledger")
        assert (await browser.post("/redrives", csrf=token, reason="fatal"))[0] == 409
        assert (await browser.post("/redrives", csrf=token, reason="teapot"))[0] == 422
        assert (await browser.post("/redrives/999999/stop", csrf=token))[0] == 409

    async def test_the_ledger_is_checked_on_demand(self, browser: Browser) -> None:
        _, text = await browser.get("/ledger")
        assert "Nothing was checked" in text
        assert (await browser.post("/ledger/check", csrf=await browser.token("/ledger")))[0] == 303

        async def checked() -> str | None:
            text = (await browser.get("/ledger/live"))[1]
            return text if "What must hold" in text else None

        text = await until(checked, "a result")
        assert "The ledger does not balance" in text, "the rows of this test have made-up hashes"
        assert f"/payments/{PAYMENT_ID}" in text
        assert "12.50" in text


class TestOutage:
    async def test_pages_say_so_and_ask_again(self, guarded: Console) -> None:
        async with Browser(guarded) as browser:
            await browser.sign_in()
            for path in ("/payments", "/dead-letters", "/parked", "/redrives", "/redrives/new?preview=1"):
                status, text = await browser.get(path)
                assert status == 503, path
                assert '<meta http-equiv="refresh"' in text
                assert "Postgres" in text
                assert "Traceback" not in text
                assert "nobody:x" not in text

    async def test_the_board_shows_what_it_can(self, guarded: Console) -> None:
        async with Browser(guarded) as browser:
            await browser.sign_in()

            async def looked() -> str | None:
                text = (await browser.get("/"))[1]
                return text if "Looked at" in text else None

            text = await until(looked, "the first look")
            assert "Kafka does not answer" in text
            assert "Postgres does not answer" in text
            assert "dispatcher" in text

    async def test_the_ledger_says_why_there_is_no_result(self, guarded: Console) -> None:
        async with Browser(guarded) as browser:
            await browser.sign_in()
            await browser.post("/ledger/check", csrf=await browser.token("/ledger"))

            async def failed() -> bool:
                return "Postgres does not answer" in (await browser.get("/ledger/live"))[1]

            await until(failed, "the reason")
