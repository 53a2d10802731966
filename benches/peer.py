#!/usr/bin/env python3
"""Compares `pocketlm bench` with llama.cpp's `llama-bench` on one model file.

    benches/peer.py MODEL.gguf                  # pp512 and tg128
    benches/peer.py MODEL.gguf --depth 0,4096   # generating from a long context too
    benches/peer.py MODEL.gguf --busy           # and while another process takes a core
    benches/peer.py --how                       # how to build llama-bench

Both programs read the same file with as many threads, on the CPU only, with a 16-bit cache and
llama-bench's default flags (flash attention `auto`, which is on for a CPU). They take turns, row by
row and round by round, so that both meet the same machine: what a shared machine does to one round
it does to both programs. A ratio is that of one round; the median of the rounds is printed, with
the lowest and the highest.

Only Python's standard library is needed.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HOW = """\
llama-bench is part of llama.cpp. Its sources are in the source package of llama-cpp-python; with
CMake, Ninja and a C++ compiler (about 20 minutes on two cores, 0.5 GB):

    mkdir -p ~/.cache/pocketlm/peer && cd ~/.cache/pocketlm/peer
    pip install cmake ninja        # where the system has none
    pip download --no-deps --no-binary llama-cpp-python llama-cpp-python==0.3.36
    tar xzf llama_cpp_python-0.3.36.tar.gz
    cmake -S llama_cpp_python-0.3.36/vendor/llama.cpp -B build -G Ninja \\
        -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \\
        -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_UI=OFF \\
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
    ninja -C build llama-bench llama-perplexity llama-quantize llama-server
    ln -sfn build/bin bin

