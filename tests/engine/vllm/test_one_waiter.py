"""An event for one task."""

import asyncio

from service.engine.vllm.one_waiter import OneWaiter


def test_the_next_set_wakes_who_waits() -> None:
    async def story() -> list[str]:
        told, waiter = [], OneWaiter()
        waiter.set()  # Not kept.

        async def wait() -> None:
            await waiter.wait()
            told.append("woken")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        told.append("waits")
        waiter.set()
        waiter.set()
        await task
        return told

    assert asyncio.run(story()) == ["waits", "woken"]


def test_one_that_was_cancelled_is_not_woken() -> None:
    async def story() -> None:
        waiter = OneWaiter()
        task = asyncio.create_task(asyncio.wait_for(waiter.wait(), 60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        waiter.set()
        again = waiter.wait()
        waiter.set()
        assert again.done()

    asyncio.run(story())
