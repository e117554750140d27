"""Rivals of the suite `process` that come with Python: one figure on standard
output. Usage: rivals.py RUNTIME WORK; exit status 77: it cannot run here."""
import multiprocessing
import os
import sys
import time

N = 20000


def nothing(_):
    return None


def fault(i):
    time.sleep(0.01)
    if i == 20:
        os.kill(os.getpid(), 11)
    return i


def busy(_):
    os.write(1, b"b")
    while True:
        pass


def executor_pool():
    from concurrent.futures import ProcessPoolExecutor
    return ProcessPoolExecutor(4)


def mpi_pool():
    try:
        from mpi4py.futures import MPIPoolExecutor
    except ImportError:
        sys.exit(77)
    return MPIPoolExecutor()  # what mpiexec -n 5 leaves: 4


def rate(pool_map):
    list(pool_map(nothing, range(100)))
    begin = time.monotonic()
    list(pool_map(nothing, range(N)))
    return N / (time.monotonic() - begin) / 1e6


def round_trip(call):
    times = []
    call()
    for _ in range(300):
        begin = time.monotonic()
        call()
        times.append(time.monotonic() - begin)
    times.sort()
    return times[len(times) // 2] * 1e6


def lost(submit):
    futures = [submit(fault, i) for i in range(40)]
    n = 0
    for f in futures:
        try:
            f.result(timeout=20)
        except Exception:
            n += 1
    return n


def main():
    runtime, work = sys.argv[1:]
    if runtime == "pool":
        from multiprocessing import Pool
        with Pool(4) as pool:
            if work == "rate":
                print(rate(lambda f, xs: pool.map(f, xs, 1)))  # each task alone
            elif work == "round-trip":
                print(round_trip(lambda: pool.apply(nothing, (1,))))
            elif work == "busy":
                pool.map(busy, range(4), 1)  # until it is killed
            else:
                sys.exit(77)
        return
    pool = mpi_pool() if runtime == "mpi" else executor_pool()
    if work == "rate":
        print(rate(pool.map))
    elif work == "round-trip":
        print(round_trip(lambda: pool.submit(nothing, 1).result()))
    elif work == "lost":
        print(lost(pool.submit))
    elif work == "busy":
        list(pool.map(busy, range(4)))  # until it is killed
    else:
        sys.exit(77)
    if runtime == "mpi":
        sys.stdout.flush()
        pool.shutdown()
        return
    # a broken pool leaves its workers, and they hold our standard output open
    sys.stdout.flush()
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(0)


if __name__ == "__main__":  # mpi4py runs this file in its workers too
    main()
