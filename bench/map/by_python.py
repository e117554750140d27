"""The same works with Python's ProcessPoolExecutor: words, sha256, lines.

    by_python.py words|sha256 N_PROCESSES LIST
    by_python.py lines N_PROCESSES              inputs from standard input
"""
import collections
import concurrent.futures
import hashlib
import re
import sys

WORD = re.compile(rb"[a-z]+")


def words(name):
    with open(name, "rb") as file:
        return collections.Counter(WORD.findall(file.read().lower()))


def sha256(name):
    with open(name, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest() + "  " + name


def line(text):
    return str(len(text))


def main():
    work, n = sys.argv[1], int(sys.argv[2])
    with concurrent.futures.ProcessPoolExecutor(n) as pool:
        if work == "lines":
            inputs = (each.rstrip("\n") for each in sys.stdin)
            for result in pool.map(line, inputs, chunksize=1000):
                print(result)
            return
        with open(sys.argv[3]) as file:
            names = file.read().split("\n")[:-1]
        results = pool.map(globals()[work], names, chunksize=16)
        if work == "sha256":
            for result in results:
                print(result)
            return
        total = collections.Counter()
        for result in results:
            total.update(result)
        for word in sorted(total):
            print(word.decode() + "\t" + str(total[word]))


main()
