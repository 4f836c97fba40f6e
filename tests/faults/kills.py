"""A recipe that is started, ended in the middle, and looked for: what is left of it."""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import re
import select
import signal
import struct
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from types import TracebackType

MARK = "MT4SSL_FAULTS"  # a variable in the environment of all that a run starts
MARKS = itertools.count()
GONE_IN = 30  # seconds in which all of a run must have ended: a training saves first, on a busy machine
LONGEST = 3600  # seconds that one start may take
CREATED = 0x100  # IN_CREATE of inotify(7)
EVENT = struct.Struct("iIII")  # of inotify(7): watch, what happened, cookie, length of the name
TEMPORARY = re.compile(r"\.tmp(\d+)\.(.*)")  # names of mt4ssl.files.atomic_path: process and file


@dataclass(frozen=True)
class Kill:
    """A signal, and whom it is sent to: the launcher (run.sh), its group, all processes, or the one that writes."""

    number: signal.Signals
    to: str

    def __str__(self) -> str:
        return f"{self.number.name} to {self.to}"


AT_RANDOM = [
    Kill(signal.SIGKILL, "all processes"),  # power, and the end of a Slurm job
    Kill(signal.SIGTERM, "launcher"),  # Slurm's preemption
    Kill(signal.SIGINT, "group"),  # Ctrl-C
    Kill(signal.SIGKILL, "launcher"),
    Kill(signal.SIGTERM, "group"),
    Kill(signal.SIGKILL, "group"),
]
WHILE_WRITING = [
    Kill(signal.SIGKILL, "all processes"),
    Kill(signal.SIGKILL, "writer"),  # lack of memory
    Kill(signal.SIGTERM, "launcher"),
    Kill(signal.SIGKILL, "group"),
]


@dataclass(frozen=True)
class Moment:
    """When a run is ended; `writer` is the process that was stopped in the middle of a file."""

    text: str
    writer: int = 0


class Run:
    """A command, started in a group of processes of its own; what it prints is in `output`."""

    def __init__(self, command: list[str | Path], output: Path) -> None:
        self.output, self.begin = output, time.monotonic()
        value = f"{os.getpid()}-{next(MARKS)}"
        self.mark = f"{MARK}={value}".encode()
        with output.open("w") as file:
            self.process = Popen(
                command,
                env={**os.environ, MARK: value},
                stdin=DEVNULL,
                stdout=file,
                stderr=STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.kill_all()
        self.process.wait()

    def ends(self, seconds: float) -> bool:
        """Wait at most so long; return whether it has ended by then. Raises TimeoutError when it takes for ever."""
        if time.monotonic() - self.begin > LONGEST:
            raise TimeoutError(f"the run that prints into {self.output} does not end")
        try:
            self.process.wait(seconds)
        except TimeoutExpired:
            return False
        return True

    def last_step(self) -> str:
        """The step that began last, "" before the first one."""
        steps = re.findall(r"^stage (\d+ \(.*\): \S+) \(", self.output.read_text(errors="replace"), re.MULTILINE)
        return steps[-1] if steps else ""

    def processes(self) -> list[int]:
        """All that the run started and that has not ended."""
        processes = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
        return [process for process in processes if self.mark in read(process, "environ").split(b"\0")]

    def kill(self, kill: Kill, writer: int) -> None:
        """Send the signal; a writer that was stopped goes on afterwards, if it still can."""
        if kill.to == "all processes":
            self.kill_all()
        elif kill.to == "group":
            os.killpg(self.process.pid, kill.number)
        else:
            os.kill(writer if kill.to == "writer" else self.process.pid, kill.number)
        if writer:
            time.sleep(0.2)
            send(writer, signal.SIGCONT)

    def kill_all(self) -> None:
        """Kill every process, also those that are being started meanwhile."""
        while processes := self.processes():
            for process in processes:
                send(process, signal.SIGKILL)

    def left(self) -> list[str]:
        """Wait until nothing runs any more; return the commands of what still does, which are killed then."""
        end = time.monotonic() + GONE_IN
        while (processes := self.processes()) and time.monotonic() < end:
            time.sleep(0.05)
            self.process.poll()
        commands = [read(process, "cmdline").replace(b"\0", b" ").decode(errors="replace") for process in processes]
        self.kill_all()
        return commands


def send(process: int, number: signal.Signals) -> bool:
    """Send a signal; return whether there is such a process."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True


def read(process: int, file: str) -> bytes:
    """The content of a file of /proc, b"" when the process has ended or is somebody else's."""
    try:
        return Path(f"/proc/{process}/{file}").read_bytes()
    except OSError:
        return b""


class RandomMoments:
    """Seconds after a run's first step began, drawn from 0 to twice the mean; one in eight after its own start."""

    def __init__(self, generator: random.Random, mean: float) -> None:
        self.generator, self.mean = generator, mean

    def wait(self, run: Run) -> Moment | None:
        """Return at the next moment; None if the run ends before."""
        seconds, early = self.generator.uniform(0, 2 * self.mean), self.generator.random() < 1 / 8
        if early:
            seconds = min(seconds, 3.0)
        while not early and not run.last_step():
            if run.ends(0.02):
                return None
        return None if run.ends(seconds) else Moment(f"{seconds:.2f} s after {'start' if early else 'first step'}")


class WritesOf:
    """Moments inside the writing of files: the next of `targets`, patterns in the order in which a run writes them.

    Each is met once; one that was written too fast to be seen is left out.
    """

    def __init__(self, recipe: Path, targets: list[str]) -> None:
        self.recipe, self.targets = recipe, list(targets)
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.events = self.libc.inotify_init1(os.O_CLOEXEC)
        self.folders: dict[int, str] = {}

    def wait(self, run: Run) -> Moment | None:
        """Return once a process is stopped in the middle of a target; None if the run ends before."""
        self._watch()
        while not run.ends(0):
            for folder, name in self._created():
                if match := TEMPORARY.fullmatch(name):
                    writer, file = int(match[1]), f"{folder}/{match[2]}"
                    number = next((n for n, target in enumerate(self.targets) if fnmatch(file, target)), None)
                    if number is not None and self._stop(writer, self.recipe / folder / name):
                        del self.targets[: number + 1]
                        return Moment(f"while writing {file}", writer)
        return None

    def _watch(self) -> None:
        """Be told of new files in the folders of targets."""
        for target in self.targets:
            folder = target.rpartition("/")[0]
            (self.recipe / folder).mkdir(parents=True, exist_ok=True)
            watch = self.libc.inotify_add_watch(self.events, os.fsencode(self.recipe / folder), CREATED)
            self.folders[watch] = folder

    def _created(self) -> list[tuple[str, str]]:
        """Wait a moment for new files; return their folders and names."""
        if not select.select([self.events], [], [], 0.1)[0]:
            return []
        data, created = os.read(self.events, 1 << 20), []
        while data:
            watch, _, _, length = EVENT.unpack_from(data)
            name = data[EVENT.size : EVENT.size + length].rstrip(b"\0")
            created.append((self.folders.get(watch, ""), os.fsdecode(name)))
            data = data[EVENT.size + length :]
        return created

    @staticmethod
    def _stop(writer: int, temporary: Path) -> bool:
        """Stop a process; return whether it has not renamed the file yet. Otherwise it goes on."""
        if not send(writer, signal.SIGSTOP):
            return False
        time.sleep(0.005)  # until it has stopped
        if temporary.exists():
            return True
        send(writer, signal.SIGCONT)
        return False
