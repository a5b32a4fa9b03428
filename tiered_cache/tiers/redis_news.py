"""One channel of a Redis server, or a sign of life from it, on a connection of its own."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.exceptions import RedisError

from tiered_cache.errors import TierUnavailableError
from tiered_cache.tiers.redis_node import Node


async def answers(node: Node) -> None:
    """Return once the server answers on a new connection. Raises TierUnavailableError."""
    async with _dialled(node) as connection:
        await connection.send_command("PING")
        await connection.read_response()


async def messages(
    node: Node, channel: bytes, silence_s: float, subscribed: Callable[[], None]
) -> AsyncGenerator[bytes]:
    """What is said on it. Ends with TierUnavailableError.

    Args:
        node: the server.
        channel: its name.
        silence_s: after so long without a word the server is asked for a sign of life, and after twice
            that the connection is given up.
        subscribed: called when no message from then on can be missed.
    """
    async with _dialled(node) as connection:
        await connection.send_command("SUBSCRIBE", channel)
        asked = False
        while True:
            reply: Any = await connection.read_response(True, silence_s, push_request=True)
            if reply is None:
                if asked:
                    raise TierUnavailableError("silence")
                await connection.send_command("PING")
            asked = reply is None
            match reply:
                case [b"subscribe", *_]:
                    subscribed()
                case [b"message", _, bytes(text)]:
                    yield text
                case _:
                    pass


@asynccontextmanager
async def _dialled(node: Node) -> AsyncGenerator[Any]:
    """A connection that is closed afterwards; what it raises becomes TierUnavailableError."""
    connection: Any = node.dial()
    try:
        await connection.connect()
        yield connection
    except (RedisError, OSError) as error:
        raise TierUnavailableError(type(error).__name__) from error
    finally:
        with suppress(RedisError, OSError):
            await connection.disconnect(nowait=True)
