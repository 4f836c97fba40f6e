"""A process that has torch and Lhotse, and forks to run verbs: to import them is most of the time of a tiny recipe.

`start` returns the environment in which bash runs `python -m mt4ssl.bin.VERB` so; every other command is as it is.
Usage from bash: python tests/warm_python.py serve SOCKET & eval "$(python tests/warm_python.py define SOCKET)"
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

PRELOADED = [
    "faiss",
    "jsonargparse",
    "kaldiio",
    "lhotse",
    "matplotlib.pyplot",
    "torch.utils.data",
    "torch.utils.tensorboard",
]
FUNCTION = """() {
  if [[ ${1-} == -m && ${2-} == mt4ssl.bin.* ]]; then
    %(python)s -I -S %(file)s run %(socket)s "${@:2}"
  else
    command python "$@"
  fi
}"""


def serve(path: str) -> None:
    """Wait for verbs to run; each runs in a fork of its own."""
    import mt4ssl

    for name in PRELOADED:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(mt4ssl.__path__, "mt4ssl."):
        if not module.name.startswith(("mt4ssl.bin", "mt4ssl.decode", "mt4ssl.interop")):
            importlib.import_module(module.name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        Path(f"{path}.new").rename(path)  # whoever sees it can connect
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    answer(connection)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def answer(connection: socket.socket) -> None:
    """Run a verb in another fork, and send its exit status."""
    message, files, _, _ = socket.recv_fds(connection, 1 << 22, 3)
    size = int(message[:8])
    while len(message) < 8 + size:
        message += connection.recv(1 << 20)
    request = json.loads(message[8:])
    child = os.fork()
    if child == 0:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = request["arguments"]
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
        os._exit(run(sys.argv[0]))
    _, status = os.waitpid(child, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def run(verb: str) -> int:
    """Run a module as `python -m` does; return its exit status."""
    status = 0
    try:
        runpy.run_module(verb, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1 if error.code else 0
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  (as Python itself does)
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return status


def ask(path: str, arguments: list[str]) -> int:
    """Let the process behind a socket run a verb with this one's files; return the exit status."""
    request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
    message = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"%08d" % len(message)], [0, 1, 2])
        connection.sendall(message)
        return int(connection.recv(16) or 1) & 0xFF


def function(path: str | Path) -> str:
    """Return the body of the function of bash that replaces `python`."""
    return FUNCTION % {"python": sys.executable, "file": __file__, "socket": path}


def start(folder: Path) -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """Start the process; return it and the variables that let bash use it."""
    path = folder / "socket"
    server = subprocess.Popen([sys.executable, __file__, "serve", path], env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not path.exists():
        if server.poll() is not None:
            raise RuntimeError("the process that runs verbs did not start")
        time.sleep(0.1)
    return server, {"BASH_FUNC_python%%": function(path)}


if __name__ == "__main__":
    command, socket_path, *others = sys.argv[1:]
    if command == "serve":
        serve(socket_path)
    elif command == "define":
        print(f"python{function(socket_path)}")
    else:
        sys.exit(ask(socket_path, others))
