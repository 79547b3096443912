"""A PostgreSQL server of the tests' own: in a new folder, on a free port of loopback, without fsync."""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self


def installed() -> Path | None:
    """The newest server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """`with PostgresServer() as server: server.database()`. It refuses to run as root, so then it runs as its own user."""

    def __enter__(self) -> Self:
        programs = installed()
        assert programs is not None
        self._programs = programs
        self._user = "postgres" if os.geteuid() == 0 else None
        # Not below pytest's folder: that one is closed to others, and the path of a socket is short.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        if self._user:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._run(
            "initdb", "-D", "data", "-U", "rightseat", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"
        )
        self._numbers = itertools.count()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self, port: int = 0) -> None:
        with socket.create_server(("127.0.0.1", port)) as free:
            self.port = free.getsockname()[1]
        options = f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")

    def database(self) -> str:
        """A new one's address, as people write it."""
        name = f"db{next(self._numbers)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "rightseat", name)
        return f"postgresql://rightseat@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        argv = [str(self._programs / program), *arguments]
        with (self._folder / "said").open("w+") as said:  # no pipe: the server would hold it
            done = subprocess.run(argv, check=False, cwd=self._folder, user=self._user, stdout=said, stderr=said)
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read()}"
