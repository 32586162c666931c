"""What is the least a durable MLLP acknowledgment costs? A bare server: frame, insert, commit, answer.

`python -m bench.floor_mllp POSTGRES_URL` prints its port. It checks nothing, keeps no lanes, knows no repeats and has
no limits: it is a floor to measure against.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import asyncpg
import uvloop

_TABLE = """
create table if not exists floor (id bigint generated always as identity primary key, control_id text, payload bytea)
"""
_INSERT = "insert into floor (control_id, payload) values ($1, $2)"


class Server:
    """One connection to the database for all clients; what queued during one commit is the next one."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.queue: list[tuple[asyncio.Transport, str, bytes]] = []
        self.task: asyncio.Task[None] | None = None

    def add(self, transport: asyncio.Transport, control_id: str, payload: bytes) -> None:
        self.queue.append((transport, control_id, payload))
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self.commit())

    async def commit(self) -> None:
        await asyncio.sleep(0)
        while self.queue:
            batch, self.queue = self.queue, []
            await self.connection.executemany(_INSERT, [(control_id, payload) for _, control_id, payload in batch])
            for transport, control_id, _ in batch:
                transport.write(f"\x0bMSH|^~\\&|F||||1||ACK|1|P|2.5.1\rMSA|AA|{control_id}\r\x1c\r".encode())
        self.task = None


class Client(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\x1c\r")) >= 0:
            payload = bytes(self.buffer[1:end])
            del self.buffer[: end + 2]
            self.server.add(self.transport, payload.split(b"|", 10)[9].decode(), payload)


async def main() -> None:
    connection = await asyncpg.connect(sys.argv[1])
    await connection.execute(_TABLE)
    server = Server(connection)
    listening = await asyncio.get_running_loop().create_server(lambda: Client(server), "127.0.0.1", 0)
    sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await listening.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
