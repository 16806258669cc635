from agents.placement import Place
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


def test_an_agent_has_a_worker_for_each_of_its_places_and_the_others_one_each() -> None:
    on_gpu = Place("GPU-0", "a GPU", {"CUDA_VISIBLE_DEVICES": "GPU-a"}, "GPU-a")
    on_cpu = Place("cpu", "the CPU", {"CUDA_VISIBLE_DEVICES": ""})
    planned = workers(
        ["uploads", "segments"], instance="pod-0", health_port=8080, places={"segments": (on_gpu, on_cpu)}
    )
    assert planned == [
        Worker("uploads", "uploads", {"FLEET_RUNTIME__HEALTH_PORT": "8080"}),
        Worker(
            "segments@GPU-0",
            "segments",
            {"CUDA_VISIBLE_DEVICES": "GPU-a", "FLEET_RUNTIME__HEALTH_PORT": "8081"},
            "GPU-a",
        ),
        Worker(
            "segments@cpu",
            "segments",
            {
                "CUDA_VISIBLE_DEVICES": "",
                "FLEET_RUNTIME__HEALTH_PORT": "8082",
                "FLEET_RUNTIME__INSTANCE": "pod-0-2",
            },
        ),
    ]