`benches/peer.py` looks for it in PATH and in ~/.cache/pocketlm/peer/bin; --llama-bench names
another place.
"""

CACHE = Path.home() / ".cache" / "pocketlm"

# A process that keeps one core busy and ends with the one that started it.
SPIN = "import os\np = os.getppid()\nwhile os.getppid() == p:\n    for _ in range(10**6): pass"


class Failure(Exception):
    """Something that ends the script with a message."""


class Row:
    """One measurement: a prompt of some tokens, or tokens to generate from a depth."""

    def __init__(self, prompt=0, generate=0, depth=0):
        self.prompt, self.generate, self.depth = prompt, generate, depth

    @property
    def name(self):
        if self.prompt:
            return f"pp{self.prompt}"
        return f"tg{self.generate}" + (f"_d{self.depth}" if self.depth else "")


class Pocketlm:
    """Ours."""

    name = "pocketlm"

    def __init__(self, path, args):
        self.path, self.args = path, args

    def measure(self, row):
        """Tokens per second, the median of the repetitions."""
        command = [self.path, "bench", self.args.model, "--json", "--device", "cpu"]
        command += ["-t", self.args.threads, "-r", self.args.repetitions, "--verify", 0]
        command += ["-p", row.prompt, "-n", row.generate, "-d", row.depth]
        return json.loads(output_of(command))[row.name]


class LlamaBench:
    """Theirs."""

    name = "llama-bench"

    def __init__(self, path, args):
        self.path, self.args = path, args
        self.facts = {}

    def measure(self, row):
        """Tokens per second, the median of the repetitions."""
        command = [self.path, "-m", self.args.model, "-t", self.args.threads, "-dev", "none"]
        command += ["-r", self.args.repetitions, "-o", "json"]
        command += ["-p", row.prompt, "-n", row.generate, "-d", row.depth]
        tests = json.loads(output_of(command))
        if len(tests) != 1:
            raise Failure(f"llama-bench gave {len(tests)} results for {row.name}")
        self.facts = tests[0]
        return statistics.median(tests[0]["samples_ts"])


def output_of(command):
    """Standard output of a program that must succeed."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failure(f"cannot run {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Failure(f"{' '.join(command)} failed ({done.returncode}): {reason[0]}")
    return done.stdout


def find(given, candidates):
    """The path of a program: the one given, else the first of the candidates that is there."""
    if given is not None:
        candidates = [given]
    return next(filter(None, map(shutil.which, map(str, candidates))), None)


@contextlib.contextmanager
def busy_core():
    """A process that takes a core while this is open; the system decides which one."""
    spinner = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()


def measure(programs, rows, rounds, busy):
    """Rates by (row name, program name, whether a core was busy), a list over the rounds."""
    rates = {}
    for number in range(1, rounds + 1):
        for row in rows:
            # The quiet and the busy run of a row follow each other, each with both programs.
            for with_busy_core in [False, True] if busy and row.generate else [False]:
                for program in programs:
                    with busy_core() if with_busy_core else contextlib.nullcontext():
                        rate = program.measure(row)
                    key = (row.name, program.name, with_busy_core)
                    rates.setdefault(key, []).append(rate)
                    note = ", a core busy" if with_busy_core else ""
                    print(
                        f"round {number}/{rounds}: {row.name:<12} {program.name:<12}"
                        f" {rate:8.2f} tok/s{note}",
                        file=sys.stderr,
                        flush=True,
                    )
    return rates


def spread(values):
    """The median, the lowest and the highest of some numbers."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(above, below):
    """The spread of the quotients, round by round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def summary(rates, rows):
    """What is printed: for each row the rates, their ratio, and what a busy core left of them."""
    ours, theirs = Pocketlm.name, LlamaBench.name
    result = {}
    for row in rows:
        quiet = {name: rates[row.name, name, False] for name in (ours, theirs)}
        entry = {name: spread(values) for name, values in quiet.items()}
        entry["ratio"] = ratios(quiet[ours], quiet[theirs])
        if (row.name, ours, True) in rates:
            loaded = {name: rates[row.name, name, True] for name in (ours, theirs)}
            entry["busy"] = {name: spread(values) for name, values in loaded.items()}
            entry["busy"]["ratio"] = ratios(loaded[ours], loaded[theirs])
            entry["busy_to_alone"] = {
                name: ratios(loaded[name], quiet[name]) for name in (ours, theirs)
            }
        result[row.name] = entry
    return result


def table(result):
    """The summary as lines for people."""

    def cell(values, digits):
        low, high = (f"{values[key]:.{digits}f}" for key in ("min", "max"))
        return f"{values['median']:.{digits}f} ({low}–{high})"

    def line(name, entry, digits=1):
        ours, theirs = (cell(entry[p.name], digits) for p in (Pocketlm, LlamaBench))
        ratio = cell(entry["ratio"], 2) if "ratio" in entry else ""
        return f"{name:<22} {ours:>24} {theirs:>24} {ratio:>20}".rstrip()

    yield f"{'tok/s':<22} {'pocketlm':>24} {'llama-bench':>24} {'ours / theirs':>20}"
    for name, entry in result.items():
        yield line(name, entry)
        if "busy" in entry:
            yield line(f"{name}, a core busy", entry["busy"])
            yield line("  busy / alone", entry["busy_to_alone"], digits=2)


def positive(text):
    """An option's value that must be at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def depth_list(text):
    """Depths separated by commas."""
    depths = [int(part) for part in text.split(",")]
    if min(depths) < 0:
        raise argparse.ArgumentTypeError(f"{text}: a depth is not negative")
    return depths


def cores():
    """Cores this process may use, where the system tells; else all of them."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count()


def options():
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Compares pocketlm bench with llama-bench on one model file."
    )
    parser.add_argument("model", nargs="?", help="a GGUF file")
    parser.add_argument("--how", action="store_true", help="say how to build llama-bench")
    parser.add_argument("--llama-bench", metavar="PATH", help="the program")
    parser.add_argument("--pocketlm", metavar="PATH", help="the program, a release build")
    parser.add_argument(
        "-t", "--threads", type=positive, default=cores(),
        help="threads of each program [default: one for each core]",
    )
    parser.add_argument("-p", "--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("-n", "--generate", type=int, default=128, help="tokens to generate")
    parser.add_argument(
        "-d", "--depth", type=depth_list, default=[0], metavar="N,…",
        help="tokens in the context before those to generate [default: 0]",
    )
    parser.add_argument(
        "-r", "--rounds", type=positive, default=5, help="turns of each program [default: 5]"
    )
    parser.add_argument(
        "--repetitions", type=positive, default=2,
        help="repetitions within one turn, of which the median counts [default: 2]",
    )
    parser.add_argument(
        "--busy", action="store_true",
        help="measure generating also while another process takes one of the cores",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def programs_of(args):
    """Both programs, or a message about the one that is missing."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", CACHE / "target"))
    builds = [target / "release/pocketlm", "target/release/pocketlm", "pocketlm"]
    ours = find(args.pocketlm, builds)
    if ours is None:
        missing = args.pocketlm or "pocketlm (cargo build --release -p pocketlm-cli)"
        raise Failure(f"there is no program {missing}")
    theirs = find(args.llama_bench, ["llama-bench", CACHE / "peer/bin/llama-bench"])
    if theirs is None:
        missing = args.llama_bench or "llama-bench"
        raise Failure(f"there is no {missing}, so there is nothing to compare with.\n\n{HOW}")
    return Pocketlm(ours, args), LlamaBench(theirs, args)


def main():
    """Measures and prints."""
    args = options()
    if args.how:
        print(HOW, end="")
        return
    if args.model is None or not Path(args.model).is_file():
        raise Failure(f"there is no model file {args.model or '(none given)'}")
    rows = [Row(prompt=args.prompt)] if args.prompt > 0 else []
    if args.generate > 0:
        rows += [Row(generate=args.generate, depth=depth) for depth in sorted(set(args.depth))]
    if not rows:
        raise Failure("nothing to measure: -p and -n are both 0")
    ours, theirs = programs_of(args)

    result = summary(measure((ours, theirs), rows, args.rounds, args.busy), rows)
    if args.json:
        print(json.dumps({
            "model": args.model,
            "threads": args.threads,
            "rounds": args.rounds,
            "repetitions": args.repetitions,
            "llama_bench": {
                key: theirs.facts.get(key)
                for key in ("build_commit", "cpu_info", "flash_attn", "type_k", "load_mode")
            },
            "rows": result,
        }))
        return
    print(
        f"{Path(args.model).name}, CPU, {args.threads} threads; median (lowest–highest) of "
        f"{args.rounds} rounds, in each the median of {args.repetitions} repetitions"
    )
    for line in table(result):
        print(line)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
