"""How is PyPI's `hl7` started as a server for a measurement? As its documentation says; prints its port."""

from __future__ import annotations

import asyncio
import sys

from hl7.mllp import start_hl7_server


async def _serve(reader, writer) -> None:  # type: ignore[no-untyped-def]  # hl7 has no types
    try:
        while not writer.is_closing():
            message = await reader.readmessage()
            writer.writemessage(message.create_ack())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await start_hl7_server(_serve, host="127.0.0.1", port=0, encoding="utf-8")
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
