"""How many acknowledgments a second does an MLLP server give? Lock-step clients: send one, wait for its answer.

`python -m bench.load PORT CONNECTIONS SECS PREFIX` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from typing import cast

import uvloop

from bench.message import oru

PATIENTS = 400


class Load(asyncio.Protocol):
    def __init__(self, name: str, until: float, latencies: list[float], done: asyncio.Future[None]) -> None:
        self.name, self.until, self.latencies, self.done = name, until, latencies, done
        self.count = 0
        self.buffer = b""
        self.template = oru("@@@@@@@@@@@@@@@@", "#######")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        self.count += 1
        control_id = f"{self.name}{self.count:0{16 - len(self.name)}d}"
        patient = f"{(self.count * 31 + hash(self.name)) % PATIENTS:07d}"
        payload = self.template.replace(b"@@@@@@@@@@@@@@@@", control_id.encode()).replace(b"#######", patient.encode())
        self.expected = f"|{control_id}".encode()
        self.sent = time.perf_counter()
        self.transport.write(b"\x0b" + payload + b"\x1c\r")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.buffer.endswith(b"\x1c\r"):
            return
        moment = time.perf_counter()
        if b"MSA|AA" not in self.buffer or self.expected not in self.buffer:
            self.done.set_exception(RuntimeError("not acknowledged"))
            return
        self.latencies.append(moment - self.sent)
        self.buffer = b""
        if moment < self.until:
            self.send()
        elif not self.done.done():
            self.done.set_result(None)
            self.transport.close()


async def main() -> None:
    port, connections, secs, prefix = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    begun = time.perf_counter()
    ends = []
    for number in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        name = f"{prefix}{number:03d}"
        await loop.create_connection(partial(Load, name, begun + secs, latencies, done), "127.0.0.1", port)
        ends.append(done)
    await asyncio.gather(*ends)
    elapsed = time.perf_counter() - begun
    latencies.sort()
    sys.stdout.write(
        json.dumps(
            {
                "per_second": len(latencies) / elapsed,
                "p50_ms": latencies[len(latencies) // 2] * 1000,
                "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
                "messages": len(latencies),
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    uvloop.run(main())
