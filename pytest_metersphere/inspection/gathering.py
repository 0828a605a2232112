"""Asking many at once, where one that never comes to an end holds up nobody for ever."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def gathered(work: Callable[[S], T], subjects: Sequence[S], limit: float) -> list[T | None]:
    """Do the same with all subjects at once and return the results in order.

    Args:
        work: what to do; the first error is raised.
        subjects: with what.
        limit: seconds after which the result of what has not ended is None; its thread is left alone.
    """
    outcomes: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()

    def run(index: int) -> None:
        try:
            outcomes.put((index, work(subjects[index])))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            outcomes.put((index, error))

    for index in range(len(subjects)):
        threading.Thread(target=run, args=(index,), name=f"inspection-{index}", daemon=True).start()
    deadline = time.monotonic() + limit
    results: list[T | None] = [None] * len(subjects)
    for _ in subjects:
        try:
            index, outcome = outcomes.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if isinstance(outcome, BaseException):
            raise outcome
        results[index] = outcome
    return results
