"""Records what llama.cpp makes of the nano models: log-probabilities of the whole vocabulary at a
few positions of one token sequence. How to run it: README.md beside this file.

llama.cpp runs inside the PyPI wheel `xllamacpp` (its server, called in process): f32 cache, flash
attention off, one thread, no repacked weights. The server answers a prompt of token ids with one
token and the probabilities of all others, so every position is one request with a prompt that
ends there. The sequence is evaluated anew for each, from an empty cache.
"""

import argparse
import hashlib
import json
import math
import pathlib

import xllamacpp

# A token that is a letter in both vocabularies.
LETTER = 70

HERE = pathlib.Path(__file__).resolve().parent


def server(path: pathlib.Path, arguments: dict[str, float]) -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = 256
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
    params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.no_extra_bufts = True
    params.swa_full = True
    params.fit_params = False
    params.warmup = False
    for name, value in arguments.items():
        setattr(params, name, value)
    return xllamacpp.Server(params)


def log_probabilities(model: xllamacpp.Server, prompt: list[int], vocab: int) -> list[float]:
    """Of every token after `prompt`, in order of id."""
    answer = model.handle_completions(
        {
            "prompt": prompt,
            "max_tokens": 1,
            "logprobs": vocab,
            "temperature": 0.0,
            # A token without text (an end, a reserved one) is answered without probabilities, so
            # a letter is forced; the probabilities reported are those before that.
            "logit_bias": [[LETTER, 1000.0]],
            "cache_prompt": False,
            "post_sampling_probs": False,
        }
    )
    if isinstance(answer, list):
        (answer,) = answer
    used = answer["timings"]["prompt_n"]
    assert used == len(prompt), f"{used} tokens evaluated for {len(prompt)}"
    (position,) = answer["choices"][0]["logprobs"]["content"]
    top = position["top_logprobs"]
    out = [math.nan] * vocab
    for entry in top:
        out[entry["id"]] = entry["logprob"]
    assert not any(map(math.isnan, out)), f"{len(top)} of {vocab} entries"
    total = sum(map(math.exp, out))
    assert abs(total - 1) < 1e-4, f"probabilities add up to {total}"
    assert out[LETTER] < -1e-3, "a logit was changed before it was reported"
    return out


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("exported", type=pathlib.Path, help="folder written by the test `export`")
    arguments.add_argument("--only", help="file stem of the one model to record")
    arguments = arguments.parse_args()
    sequence = json.loads((arguments.exported / "sequence.json").read_text())
    ids, positions, vocab = sequence["ids"], sequence["positions"], sequence["vocab"]
    for path in sorted(arguments.exported.glob("*.gguf")):
        if arguments.only not in (None, path.stem):
            continue
        model = server(path, sequence["arguments"].get(path.stem, {}))
        rows = [log_probabilities(model, ids[: p + 1], vocab) for p in positions]
        golden = {
            "by": f"llama.cpp in xllamacpp {xllamacpp.__version__}",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "ids": ids,
            "positions": positions,
        }
        # One row a line, five decimals: compact, and still a diff that can be read.
        lines = [f" {json.dumps(k)}: {json.dumps(v)}," for k, v in golden.items()]
        numbers = [",".join(f"{x:.5f}" for x in row) for row in rows]
        lines.append(' "log_probabilities": [\n  [' + "],\n  [".join(numbers) + "]\n ]")
        target = HERE / "golden" / f"{path.stem}.json"
        target.write_text("{\n" + "\n".join(lines) + "\n}\n")
        best = " ".join(f"{math.exp(max(row)):.3f}" for row in rows)
        print(f"{path.stem}: top probabilities {best}", flush=True)


if __name__ == "__main__":
    main()
