"""How many senders a second that connect, send one message, read its answer and leave are served?

`python -m bench.load_once PORT CLIENTS SECS PREFIX` prints one line of JSON. Some servers answer only the first message
of a connection properly, so this is how they can be compared.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

from bench.message import oru
from engine.codecs.mllp import frame


async def _client(name: str, port: int, until: float, latencies: list[float]) -> None:
    count = 0
    while (begun := time.perf_counter()) < until:
        count += 1
        control_id = f"{name}{count:0{16 - len(name)}d}"
        payload = frame(oru(control_id, f"{count % 400:07d}"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(payload)
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"\x1c")
        if control_id.encode() not in answer or b"MSA|AA" not in answer:
            raise RuntimeError(f"not acknowledged: {answer!r}")
        latencies.append(time.perf_counter() - begun)
        writer.close()


async def main() -> None:
    port, clients, secs, prefix = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    latencies: list[float] = []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as running:
        for number in range(clients):
            running.create_task(_client(f"{prefix}{number:02d}", port, begun + secs, latencies))
    elapsed = time.perf_counter() - begun
    latencies.sort()
    sys.stdout.write(
        json.dumps({"per_second": len(latencies) / elapsed, "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000})
        + "\n"
    )


if __name__ == "__main__":
    uvloop.run(main())
