"""Databases: how they are opened, brought up to date, what they say when they are broken, and what happens when they hang or a worker is killed."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from tests.postgres import PostgresServer

from rightseat.errors import ConfigError, KeyDatabaseError
from rightseat.state.budget import Settle, Spent
from rightseat.state.engine import HEAD, make_engine, place_of
from rightseat.state.key_record import Key
from rightseat.state.opening import open_state
from rightseat.state.tables import metadata

ANSWER = 5.0  # seconds within which whoever asks a database that hangs is answered
KEY = Key(id="ann", name="ann", digest="0" * 64, created_at=1.0, daily_tokens=100)


def _tables_of(path):
    """Table -> its columns and indexes, and the rows of those that are not empty in a new database."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        names = sorted(name for (name,) in db.execute("select name from sqlite_master where type = 'table'"))
        found = {
            name: (
                db.execute(f"pragma table_info({name})").fetchall(),
                db.execute(f"pragma index_list({name})").fetchall(),
            )
            for name in names
        }
        return found, db.execute("select version_num from alembic_version").fetchall()


class TestOpening:
    async def test_the_migrations_make_what_the_code_expects(self, database):
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext
        from alembic.script import ScriptDirectory

        from rightseat.state import migrations

        assert ScriptDirectory(str(next(iter(migrations.__path__)))).get_current_head() == HEAD
        async with open_state(database) as state:
            await state.keys.create(KEY)
            engine = make_engine(place_of(database))
            with engine.connect() as db:
                assert compare_metadata(MigrationContext.configure(db), metadata) == []
            engine.dispose()

    async def test_a_new_database_is_what_the_migrations_make(self, tmp_path):
        from rightseat.state import migrations

        new, migrated = tmp_path / "new.sqlite", tmp_path / "migrated.sqlite"
        async with open_state(new) as state:
            await state.keys.create(KEY)
            await state.keys.revoke(KEY.id)
        engine = make_engine(migrated)
        with engine.begin() as db:
            migrations.upgrade(db)
        engine.dispose()
        assert _tables_of(new) == _tables_of(migrated)

    async def test_a_database_of_the_first_version_is_brought_up_to_date(self, database):
        """What its workers had reserved is booked: they run no more."""
        from alembic import command
        from alembic.config import Config
        from sqlalchemy import text

        from rightseat.state import migrations

        engine = make_engine(place_of(database))
        with engine.begin() as db:
            config = Config()
            config.set_main_option("script_location", next(iter(migrations.__path__)))
            config.attributes["connection"] = db
            command.upgrade(config, "0001")
            for statement in (
                "insert into keys (id, name, digest, created_at, scopes, models, daily_tokens) values ('ann', 'ann', '00', 1, 'chat', '', 100)",
                "insert into workers (id, seen) values ('old', 5)",
                "insert into reservations (id, key_id, worker, tokens) values ('r', 'ann', 'old', 70)",
            ):
                db.execute(text(statement))
        engine.dispose()
        async with open_state(database) as state:
            (key,) = await state.keys.list()
            async with asyncio.timeout(10):  # a server that has just started gives its workers a moment to be seen
                while not (spent := await state.ledger.spent()):
                    await state.ledger.beat()
                    await asyncio.sleep(0.1)
            assert spent["ann"]["day"].tokens == 70
            assert (await state.ledger.enter(key)).refused == ""

    async def test_several_processes_may_make_it_at_once(self, database):
        async def make(number):
            async with open_state(database) as state:
                await state.keys.create(Key(id=f"k{number}", name="n", digest="0" * 64, created_at=1.0))
                return await state.ledger.spent()

        await asyncio.gather(*map(make, range(4)))
        async with open_state(database) as state:
            assert len(await state.keys.list()) == 4

    async def test_a_file_is_made_with_the_first_key_and_no_sooner(self, tmp_path):
        async with open_state(tmp_path / "deep" / "k.sqlite") as state:
            assert (await state.keys.version(), await state.keys.list(), await state.ledger.spent()) == (-1, [], {})
            await state.ledger.beat()
            assert not list(tmp_path.iterdir())
            await state.keys.create(KEY)
            assert await state.keys.list() == [KEY]

    async def test_a_broken_database_is_an_error_with_its_place_and_without_its_password(self, tmp_path):
        (tmp_path / "k.sqlite").write_bytes(b"this is no database, but long enough to look at" * 10)
        with pytest.raises(ConfigError, match=r"k\.sqlite"):
            async with open_state(tmp_path / "k.sqlite"):
                pass
        with pytest.raises(ConfigError) as e:
            open_state("nothing://ann:a-secret-password@host/db")
        assert "a-secret-password" not in str(e.value)
        for url in ("mysql://ann@host/db", "sqlite://"):
            with pytest.raises(ConfigError, match="database: .* must be PostgreSQL's"):
                open_state(url)

    async def test_a_file_may_be_written_as_an_address(self, tmp_path):
        async with open_state(f"sqlite:///{tmp_path}/k.sqlite") as state:
            await state.keys.create(KEY)
            assert not (await state.ledger.reserve(KEY, "a", 1, 1)).refused
        async with open_state(tmp_path / "k.sqlite") as state:
            assert [k.id for k in await state.keys.list()] == [KEY.id]


