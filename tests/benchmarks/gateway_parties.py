"""The processes that ``gateway_latency.py`` measures: a made-up provider, the gateway, the relay."""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
import time
from pathlib import Path

from pydantic import SecretStr

import curation_sandbox
from curation_harness.record.exchanges import ExchangeLog
from curation_sandbox.gateway.desk import ModelPins, Upstream
from curation_sandbox.gateway.exchange import Ask, Exchange
from curation_sandbox.gateway.http_source import HttpSource
from curation_sandbox.gateway.server import LIMITS, GatewayServer
from curation_sandbox.submit_guard import Limits

CLIENT_KEY = "sk-client-0123456789"
"""The LiteLLM proxy does not start without one; the gateway drops it."""
START = Path(curation_sandbox.__file__).parent / "incontainer" / "start.py"


# -- the provider ------------------------------------------------------------------------------------


async def provider(port: int) -> None:
    server = await asyncio.start_server(_converse, "127.0.0.1", port, limit=2**22)
    async with server:
        await server.serve_forever()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except asyncio.IncompleteReadError:
            break
        size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        order = json.loads(json.loads(await reader.readexactly(size))["messages"][-1]["content"])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(order["events"]):
            if number:
                await asyncio.sleep(order["pause"])
            _write(writer, _event({"content": f"@{time.monotonic():.7f}@ a word of the answer"}, None))
            await writer.drain()
        _write(writer, _event({}, "stop") + b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    writer.close()


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    tree = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "big", "choices": [choice]}
    return f"data: {json.dumps(tree)}\n\n".encode()


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def sent_at(event: bytes) -> float | None:
    """When the provider sent this event, on the monotonic clock; None: it does not say."""
    parts = event.split(b"@")
    return float(parts[1]) if len(parts) == 3 else None


# -- the ways to it ----------------------------------------------------------------------------------


class RecordingDesk:
    """Allows everything and writes it down, as a run does."""

    def __init__(self, folder: Path) -> None:
        self._log = ExchangeLog(folder)

    def admit(self, ask: Ask) -> str | None:
        return None

    def finished(self, exchange: Exchange) -> None:
        self._log.append(exchange, 0, None)


def gateway(folder: Path, port: int) -> None:
    upstream = Upstream(
        provider="bench", base_url=f"http://127.0.0.1:{port}", auth="bearer", key=SecretStr("sk-bench-0123456789")
    )
    # as in a run, but for the rate: the benchmark asks faster than any agent
    limits = Limits(**{**vars(LIMITS), "requests_per_second": 10_000.0})
    pins = ModelPins(models=("big",))
    with GatewayServer(
        folder, HttpSource(upstream), pins, RecordingDesk(folder / "record"), limits, on_error=sys.stderr.write
    ):
        while True:
            time.sleep(60)


def relay(gateway_socket: str, port: int) -> None:
    """``start.py`` as it is, but for the socket's place."""
    script = runpy.run_path(str(START))
    main = script["main"]
    main.__globals__["GATEWAY"] = gateway_socket
    main(["--relay", str(port), "--", "sleep", "86400"])


def litellm_config(port: int) -> str:
    where = {"model": "openai/big", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-bench-0123456789"}
    tree = {
        "model_list": [{"model_name": "big", "litellm_params": where}],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        "general_settings": {"master_key": CLIENT_KEY},
    }
    return json.dumps(tree)  # which is YAML too


def main(arguments: list[str]) -> None:
    match arguments:
        case ["provider", port]:
            asyncio.run(provider(int(port)))
        case ["gateway", folder, port]:
            gateway(Path(folder), int(port))
        case ["relay", gateway_socket, port]:
            relay(gateway_socket, int(port))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
