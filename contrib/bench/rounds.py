"""Times of several sides, taken in turn, and what they come to."""

import gc
import os
import random
import statistics
import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Result:
    """The times of all sides of a case, in seconds, round by round."""

    case: str
    times: dict[str, list[float]]
    goal: str = ""

    def median(self, side):
        return statistics.median(self.times[side])

    def ratios(self, side, ours="npyfs"):
        """How much longer a side took than npyfs: the median's, and what 80 % of the rounds lie between."""
        each = sorted(theirs / our for our, theirs in zip(self.times[ours], self.times[side]))
        tenth = len(each) // 10
        return self.median(side) / self.median(ours), each[tenth], each[-1 - tenth]


def seconds(action):
    start = time.perf_counter()
    kept = action()
    taken = time.perf_counter() - start
    del kept
    return taken


def forget(path):
    """Drops the pages that the kernel keeps of a file of a mount, lest memory fill with them."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def warm_memory(size):
    """Touches free memory and gives it back: on a virtual machine the host may have to find it first."""
    np.ones(size, np.uint8)


def alternate(case, sides, rounds, goal="", after=None, memory=1 << 20, before=None):
    """Times every side once in each round, in random order: who comes after whom makes a difference.

    A side is a function of the round's number that returns what is to be timed. `before`, given the
    number, brings what it reads into memory, which a machine may have taken back meanwhile; `after`,
    given the number and the side's name, cleans up behind it; `memory` is how many bytes to warm up.
    """
    times = {name: [] for name in sides}
    shuffled = random.Random(case)
    gc.disable()
    for number in range(rounds):
        for name in shuffled.sample(list(sides), len(sides)):
            warm_memory(memory)
            if before:
                before(number)
            times[name].append(seconds(sides[name](number)))
            if after:
                after(number, name)
    gc.enable()
    return Result(case, times, goal)