@pytest.fixture
def own_server():
    """A PostgreSQL server that may be hurt."""
    with PostgresServer() as server:
        yield server


def processes_of(server):
    """The server's processes: the postmaster first."""
    (postmaster,) = {int(line) for line in (server._folder / "data" / "postmaster.pid").read_text().split()[:1]}
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True, check=False)
    return [postmaster, *map(int, found.stdout.split())]


class TestHanging:
    """B10: a database that hangs, instead of going away, is answered for within five seconds."""

    async def test_a_server_that_hangs_is_answered_for_in_time_and_the_loop_goes_on(self, own_server):
        async with open_state(own_server.database()) as state:
            await state.keys.create(KEY)
            assert not (await state.ledger.reserve(KEY, "a", 1, 10)).refused
            stopped = processes_of(own_server)
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            try:
                begun = time.monotonic()
                asked = [
                    state.ledger.enter(KEY), state.ledger.reserve(KEY, "b", 1, 10), state.ledger.settle([Settle(KEY, "a", Spent(0, 5))]),
                    state.keys.version(), state.keys.list(), state.ledger.spent(), state.keys.revoke("none"),
                ]  # fmt: skip
                answers = await asyncio.gather(*asked, return_exceptions=True)
                took = time.monotonic() - begun
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            assert [type(answer) for answer in answers] == [KeyDatabaseError] * len(asked)
            assert took < ANSWER + 1.0  # the machine may be busy
            async with asyncio.timeout(20):  # as soon as it goes on, so do we, and nothing is booked twice or lost
                while True:
                    try:
                        await state.ledger.settle([Settle(KEY, "a", Spent(0, 5))])
                        await state.ledger.beat()
                        assert not (await state.ledger.reserve(KEY, "c", 1, 95)).refused
                        break
                    except KeyDatabaseError:
                        await asyncio.sleep(0.1)
            assert (await state.ledger.spent())["ann"]["day"].tokens == 5

    async def test_what_answers_no_word_is_no_database(self):
        """A listener that accepts and says nothing, as a server behind a broken balancer."""
        held = []
        server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            begun = time.monotonic()
            with pytest.raises(ConfigError):
                async with open_state(f"postgresql://ann@127.0.0.1:{port}/db"):
                    pass
            assert time.monotonic() - begun < ANSWER + 1.0
            for writer in held:
                writer.close()

    async def test_a_file_that_somebody_holds_is_answered_for_in_time(self, tmp_path):
        async with open_state(tmp_path / "k.sqlite") as state:
            await state.keys.create(KEY)
            await state.ledger.beat()
            other = sqlite3.connect(tmp_path / "k.sqlite", isolation_level=None)
            other.execute("begin immediate")
            begun = time.monotonic()
            with pytest.raises(KeyDatabaseError, match="locked"):
                await state.ledger.reserve(KEY, "a", 1, 10)
            assert time.monotonic() - begun < ANSWER
            assert await state.keys.list() == [KEY]  # reading goes on
            other.execute("rollback")
            other.close()
            assert not (await state.ledger.reserve(KEY, "b", 1, 100)).refused

    async def test_a_row_that_somebody_holds_is_answered_for_in_time(self, postgres):
        import sqlalchemy

        where = postgres()
        async with open_state(where) as state:
            await state.keys.create(KEY)
            await state.ledger.beat()
            engine = make_engine(place_of(where))
            with engine.connect() as other:
                other.execute(sqlalchemy.text("select id from keys for update"))
                begun = time.monotonic()
                with pytest.raises(KeyDatabaseError):
                    await state.ledger.reserve(KEY, "a", 1, 10)
                assert time.monotonic() - begun < ANSWER
            engine.dispose()
            assert not (await state.ledger.reserve(KEY, "b", 1, 100)).refused


