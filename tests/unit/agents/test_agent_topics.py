"""The catalogue says who writes and reads a topic: what the agents really do has to agree."""

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from agents.runtime.agent import Agent
from agents.runtime.metrics import Metrics
from agents.scorer import Scorer
from agents.segments import Segments
from agents.settings import Settings
from agents.sink import Sink
from agents.streams import Streams
from agents.uploads import Uploads
from topics.asyncapi import consumers, producers
from topics.catalogue import SEGMENTS_BULK, STEERING, TOPICS, Topic

SETTINGS = Settings()
# Nothing is opened: neither Redis, nor Postgres, nor a model is needed to be asked for topics.
NEVER_OPENED = cast("Scorer", object())
BUILT: Sequence[Callable[[], Agent]] = (
    lambda: Segments(SETTINGS, NEVER_OPENED, Metrics()),
    lambda: Sink(SETTINGS, Metrics()),
    lambda: Streams(SETTINGS, Metrics()),
)
AGENTS: Sequence[type[Agent]] = (Uploads, Segments, Sink, Streams)


def written_by(agent: type[Agent]) -> set[Topic]:
    return {topic for topic in TOPICS if agent.name in producers(topic) and topic not in STEERING}


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_writes_the_topics_that_the_catalogue_says(agent: type[Agent]) -> None:
    assert set(agent.produces) == written_by(agent)


@pytest.mark.parametrize("build", BUILT, ids=["segments", "sink", "streams"])
def test_an_agent_reads_the_topics_that_the_catalogue_says(build: Callable[[], Agent]) -> None:
    agent = build()
    read = {topic for lane in agent.lanes for topic in lane.topics}
    assert read == {topic for topic in TOPICS if agent.name in consumers(topic) and topic not in STEERING}
    assert all(topic.dead_letter for topic in read), "what it cannot handle has to go somewhere"


def test_bulk_segments_wait_behind_interactive_ones_with_the_share_of_the_settings() -> None:
    urgent, bulk = BUILT[0]().lanes
    assert urgent.share == 0.0
    assert bulk.topics == (SEGMENTS_BULK,)
    assert bulk.share == SETTINGS.segments.bulk_share
