"""Called by benches/interop.rs: how long a known result takes through the module, and through a cache.json.

    python3 interop.py RESULTS     # in the directory of the store `store` that holds so many
"""

import hashlib
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "contrib", "deepflow"))

import astrasim_store
import test_astrasim_store

CALLS = 2000


def measured(call, times):
    took = []
    for number in range(times):
        begin = time.perf_counter()
        call(number)
        took.append(1e3 * (time.perf_counter() - begin))
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def print_row(what, took):
    print(f"  {what:<44} {took[0]:>10.3f} ms median {took[1]:>10.3f} ms 99 %", flush=True)


def main(results):
    hw = test_astrasim_store.hardware()

    def simulated(number):
        # Spread over all of them, and no two calls after each other the same.
        size_bytes = 1024 * (1 + number * 7919 % results)
        return astrasim_store.run_cache_astrasim(hw, "all_reduce", 4, size_bytes)

    print_row("starting the process, and the first answer", measured(simulated, 1))
    print_row("first hit of each result in the process", measured(lambda n: simulated(n + 1), min(CALLS, results)))
    print_row("hit", measured(simulated, CALLS))
    print_row("a line there and back (hello)", measured(lambda _: astrasim_store._ask({"do": "hello"}, False), CALLS))
    entry = {"signature": {"comm": "all_reduce"}, "canonical": "x" * 1000, "per_node_sec": [1e-5] * 4, "max_sec": 1e-5}
    with open("cache.json", "w", encoding="utf-8") as cache:
        json.dump({hashlib.sha256(str(n).encode()).hexdigest(): entry for n in range(results)}, cache, indent=2)

    def from_file(_):
        with open("cache.json", encoding="utf-8") as cache:
            return json.load(cache)

    print_row("reading a cache.json of as many results", measured(from_file, 3))


if __name__ == "__main__":
    main(int(sys.argv[1]))