_WORKER = """
import asyncio, sys
from rightseat.state.opening import open_state

async def main():
    async with open_state(sys.argv[1]) as state:
        (key,) = await state.keys.list()
        assert not (await state.ledger.enter(key)).refused
        verdict = await state.ledger.reserve(key, "held", 20, 90)
        print("refused" if verdict.refused else "held", flush=True)
        while True:
            await asyncio.sleep(0.5)
            await state.ledger.beat()

asyncio.run(main())
"""


class TestKilled:
    """B9: kill -9 loses no booking, and the dead block nobody for long."""

    async def test_what_a_killed_process_has_reserved_is_booked_and_soon(self, database):
        async with open_state(database) as state:
            await state.keys.create(KEY)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _WORKER, str(database), stdout=asyncio.subprocess.PIPE
            )
            assert (await process.stdout.readline()).strip() == b"held"
            await state.ledger.enter(KEY)
            assert (await state.ledger.reserve(KEY, "mine", 1, 90)).reserved
            process.kill()
            await process.wait()
            begun = time.monotonic()
            while (await state.ledger.reserve(KEY, "mine", 1, 90)).reserved:
                await state.ledger.enter(KEY)
                assert time.monotonic() < begun + 8
                await asyncio.sleep(0.1)
            used = (await state.ledger.spent())["ann"]["day"]
            assert (used.input_tokens, used.output_tokens) == (20, 70)

    async def test_a_process_that_is_stopped_for_a_while_keeps_what_it_has_reserved(self, tmp_path):
        database = tmp_path / "k.sqlite"
        async with open_state(database) as state:
            await state.keys.create(KEY)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _WORKER, str(database), stdout=asyncio.subprocess.PIPE
            )
            assert (await process.stdout.readline()).strip() == b"held"
            process.send_signal(signal.SIGSTOP)
            for _ in range(3):
                await state.ledger.beat()
                assert (await state.ledger.reserve(KEY, "mine", 1, 90)).reserved
            process.kill()
            await process.wait()

    async def test_a_clock_that_is_ahead_frees_nobodys_reservation(self, database):
        """By another worker's clock it is half a minute, or a day, later."""
        ahead = """
import sys, time
real = time.time
time.time = lambda: real() + float(sys.argv[2])
""" + _WORKER.replace('"held", 20, 90)', '"other", 20, 90)')
        async with open_state(database) as state:
            await state.keys.create(KEY)
            assert not (await state.ledger.reserve(KEY, "mine", 1, 90)).refused
            for seconds in ("30", "86400") if "postgres" in str(database) else ("30",):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", ahead, str(database), seconds, stdout=asyncio.subprocess.PIPE
                )
                assert (await process.stdout.readline()).strip() == b"refused"
                process.kill()
                await process.wait()
                await state.ledger.beat()
            assert await state.ledger.settle([Settle(KEY, "mine", Spent(0, 1))]) == [True]
