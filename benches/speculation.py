#!/usr/bin/env python3
"""What speculation is worth: the same prompts plain, with lookup and with a drafting model.

Prompts are of three kinds: an edit (the answer repeats much of the question), code, and prose. Each is
answered greedily by every way in turn, several times; the medians of tokens per second are compared,
and the answers must be the same to the letter.

    python3 benches/speculation.py MODEL [--draft MODEL] [--pocketlm PROGRAM] [-t N] [-n N] [-r N]
"""

import argparse
import json
import statistics
import subprocess
import sys

CODE = '''def load_users(path):
    users = []
    with open(path) as file:
        for line in file:
            name, age, city = line.strip().split(",")
            users.append({"name": name, "age": int(age), "city": city})
    return users


def oldest_user(users):
    best = None
    for user in users:
        if best is None or user["age"] > best["age"]:
            best = user
    return best


def users_by_city(users):
    cities = {}
    for user in users:
        cities.setdefault(user["city"], []).append(user)
    return cities


def average_age(users):
    total = 0
    for user in users:
        total += user["age"]
    return total / len(users)
'''

PROMPTS = {
    "edit": [
        "Rename the variable `users` to `people` in this file. Answer with the whole file only.\n\n" + CODE,
        "Add a docstring to every function of this file and change nothing else. Answer with the whole "
        "file only.\n\n" + CODE,
    ],
    "code": [
        "Write a Python class for a binary search tree with insert, delete, find and in-order iteration.",
        "Write a Rust function that parses a simple CSV line with quoted fields, and its unit tests.",
    ],
    "prose": [
        "Tell a short story about a lighthouse keeper who finds a letter in a bottle.",
        "Explain to a curious child why the sky is blue in the day and red in the evening.",
    ],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--draft", help="a smaller model with the same vocabulary")
    parser.add_argument("--pocketlm", default="pocketlm")
    parser.add_argument("-t", type=int, default=2, help="threads")
    parser.add_argument("-n", type=int, default=256, help="tokens of an answer at most")
    parser.add_argument("-r", type=int, default=3, help="rounds")
    args = parser.parse_args()

    ways = {"plain": ["--speculation", "off"], "lookup": ["--speculation", "lookup"]}
    if args.draft:
        ways["draft"] = ["--draft", args.draft]
    different = 0
    print(f"{'kind':8} {'way':8} {'tok/s':>8} {'ratio':>6} {'accepted':>9}")
    for kind, prompts in PROMPTS.items():
        speeds = {way: [] for way in ways}
        ratios = {way: [] for way in ways}
        guesses = {way: [0, 0] for way in ways}
        for _ in range(args.r):
            for prompt in prompts:
                texts = {}
                for way, options in ways.items():
                    answer = respond(args, prompt, options)
                    usage = answer["usage"]
                    texts[way] = answer["text"]
                    speeds[way].append(usage["decode_tokens_per_s"])
                    ratios[way].append(speeds[way][-1] / speeds["plain"][-1])
                    guesses[way][0] += usage["accepted_tokens"]
                    guesses[way][1] += usage["generated_tokens"]
                if len(set(texts.values())) > 1:
                    different += 1
                    print(f"DIFFERENT ANSWERS to {prompt[:60]!r}", file=sys.stderr)
        for way in ways:
            share = guesses[way][0] / max(1, guesses[way][1])
            speed, ratio = (statistics.median(x[way]) for x in (speeds, ratios))
            print(f"{kind:8} {way:8} {speed:8.2f} {ratio:6.2f} {share:9.0%}", flush=True)
    return 1 if different else 0


def respond(args, prompt, options):
    command = [args.pocketlm, "run", args.model, prompt, "--device", "cpu", "-t", str(args.t), "--greedy"]
    command += ["-n", str(args.n), "--json", *options]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command[:3])} failed: {result.stderr.strip()}")
    return json.loads(result.stdout)


if __name__ == "__main__":
    sys.exit(main())
