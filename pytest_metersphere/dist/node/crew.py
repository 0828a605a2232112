"""All workers of one slice: started together, spoken to together, and what they print."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_metersphere.dist.node.log import OutputPipe, SliceLog
from pytest_metersphere.dist.node.workers import Receiver, WorkerProcess
from pytest_metersphere.engine.messages import Job, ToWorker

Farewell = Callable[[WorkerProcess, str], None]


class Crew:
    """The worker processes of a slice.

    Attributes:
        workers: all that were started, by number.
        live: those of them whose end was not reported yet.
    """

    def __init__(self, command: Sequence[str], log: SliceLog, receiver: Receiver, farewell: Farewell) -> None:
        """Prepare.

        Args:
            command: starts a worker; `--fd N` is appended.
            log: takes what the workers print.
            receiver: called with each message of a worker; may raise WireError.
            farewell: called when nothing is left of a worker, with how it ended.
        """
        self.workers: list[WorkerProcess] = []
        self.live: set[WorkerProcess] = set()
        self._command = command
        self._output = OutputPipe(log)
        self._receiver = receiver
        self._farewell = farewell
        self._ends: set[asyncio.Task[None]] = set()

    async def launch(self, jobs: Sequence[Job], wanted: Callable[[], bool]) -> None:
        """Start one worker for each job, as long as they are wanted.

        Raises:
            OSError: one cannot be started; those before it run.
        """
        asyncio.get_running_loop().add_reader(self._output.reading, self._output.drain)
        for job in jobs:
            if not wanted():
                return
            worker = await WorkerProcess.launch(
                job.worker, self._command, Path(job.root), self._output.writing, self._receiver
            )
            self.workers.append(worker)
            self.live.add(worker)
            task = asyncio.create_task(self._see_off(worker))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)
            if not wanted():
                worker.put_down_by(signal.SIGKILL)
            worker.send(job)

    async def _see_off(self, worker: WorkerProcess) -> None:
        ending = await worker.end()
        self.live.discard(worker)
        self._output.drain()
        self._farewell(worker, worker.fault or ending)

    def tell(self, message: ToWorker) -> None:
        """Send a message to all workers that are not done with their work."""
        for worker in self.live:
            if not worker.finished.done():
                worker.send(message)

    def put_down_by(self, number: signal.Signals) -> None:
        """Send a signal to the process groups of all workers because the slice is to end."""
        for worker in self.live:
            worker.put_down_by(number)

    def flush(self) -> None:
        """Bring what was printed so far into the log."""
        self._output.drain()

    def close(self) -> None:
        """Let go of the output, once all workers are gone."""
        self._output.drain()
        asyncio.get_running_loop().remove_reader(self._output.reading)
        self._output.close()
