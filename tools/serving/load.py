"""Measures a server's throughput and latency."""

import collections
import dataclasses
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from transports import RequestError


@dataclasses.dataclass(frozen=True)
class Figures:
    """The measurements.

    Attributes:
        latencies: seconds of each answered request, retries included, in order.
        failures: message -> number of requests that ended with it.
        seconds: time from the first request to the last response.
    """

    latencies: list[float]
    failures: dict[str, int]
    seconds: float

    def percentile(self, percent: float) -> float:
        """The percentile `percent` of the latencies, seconds."""
        rank = math.ceil(percent / 100 * len(self.latencies))
        return self.latencies[max(rank, 1) - 1]

    def lines(self, batch_size: int) -> list[str]:
        """The figures as text."""
        answered, failed = len(self.latencies), sum(self.failures.values())
        rate = answered / self.seconds
        text = [
            f"requests   {answered + failed} in {self.seconds:.2f} s, {failed} failed",
            f"answered   {rate:.1f} requests/s, {rate * batch_size:.1f} images/s",
        ]
        if answered:
            values = (f"p{p} {1000 * self.percentile(p):.1f}" for p in (50, 95, 99))
            text.append(f"latency    {', '.join(values)} ms")
        return text + [f"{n:8} x {message}" for message, n in self.failures.items()]


def measure(send: Callable[[int], None], requests: int, concurrency: int) -> Figures:
    """Sends numbered requests, `concurrency` at a time."""

    def timed(number: int) -> float | str:
        start = time.perf_counter()
        try:
            send(number)
        except RequestError as error:
            return str(error)
        return time.perf_counter() - start

    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        results = list(pool.map(timed, range(requests)))
    seconds = time.perf_counter() - start
    failures = collections.Counter(x for x in results if isinstance(x, str))
    latencies = sorted(x for x in results if isinstance(x, float))
    return Figures(latencies, dict(failures), seconds)
