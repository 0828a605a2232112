"""All workers of one slice: started together, spoken to together, and what they print."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_metersphere.dist.node.launcher import Sandbox
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

    def __init__(self, sandbox: Sandbox, log: SliceLog, receiver: Receiver, farewell: Farewell) -> None:
        """Prepare.

        Args:
            sandbox: where the workers run.
            log: takes what the workers print.
            receiver: called with each message of a worker; may raise WireError.
            farewell: called when nothing is left of a worker, with how it ended.
        """
        self.workers: list[WorkerProcess] = []
        self.live: set[WorkerProcess] = set()
        self._sandbox = sandbox
        self._output = OutputPipe(log)
        self._receiver = receiver
        self._farewell = farewell
        self._ends: set[asyncio.Task[None]] = set()

    async def launch(self, jobs: Sequence[Job], root: Path, wanted: Callable[[], bool]) -> None:
        """Start one worker for each job in the folder, as long as they are wanted.

        Raises:
            OSError: one cannot be started; those before it run.
        """
        asyncio.get_running_loop().add_reader(self._output.reading, self._output.drain)
        try:
            await self._sandbox.open()
            await self._launch(jobs, root, wanted)
        finally:
            if not self.live:
                await self._sandbox.close()

    async def _launch(self, jobs: Sequence[Job], root: Path, wanted: Callable[[], bool]) -> None:
        for job in jobs:
            if not wanted():
                return
            worker = await WorkerProcess.launch(
                job.worker, self._sandbox, root, self._output.writing, self._receiver
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
        if self.live == {worker}:
            await self._sandbox.close()
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
        if number == signal.SIGKILL:
            self._sandbox.kill()

    def flush(self) -> None:
        """Bring what was printed so far into the log."""
        self._output.drain()

    def close(self) -> None:
        """Let go of the output, once all workers are gone."""
        self._output.drain()
        asyncio.get_running_loop().remove_reader(self._output.reading)
        self._output.close()
