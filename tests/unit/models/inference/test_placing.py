"""Which model runs where, and what stands in where memory is short."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from models.exceptions import GoldenMismatch, GraphInvalid, ModelError, NoRoom, OutOfMemory, ProviderUnavailable
from models.inference.placing import Placed, Spot, Step, place
from models.manifest import Entry
from tests.support.tiny_models import entry

GPU_AND_CPU = ("cuda", "cpu")


def named(name: str) -> Entry:
    return entry(path=Path(f"{name}.onnx"), sha256="0" * 64, name=name)


LARGE, SMALL, TWIN = named("large"), named("small"), named("large_fp32")
CHAIN = (Step(LARGE, TWIN), Step(SMALL, SMALL))


def found(refusals: Mapping[str, type[ModelError]], providers: tuple[str, ...] = GPU_AND_CPU) -> Placed[str]:
    def attempt(spot: Spot) -> str:
        refusal = refusals.get(str(spot))
        if refusal is not None:
            raise refusal(spot.entry.name, "field", f"for {refusal.__name__}")
        return f"opened {spot}"

    return place(CHAIN, providers, attempt)


def test_the_first_choice_is_taken_where_it_can_be_had() -> None:
    placed = found({})
    assert placed == Placed(Spot(TWIN, "cuda"), "opened large_fp32 on cuda")


def test_without_a_gpu_the_first_choice_runs_on_the_cpu() -> None:
    gone = {"large_fp32 on cuda": ProviderUnavailable}
    placed = found(gone)
    assert str(placed.spot) == "large on cpu"
    assert placed.passed_over == ("large_fp32 on cuda: for ProviderUnavailable",)
    assert placed.short == (), "nothing was short of memory: this is no stand-in"


def test_a_wrong_answer_on_a_gpu_sends_the_same_model_to_the_cpu() -> None:
    placed = found({"large_fp32 on cuda": GoldenMismatch})
    assert (str(placed.spot), placed.short) == ("large on cpu", ())


@pytest.mark.parametrize("refusal", [NoRoom, OutOfMemory])
def test_where_a_gpu_has_no_room_a_smaller_model_stands_in_there(refusal: type[ModelError]) -> None:
    placed = found({"large_fp32 on cuda": refusal})
    assert str(placed.spot) == "small on cuda"
    assert placed.short == (Spot(TWIN, "cuda"),)


def test_when_nothing_fits_on_the_gpu_the_cpu_gets_the_smallest() -> None:
    placed = found({"large_fp32 on cuda": NoRoom, "small on cuda": NoRoom})
    assert str(placed.spot) == "small on cpu"
    assert [str(spot) for spot in placed.short] == ["large_fp32 on cuda", "small on cuda"]


def test_on_a_cpu_alone_the_chain_is_tried_in_order() -> None:
    placed = found({"large on cpu": NoRoom}, ("cpu",))
    assert (str(placed.spot), placed.short) == ("small on cpu", (Spot(LARGE, "cpu"),))


def test_a_model_that_no_provider_runs_gives_way() -> None:
    placed = found({"large on cpu": ProviderUnavailable}, ("cpu",))
    assert str(placed.spot) == "small on cpu"


def test_a_model_that_answers_wrongly_everywhere_is_not_replaced_in_silence() -> None:
    with pytest.raises(GoldenMismatch, match=r"large: field: large_fp32 on cuda: .*; large on cpu: for GoldenMismatch"):
        found({"large_fp32 on cuda": GoldenMismatch, "large on cpu": GoldenMismatch})


def test_an_invalid_graph_is_not_passed_over() -> None:
    with pytest.raises(GraphInvalid):
        found({"large_fp32 on cuda": GraphInvalid})


def test_where_nothing_has_room_all_reasons_are_said() -> None:
    everywhere = {
        f"{name} on {provider}": NoRoom for name in ("large", "large_fp32", "small") for provider in GPU_AND_CPU
    }
    with pytest.raises(NoRoom) as caught:
        found(everywhere)
    assert caught.value.problem.count("for NoRoom") == 4


def test_where_memory_ran_out_is_not_tried_again() -> None:
    placed = place(CHAIN, ("cpu",), str, full={Spot(LARGE, "cpu")})
    assert (placed.opened, placed.short) == ("small on cpu", (Spot(LARGE, "cpu"),))
    assert placed.passed_over == ("large on cpu: its memory ran out while it ran",)
