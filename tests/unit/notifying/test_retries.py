"""When deliveries are tried again: with a clock that the test turns."""

import asyncio
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from agents.notifying.deliverer import Deliverer, delivery_id
from agents.notifying.guarded_http import GuardedHttp, HttpRules
from agents.notifying.outcomes import Delivered, Later, Never, Outcome
from agents.notifying.retries import Retry, RetryPolicy, retry_of
from agents.notifying.signing import SecretUnusable, key_of
from agents.notifying.targets import Target
from tests.support.alerts import stream_alert
from tests.support.endpoints import Endpoint, endpoint
from topics.exceptions import MessageInvalid

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
POLICY = RetryPolicy()
SECRET = "whsec_" + b64encode(b"a secret of 24 bytes or more").decode()


class Clock:
    """A time that the test turns; seconds for what measures."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return (self.now - START).total_seconds()


def test_waits_grow_and_the_last_one_stays() -> None:
    now, attempt, waits = START, 1, []
    while (again := POLICY.again("webhook", attempt, START, now)) is not None:
        retry, tier = again
        waits.append(tier.total_seconds())
        assert retry.due_at - now == tier
        now, attempt = retry.due_at, retry.attempt
    assert waits[:5] == [10, 60, 600, 3600, 3600]
    assert timedelta(hours=23) < now - START <= timedelta(hours=24)
    assert len(waits) == 3 + 23


@pytest.mark.parametrize(("asked", "wait"), [(1, 10), (30, 60), (61, 600), (100_000, 3600)])
def test_who_asks_for_a_longer_wait_gets_the_next_tier_that_is_as_long(asked: float, wait: float) -> None:
    again = POLICY.again("webhook", 1, START, START, asked)
    assert again is not None
    assert again[1].total_seconds() == wait


def test_a_retry_travels_in_headers() -> None:
    retry = Retry("webhook:*:a", 3, START, START + timedelta(minutes=1))
    assert retry_of(retry.headers()) == retry


@pytest.mark.parametrize(
    "changed", [{"retry-attempt": b"x"}, {"retry-due-at": b"soon"}, {"retry-first-at": b"2026-11-01T12:00:00"}]
)
def test_headers_that_cannot_be_are_refused(changed: dict[str, bytes]) -> None:
    with pytest.raises(MessageInvalid):
        retry_of({**Retry("a", 2, START, START).headers(), **changed})
    with pytest.raises(MessageInvalid):
        retry_of({})


def target_of(place: Endpoint) -> Target:
    return Target("webhook:*:a", "webhook", "127.0.0.1", SecretStr(place.url), keys=(key_of(SECRET),))


async def deliver(place: Endpoint, clock: Clock, hours: float, timeout_s: float = 5.0) -> tuple[list[Outcome], bool]:
    """Deliver one alert as the agent does, turning the clock to each retry; whether it was given up."""
    http = GuardedHttp(HttpRules(allow_http=True, private_hosts=frozenset({"127.0.0.1"}), timeout_s=timeout_s))
    await http.open()
    deliverer = Deliverer(http, None, clock, clock.seconds)
    policy = RetryPolicy(give_up_after=timedelta(hours=hours))
    outcomes, attempt = [], 1
    try:
        while True:
            outcome = await deliverer.deliver(target_of(place), stream_alert("show"))
            outcomes.append(outcome)
            if not isinstance(outcome, Later):
                return outcomes, False
            again = policy.again("webhook:*:a", attempt, START, clock(), outcome.asked_s)
            if again is None:
                return outcomes, True
            clock.now, attempt = again[0].due_at, again[0].attempt
    finally:
        await http.close()


def test_an_endpoint_that_answers_500_for_an_hour_gets_the_alert_when_it_is_back() -> None:
    clock = Clock()
    with endpoint(lambda _: 500 if clock() - START < timedelta(hours=1) else 200) as place:
        outcomes, given_up = asyncio.run(deliver(place, clock, 24))
    assert not given_up
    assert isinstance(outcomes[-1], Delivered)
    assert [type(outcome) for outcome in outcomes[:-1]] == [Later] * 4
    assert clock() - START == timedelta(seconds=10 + 60 + 600 + 3600)
    assert len({got.headers["webhook-id"] for got in place.got}) == 1
    stamps = [int(got.headers["webhook-timestamp"]) for got in place.got]
    assert stamps == sorted(set(stamps)), "each attempt is signed anew"
    assert {got.body for got in place.got} == {place.got[0].body}


def test_an_endpoint_that_never_answers_is_given_up_after_its_time() -> None:
    clock = Clock()
    with endpoint(lambda _: None) as place:
        outcomes, given_up = asyncio.run(deliver(place, clock, 0.5, timeout_s=0.2))
    assert given_up
    assert {type(outcome) for outcome in outcomes} == {Later}
    assert clock() - START < timedelta(hours=0.5)


def test_who_fails_again_and_again_is_left_alone_for_a_while() -> None:
    clock = Clock()

    async def play() -> list[Outcome]:
        http = GuardedHttp(HttpRules(allow_http=True, private_hosts=frozenset({"127.0.0.1"})))
        await http.open()
        deliverer = Deliverer(http, None, clock, clock.seconds)
        outcomes = [await deliverer.deliver(target_of(place), stream_alert(f"show-{number}")) for number in range(5)]
        clock.now += timedelta(seconds=31)
        outcomes.append(await deliverer.deliver(target_of(place), stream_alert("later")))
        await http.close()
        return outcomes

    with endpoint(lambda number: 500 if number < 3 else 200) as place:
        outcomes = asyncio.run(play())
    assert len(place.got) == 4, "two of six were not even tried"
    assert isinstance(outcomes[-1], Delivered)


def test_a_huge_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # not taken from the environment
    with endpoint(headers={"X-Large": "x" * 4000}) as place:
        outcomes, _ = asyncio.run(deliver(place, Clock(), 1))
    assert [type(outcome) for outcome in outcomes] == [Delivered]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/hook", "http is not allowed"),
        ("ftp://example.com/hook", "ftp is not allowed"),
        ("https://127.0.0.1/hook", "not a public one"),
        ("https://[::ffff:10.0.0.1]/hook", "not a public one"),
        ("https://169.254.169.254/latest", "not a public one"),
        ("https://localhost/hook", "not a public one"),
    ],
)
def test_places_that_may_not_be_reached_are_refused_for_ever(url: str, why: str) -> None:
    async def post() -> Outcome:
        http = GuardedHttp(HttpRules(timeout_s=2))
        await http.open()
        outcome = await http.post(url, b"{}", {})
        await http.close()
        return outcome

    outcome = asyncio.run(post())
    assert isinstance(outcome, Never), outcome
    assert why in outcome.why


def test_a_message_is_signed_by_every_secret() -> None:
    other = "whsec_" + b64encode(b"the next secret, 24 bytes long").decode()
    with endpoint() as place:
        target = Target("a", "webhook", "h", SecretStr(place.url), keys=(key_of(SECRET), key_of(other)))

        async def play() -> Outcome:
            http = GuardedHttp(HttpRules(allow_http=True, private_hosts=frozenset({"127.0.0.1"})))
            await http.open()
            outcome = await Deliverer(http, None, lambda: datetime.now(UTC)).deliver(target, stream_alert("show"))
            await http.close()
            return outcome

        assert isinstance(asyncio.run(play()), Delivered)
    for secret in (SECRET, other):
        assert Webhook(secret).verify(place.got[0].body, dict(place.got[0].headers))
    assert place.got[0].headers["webhook-id"] == delivery_id(target, stream_alert("show"))


@pytest.mark.parametrize("secret", ["whsec_short", "whsec_" + b64encode(b"too short").decode(), "no base64!", ""])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(SecretUnusable) as refused:
        key_of(secret)
    assert not secret or secret not in str(refused.value)
