#!/usr/bin/env python3
"""A site past what was measured: clients that ask for routes, workers that report, a shared store, by discrete events.

usage: bench/scale.py [--clients N] [--workers N] [--slots N] [--seconds N] [--schedulers N] [--seed N]

What one event costs is measured or assumed (the constants below say which); how they meet is simulated: each scheduler is one server
with one queue, as its loop is. docs/scale.md says what came out.
"""
import argparse
import heapq
import random

# Measured.
ROUTE_S = 1 / 21800  # of a core: a question for 500 slots with 2,000 workers and etcd (bench/routes.md)
WORKER_KB = 44  # in a scheduler (bench/routes.md)
SOURCE_BYTES = 180_000  # of a miss that goes away, packed (bench/farm.md)
# As it is built.
ROUTE_LIFETIME_S = 30.0
REPORT_EVERY_S = 2.5
USE_BYTES, USES_MOST, USES_EVERY_S = 12, 16384, 600  # store/shared/uses.h
# Assumed: not measured here.
REPORT_S = 1 / 130000  # of a core: a worker's report costs no more than a question for a few slots
CLIENT_KB = 44  # a client's connection costs no more than a worker's
RESULT_BYTES, ENTRY_BYTES = 50_000, 6_000  # of a hit and of its action, packed
COMPILE_S = 1.0
ETCD_WRITE_BYTES = 300


def simulate(args, herd, seconds):
    """Route and report arrivals at one scheduler. Returns waiting times of routes, and its load."""
    rng = random.Random(args.seed)
    clients, workers = args.clients // args.schedulers, args.workers // args.schedulers
    events = []  # (time, kind, who)
    for c in range(clients):
        # After a scheduler's end all come at once: as soon as they notice, within a second.
        heapq.heappush(events, (rng.random() * (1.0 if herd else ROUTE_LIFETIME_S), 0, c))
    for w in range(workers):
        heapq.heappush(events, (rng.random() * REPORT_EVERY_S, 1, w))
    free_at, busy, waits, reports = 0.0, 0.0, [], 0
    while events and events[0][0] < seconds:
        at, kind, who = heapq.heappop(events)
        cost = ROUTE_S if kind == 0 else REPORT_S
        begin = max(at, free_at)
        free_at = begin + cost
        busy += cost
        if kind == 0:
            waits.append(free_at - at)
            again = ROUTE_LIFETIME_S
        else:
            reports += 1
            again = REPORT_EVERY_S
        heapq.heappush(events, (at + again, kind, who))
    waits.sort()
    return waits, reports, busy / seconds


def percentile(waits, p):
    return waits[min(len(waits) - 1, int(len(waits) * p))] * 1000 if waits else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2_000)
    parser.add_argument("--slots", type=int, default=16, help="of a worker")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--schedulers", type=int, default=1)
    parser.add_argument("--hits", type=float, default=0.7, help="of all compiles: by the shared store")
    parser.add_argument("--busy", type=float, default=0.6, help="of the workers' slots")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    print(f"{args.clients} clients, {args.workers} workers of {args.slots} slots, {args.schedulers} scheduler(s)")
    for herd in (False, True):
        seconds = 2 * REPORT_EVERY_S if herd else args.seconds
        waits, reports, load = simulate(args, herd, seconds)
        print(f"  {'all clients ask within one of five seconds' if herd else 'spread over time'}: each scheduler answers "
              f"{len(waits) / seconds:.0f} routes/s and {reports / seconds:.0f} reports/s with {load:.1%} of a core; "
              f"an answer takes {percentile(waits, 0.5):.2f} ms (median), {percentile(waits, 0.99):.1f} ms (p99), "
              f"{percentile(waits, 1.0):.0f} ms at most")
    own = (args.workers * WORKER_KB + args.clients * CLIENT_KB) / args.schedulers / 1000
    print(f"  memory of a scheduler: {own:.0f} MB, {(args.clients + args.workers) / args.schedulers:.0f} connections")
    if args.schedulers > 1:
        print(f"  etcd: {args.workers} writes ({args.workers * ETCD_WRITE_BYTES / 1e6:.1f} MB) when all workers start, then "
              f"{args.schedulers} keep-alives in a third of a lease")
    compiles = args.workers * args.slots * args.busy / COMPILE_S
    lookups = compiles / (1 - args.hits)  # an action each
    hits = lookups * args.hits  # and a result each
    records = max(hits / USES_MOST, args.workers / USES_EVERY_S)
    print(f"  compiles: {compiles:.0f}/s away, {compiles * SOURCE_BYTES / 1e6:.0f} MB/s into the workers; "
          f"{hits:.0f}/s are hits of a shared store")
    print(f"  store: {lookups + hits:.0f} reads/s, {hits * (RESULT_BYTES + ENTRY_BYTES) / 1e6:.0f} MB/s out; "
          f"{2 * compiles:.0f} writes/s, {compiles * (RESULT_BYTES + ENTRY_BYTES) / 1e6:.0f} MB/s in; "
          f"records of uses: {hits * USE_BYTES / 1e3:.0f} KB/s in {records:.1f} writes/s")


if __name__ == "__main__":
    main()
