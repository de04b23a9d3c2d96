"""Whether accesses that the shadow cannot order race, and with what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpugrad.simulate.races.access_log import (
    SPAN_BITS,
    WRITE,
    Ints,
    kind_of,
    paired,
    pc_of,
    width_of,
)
from gpugrad.simulate.races.epochs import Epochs
from gpugrad.simulate.races.happens_before import HappensBefore
from gpugrad.simulate.races.shadow import REPLACED, Access, Accessors, Shadow

Suspect = tuple[int, int, int, int]  # a position that races, and the other's thread, pc and kind
Note = Callable[[Ints], None]  # told the pcs of stores of the same value


def judged(
    shadow: Shadow,
    a: Access,
    late: dict[int, Ints],
    epochs: Epochs,
    order: HappensBefore | None,
    note: Note,
) -> tuple[list[Suspect], Ints]:
    """Of the positions that come late for a kind: those that race, and those that store again.

    Returns: a suspect for each kind of conflict, the lowest position of that kind; and the
        positions that store, in a race, what is there already.
    """
    suspects: list[Suspect] = []
    harmless = np.zeros(len(a.tag), bool)
    if order is not None:
        involved = order.involved[a.tag >> (SPAN_BITS + epochs.bits)]
        traced = np.zeros(len(a.tag), bool)
        for lanes in late.values():
            traced[lanes] = True
        lanes = np.flatnonzero(traced & involved)
        if lanes.size:
            suspects = _traced(shadow, a, lanes, order, note, harmless)
        late = {against: lanes[~involved[lanes]] for against, lanes in late.items()}
    for against, lanes in late.items():
        seen = shadow.of(against)
        if a.kind == against == WRITE:
            when = seen.when[a.granule[lanes]]
            stored = a.same[lanes] & shadow.as_wide(when, a.stamp)
            note(pc_of(when[stored]))
            lanes, again = lanes[~stored], lanes[stored]
            harmless[again] = True
            before = shadow.seen[REPLACED]
            suspects += _lowest(
                a, before, again[epochs.late(before, a.granule[again], a.tag[again])]
            )
        suspects += _lowest(a, seen, lanes)
    return suspects, np.flatnonzero(harmless)


def _lowest(a: Access, seen: Accessors | None, late: Ints) -> list[Suspect]:
    """The lowest position that races with a set, if any."""
    if seen is None or not late.size:
        return []
    # Of a lane's granules, the one that changed last is sure to hold another value than it stores.
    first = late[late // a.each == late[0] // a.each]
    first = first[np.argmax(seen.when[a.granule[first]])][None]
    other, pc, kind = seen.witness(a.granule[first], a.tag[first] >> SPAN_BITS)
    return [(int(first[0]), int(other[0]), int(pc[0]), int(kind[0]))]


def _traced(
    shadow: Shadow,
    a: Access,
    late: Ints,
    order: HappensBefore,
    note: Note,
    harmless: NDArray[np.bool_],
) -> list[Suspect]:
    """As `judged`, by the log and what has synchronised; sets `harmless`."""
    assert shadow.log is not None
    assert shadow.since is not None
    where = a.granule[late]
    present = shadow.since[0][where]
    same = a.same[late] & (a.kind == WRITE)
    since = np.where(same, shadow.since[1][where], present)
    granule, tag, stamp = shadow.log.touching(where, shadow.shift, int(since.min()), a.kind)
    suspects = []
    for entry, lane in paired(granule, where):
        recent = stamp[entry] >= since[lane]
        entry, lane = entry[recent], lane[recent]
        racing = order.unordered(
            a.tag[late[lane]] >> SPAN_BITS, tag[entry] >> SPAN_BITS, stamp[entry]
        )
        entry, lane = entry[racing], lane[racing]
        at = stamp[entry]
        again = same[lane] & (kind_of(at) == WRITE) & (width_of(at) == width_of(a.stamp))
        again &= at >= present[lane]
        harmless[late[lane[again]]] = True
        note(pc_of(at[again]))
        entry, lane = entry[~again], lane[~again]
        if lane.size:
            first = np.lexsort((tag[entry], -stamp[entry], late[lane] // a.each))[0]
            newest, other = int(stamp[entry[first]]), int(tag[entry[first]]) >> SPAN_BITS
            suspects.append((int(late[lane[first]]), other, pc_of(newest), kind_of(newest)))
    return suspects


def clashing(
    shadow: Shadow, a: Access, value_key: NDArray[Any] | None, note: Note
) -> list[Suspect]:
    """Two lanes of one instruction that store different values to one place."""
    if a.distinct:
        return []
    last = shadow.last(a.granule)
    lost = np.flatnonzero(last != np.arange(len(last)))
    if not lost.size:
        return []
    lanes = len(a.tag) // a.each
    if value_key is None:  # then all that is known is which lanes change nothing
        value_key = np.where(a.same[:: a.each], 0, 1 + np.arange(lanes))
    key = np.broadcast_to(value_key, (lanes, *value_key.shape[1:])).reshape(lanes, -1)
    differ = (key[lost // a.each] != key[last[lost] // a.each]).any(axis=1)
    if not differ.any():
        note(np.array([pc_of(a.stamp)]))
        return []
    # All lanes of a granule with two values conflict with one that stores another value.
    first = int(np.isin(a.granule, a.granule[lost[differ]]).argmax())
    others = np.flatnonzero(a.granule == a.granule[first])
    other = others[(key[others // a.each] != key[first // a.each]).any(axis=1)][0]
    return [(first, int(a.tag[other]) >> SPAN_BITS, pc_of(a.stamp), WRITE)]
