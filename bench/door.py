"""How soon the deny door answers a live server, at some hundreds of questions a second."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from time import monotonic, perf_counter, sleep

import urllib3

from agents.blocking.leases import Deny, DenyLeases
from agents.keyvalue import connect_asyncio
from agents.local.ports import LOOPBACK, choose_ports
from bench.report import Section, Table
from bench.run import Run
from bench.samples import Samples
from schemas.identity import derive
from tests.support.fleet import Fleet

_RATE = 300
"""Questions a second."""
_KINDS = {
    "nginx-rtmp": {"fields": {"call": "publish", "app": "live"}, "allowed": 204, "denied": 403},
    "mediamtx": {"fields": {"action": "publish"}, "allowed": 200, "denied": 403},
}


def measure(run: Run) -> Section:
    """Measure two kinds of questions, those that are let in and those that are not."""
    servers = {kind: {"kind": kind, "api_urls": ["http://127.0.0.1:1"]} for kind in _KINDS}
    (port,) = choose_ports(1)
    overrides = {"FLEET_BLOCKING__SERVERS": json.dumps(servers), "FLEET_DOOR__PORT": str(port)}
    rows = []
    with run.servers.fleet(overrides) as fleet, fleet.spawned("door"):
        pool = urllib3.PoolManager(retries=False)
        fleet.await_that(lambda: _answers(pool, port), "the door to open")
        for kind in _KINDS:
            asyncio.run(_deny(fleet, kind))
            for name, status in (("free", "allowed"), ("blocked", "denied")):
                run.tell(f"door: {kind}, {status}")
                rows.append(_row(run, pool, port, kind, name, status))
    return Section(
        "The deny door",
        (
            Table(
                f"Answers to live servers, {_RATE} questions a second",
                ("asked by, answered", "p50, ms", "p95, ms", "p99, ms", "max, ms", "questions"),
                tuple(rows),
                "One door in a process of its own, Valkey beside it, one client that keeps its connection and asks at "
                "a fixed pace; from the question sent to the answer read. Every question reads the lease.",
            ),
        ),
    )


def _answers(pool: urllib3.PoolManager, port: int) -> bool:
    try:
        return pool.request("GET", f"http://{LOOPBACK}:{port}/health", timeout=1).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _row(run: Run, pool: urllib3.PoolManager, port: int, kind: str, name: str, status: str) -> tuple[str, ...]:
    url = f"http://{LOOPBACK}:{port}/{kind}/publish"
    path = {"name": name} if kind == "nginx-rtmp" else {"path": f"live/{name}"}
    fields = {**dict(_KINDS[kind]["fields"]), **path}  # type: ignore[call-overload]
    wanted = _KINDS[kind][status]
    count = run.amount(20 * _RATE, _RATE // 2)
    taken, began = [], monotonic()
    for number in range(count):
        sleep(max(0.0, began + number / _RATE - monotonic()))
        started = perf_counter()
        if kind == "nginx-rtmp":
            answer = pool.request_encode_body("POST", url, fields=fields, encode_multipart=False)
        else:
            answer = pool.request("POST", url, json=fields)
        taken.append(1000 * (perf_counter() - started))
        if answer.status != wanted:
            raise RuntimeError(f"{kind} {name}: status {answer.status} where {wanted} is right")
    samples = Samples(tuple(taken))
    shown = (samples.median, samples.percentile(0.95), samples.percentile(0.99), max(samples.values))
    return (f"{kind}, {status}", *(f"{value:.2f}" for value in shown), f"{count:,}")


async def _deny(fleet: Fleet, server: str) -> None:
    client = connect_asyncio(fleet.settings.redis)
    now = datetime.now(UTC)
    now_ms = int(now.timestamp() * 1000)
    deny = Deny(
        server=server,
        path="live/blocked",
        stream_id="blocked",
        tenant="default",
        alert_id=derive("alert", "blocked"),
        episode=1,
        score=0.9,
        risk_level="high",
        model_set="models",
        policy="live-block/1",
        reason="A face looks altered.",
        since_ms=now_ms,
        until_ms=int((now + timedelta(hours=1)).timestamp() * 1000),
    )
    await DenyLeases(client, fleet.settings.redis).deny(deny, now_ms)
    await client.aclose()
