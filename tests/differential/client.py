"""Python's `websockets` as a client.

    client.py echo URL SEED COUNT VARIANT...   sends to an echo, and compares what comes back
    client.py cross URL SEED COUNT TOTAL       sends on a topic, and tells all that it hears

The last line is JSON; a difference ends with 1.
"""

import asyncio
import hashlib
import json
import random
import sys

from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

MESSAGE_BYTES_MAX = 1 << 20
IN_FLIGHT_MAX = 6
TIME_MAX_SECONDS = 300
SIZES = [0, 1, 125, 126, 127, 128, 65_535, 65_536, MESSAGE_BYTES_MAX]
TEXTS = ["hello ", '{"type":"say"}', "é", "你好，世界", "\U0001f600", "\U0010ffff", "\0"]


def message(largest):
    """A message of random kind, size and content: whether it is text, and its bytes."""
    chance = random.random()
    size = random.choice(SIZES) if chance < 0.06 else random.randrange(largest if chance < 0.08 else 2000)
    size = min(size, largest)
    if random.random() < 0.5:
        payload = b"".join(text.encode() for text in random.choices(TEXTS, k=size // 30))
        payload = payload[:0] if len(payload) > size else payload
        return True, payload + b"x" * (size - len(payload))
    if random.random() < 0.5:
        return False, (b"wsloop " * (size // 7 + 1))[:size]
    return False, random.randbytes(size)


async def send(socket, is_text, payload, pings):
    """Sends a message whole, or in fragments that may cut a character, with pings in between."""
    if random.random() < 0.6:
        await socket.send(payload, text=is_text)
        return
    cuts = sorted(random.randrange(len(payload) + 1) for _ in range(random.randint(1, 6)))

    async def fragments():
        for start, end in zip([0, *cuts], [*cuts, len(payload)]):
            yield payload[start:end]
            if random.random() < 0.03:
                pings.append(await socket.ping())

    await socket.send(fragments(), text=is_text)


def options(variant):
    if variant == "plain":
        return {"compression": None}
    if variant == "compressed":
        return {}
    factory = {"client_no_context_takeover": True, "server_no_context_takeover": True}
    if variant != "no-takeover":
        bits = int(variant.removeprefix("window-"))
        factory = {"server_max_window_bits": bits, "client_max_window_bits": bits}
    return {"compression": None, "extensions": [ClientPerMessageDeflateFactory(**factory)]}


async def connect(url, variant):
    socket = await websocket_connect(
        url, max_size=None, ping_interval=None, open_timeout=30, close_timeout=30, **options(variant)
    )
    names = [extension.name for extension in socket.protocol.extensions]
    assert names == ([] if variant == "plain" else ["permessage-deflate"]), f"agreed on {names}"
    return socket


async def echo(url, variant, count):
    """Sends to an echo and compares, with several messages on their way at a time."""
    socket = await connect(url, variant)
    read = [0]
    receive_data = socket.protocol.receive_data

    def counting(data):
        read[0] += len(data)
        receive_data(data)

    socket.protocol.receive_data = counting
    expected = asyncio.Queue(IN_FLIGHT_MAX)
    pings = []

    async def speak():
        for _ in range(count):
            is_text, payload = message(MESSAGE_BYTES_MAX)
            await expected.put((is_text, payload))
            await send(socket, is_text, payload, pings)

    async def listen():
        total = 0
        for number in range(count):
            came = await socket.recv()
            is_text, payload = await expected.get()
            assert isinstance(came, str) == is_text, f"{variant}, message {number}: another kind came back"
            came = came.encode() if is_text else came
            assert came == payload, f"{variant}, message {number}: {len(payload)} bytes as {len(came)}"
            total += len(payload)
        return total

    _, total = await asyncio.gather(speak(), listen())
    for pong in pings:
        await asyncio.wait_for(pong, 30)
    # A frame costs a few bytes; what compression saves on all but the noise is far more.
    assert (read[0] < total) == (variant != "plain"), f"{variant}: {total} bytes came as {read[0]}"
    await socket.close(4321, "done")
    assert socket.close_code == 4321, f"{variant}: 4321 came back as {socket.close_code}"
    return total


async def refusals(url):
    """What is refused, and with which code."""
    for what, payload, wanted in [
        ("a byte over the limit", b"x" * (MESSAGE_BYTES_MAX + 1), 1009),
        ("text that is none", b"a\xff", 1007),
    ]:
        for variant in ["plain", "compressed"]:
            socket = await connect(url, variant)
            try:
                await socket.send(payload, text=True)
                await socket.recv()
            except ConnectionClosed:
                pass
            code = socket.close_code
            assert code == wanted, f"{what}, {variant}: closed with {code}, not {wanted}"


async def cross(url, count, total):
    """Speaks on a topic and listens to all."""
    socket = await connect(url, "compressed")

    def digest(is_text, payload):
        return f"{'text' if is_text else 'binary'} {len(payload)} {hashlib.sha1(payload).hexdigest()}"

    async def speak():
        sent = []
        for _ in range(count):
            is_text, payload = message(100_000)
            sent.append(digest(is_text, payload))
            await send(socket, is_text, payload, [])
        return sent

    async def listen():
        received = []
        while len(received) < total:
            came = await socket.recv()
            is_text = isinstance(came, str)
            received.append(digest(is_text, came.encode() if is_text else came))
        return received

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    sent, received = await asyncio.gather(speak(), listen())
    await socket.close()
    return {"sent": sent, "received": received}


async def main():
    mode, url, seed, count, *rest = sys.argv[1:]
    random.seed(int(seed))
    try:
        if mode == "echo":
            total = sum([await echo(url, variant, int(count)) for variant in rest])
            await refusals(url)
            print(json.dumps({"messages": int(count) * len(rest), "bytes": total}))
        else:
            print(json.dumps(await cross(url, int(count), int(rest[0]))))
    except (AssertionError, ConnectionClosed, OSError) as error:
        sys.exit(f"seed {seed}: {error!r}")


async def main_in_time():
    try:
        await asyncio.wait_for(main(), TIME_MAX_SECONDS)
    except TimeoutError:
        sys.exit("not done in time: something was lost")


asyncio.run(main_in_time())
