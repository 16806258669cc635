from agents.supervision import Worker, workers


def test_a_name_given_twice_is_two_workers_with_labels_of_their_own() -> None:
    assert [worker.label for worker in workers(["uploads", "segments", "segments"])] == [
        "uploads",
        "segments",
        "segments.2",
    ]


def test_workers_share_neither_port_nor_instance() -> None:
    planned = workers(["segments", "sink", "segments"], instance="pod-0", health_port=8080)
    assert planned == [
        Worker("segments", "segments", {"FLEET_RUNTIME__HEALTH_PORT": "8080"}),
        Worker("sink", "sink", {"FLEET_RUNTIME__HEALTH_PORT": "8081"}),
        Worker(
            "segments.2",
            "segments",
            {"FLEET_RUNTIME__HEALTH_PORT": "8082", "FLEET_RUNTIME__INSTANCE": "pod-0-2"},
        ),
    ]


def test_free_ports_and_no_port_stay_what_they_are() -> None:
    for port in (0, -1):
        assert all(not worker.environment for worker in workers(["uploads", "sink"], health_port=port))
