"""How is PyPI's `hl7apy` started as a server for a measurement? As its documentation says; prints its port."""

from __future__ import annotations

import sys

from hl7apy.core import Message
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message


class _Acknowledge(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
    def reply(self) -> str:
        message = parse_message(self.incoming_message, find_groups=False)
        answer = Message("ACK", version="2.5")
        answer.msh.msh_9 = "ACK"
        answer.msa.msa_1 = "AA"
        answer.msa.msa_2 = message.msh.msh_10.value
        reply: str = answer.to_mllp()
        return reply


def main() -> None:
    server = MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (_Acknowledge,)})
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
