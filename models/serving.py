"""The models that a worker serves with: leased to each segment, changed while it runs, replaced where memory is short.

A segment leases one set of models and keeps it to its end. A change loads the new model beside the old one and then
gives it to the segments that begin; the old one is closed when the last segment that has it ends.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Lock

from models.detectors import DetectorSet
from models.exceptions import ModelError, NoRoom, OutOfMemory
from models.inference.admission import Admission, Return
from models.inference.placing import Spot
from models.loading import Loader
from models.manifest import Role
from models.selection import Choice, Selection
from models.served import Held, Served, Slot, retire, served

_log = logging.getLogger(__name__)


OnChange = Callable[[], None]


class Serving:
    """Models of all roles, from `open` to `close`. For any number of threads.

    Args:
        loader: opens models.
        selection: what is asked for.
        on_change: called after anything was changed, in the thread that did it.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        loader: Loader,
        selection: Selection,
        *,
        on_change: OnChange = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loader = loader
        self._selection = selection
        self._on_change = on_change
        self._clock = clock
        self._slots: dict[str, Slot] = {}
        self._sets: dict[tuple[int, ...], DetectorSet] = {}
        self._changing = Lock()
        self._changed = Condition()

    @property
    def admission(self) -> Admission:
        """What decides whether there is room for a model."""
        return self._loader.options.admission

    @property
    def selection(self) -> Selection:
        """What is asked for now."""
        return self._selection

    def open(self) -> None:
        """Load all that is asked for.

        Raises:
            ModelError: something cannot be had; nothing is left running.
        """
        with self._changing:
            slots = self._loaded(self._selection.names)
            with self._changed:
                self._slots = slots
        self._on_change()

    def close(self) -> None:
        """Finish what was submitted, and let go of all models."""
        with self._changing, self._changed:
            slots, self._slots = self._slots, {}
            self._sets.clear()
        for slot in slots.values():
            if slot.held is not None:
                slot.held.placed.opened.close()

    @contextmanager
    def lease(self, media_id: str) -> Iterator[DetectorSet]:
        """Give the models that judge one media; they stay until the block ends.

        Raises:
            NoRoom: memory is short of all that could serve. May pass, see `tend`.
        """
        with self._changed:
            names = self._wait_for(media_id)
            held = [self._held(name) for name in names]
            for each in held:
                each.users += 1
            detectors = self._set(held)
        try:
            yield detectors
        finally:
            with self._changed:
                for each in held:
                    each.users -= 1
                done = [each for each in held if each.retired and each.users == 0]
            for each in done:
                each.placed.opened.close()

    def _wait_for(self, media_id: str) -> Sequence[str]:
        """Wait while a model is being replaced that had to go; with the lock held."""

        def names() -> Sequence[str]:
            return [entry.name for entry in self._selection.entries(media_id)]

        self._changed.wait_for(lambda: not any(self._slots[name].placing for name in names()))
        return names()

    def _held(self, name: str) -> Held:
        slot = self._slots[name]
        if slot.held is not None:
            return slot.held
        raise NoRoom(name, "needs", "nothing serves" if slot.missing is None else f"nothing serves: {slot.missing}")

    def _set(self, held: Sequence[Held]) -> DetectorSet:
        key = tuple(map(id, held))
        if key not in self._sets:
            fusion = self._loader.manifest.fusion
            opened = [each.placed.opened for each in held]
            self._sets[key] = DetectorSet.of(opened, None if fusion is None else fusion.sha256)
        return self._sets[key]

    def switch(self, role: Role, choice: Choice) -> None:
        """Let other models serve a role: loaded and checked beside the old ones, which serve until then.

        Raises:
            ModelError: it cannot be; nothing has changed.
        """
        with self._changing:
            selection = self._selection.switched(role, choice)
            slots = self._loaded([name for name in selection.names if name not in self._slots])
            with self._changed:
                self._slots |= slots
                self._selection = selection
                self._sets.clear()
                gone = [self._slots.pop(name) for name in self._slots.keys() - set(selection.names)]
                unused = [held for slot in gone if (held := retire(slot)) is not None]
            for held in unused:
                held.placed.opened.close()
        self._on_change()

    def step_down(self, error: OutOfMemory, detectors: DetectorSet) -> None:
        """Replace the model that ran out of memory by what stands in for it. Whoever else uses it gets its error.

        Args:
            error: names the model.
            detectors: the set that it came from; where it was replaced since, nothing is done.
        """
        failed = detectors.faces if error.entry == detectors.faces.entry.name else detectors.detectors[error.entry]
        with self._changing:
            with self._changed:
                found = [each for each in self._slots.values() if each.held and each.held.placed.opened is failed]
                if not found:
                    return
                (slot,) = found
                slot.placing = True
                slot.full.add(slot.held.placed.spot if slot.held else Spot(slot.wanted, ""))
                slot.held = None
                self._sets.clear()
            failed.abandon(OutOfMemory(error.entry, error.field, error.problem))
            self._place(slot)
        self._on_change()

    def tend(self) -> None:
        """Bring back what memory was short of, where there has been room for it for a while. To be called regularly."""
        changed = False
        with self._changing:
            for slot in list(self._slots.values()):
                if slot.held is None:
                    slot.full.clear()
                    self._place(slot)
                    changed |= slot.held is not None
                elif slot.held.placed.short:
                    changed |= self._bring_back(slot, slot.held)
        if changed:
            self._on_change()

    def _bring_back(self, slot: Slot, held: Held) -> bool:
        best = held.placed.short[0]
        if not slot.back.due(ample=self.admission.ample(best.entry, best.provider)):
            return False
        slot.full.clear()
        try:
            placed = self._loader.placed(slot.wanted, keep=held.placed)
        except ModelError as error:
            _log.warning("%s was tried again: %s", slot.wanted.name, error)
            slot.back.failed()
            return False
        if placed.opened is held.placed.opened:
            slot.back.failed()
            return False
        with self._changed:
            retired = retire(slot)
            slot.held = Held(placed)
            slot.back = Return(self._clock)
            self._sets.clear()
        if retired is not None:
            retired.placed.opened.close()
        return True

    def _place(self, slot: Slot) -> None:
        """Find what can serve in a slot, or why nothing can. Whatever happens, nobody waits for it any longer."""
        held: Held | None = None
        missing: ModelError | None = None
        try:
            held = Held(self._loader.placed(slot.wanted, slot.full))
        except ModelError as error:
            missing = error
        finally:
            with self._changed:
                slot.held, slot.missing, slot.placing = held, missing, False
                self._changed.notify_all()

    def _loaded(self, names: Sequence[str]) -> dict[str, Slot]:
        slots: dict[str, Slot] = {}
        try:
            for name in names:
                wanted = self._loader.manifest.entry(name)
                placed = self._loader.placed(wanted)
                slots[name] = Slot(wanted, Return(self._clock), Held(placed))
        except BaseException:
            for slot in slots.values():
                if slot.held is not None:
                    slot.held.placed.opened.close()
            raise
        return slots

    @property
    def served(self) -> Sequence[Served]:
        """What serves now, in the order of the roles."""
        with self._changed:
            choices = list(self._selection.choices.values())
            return [
                served(self._slots[name], choice, name)
                for choice in choices
                for name in choice.all
                if name in self._slots
            ]
