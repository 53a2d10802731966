"""Writes llama_cpp_ids.json: the ids that llama.cpp's tokenizers give.

llama.cpp comes as the shared library inside the PyPI package `xllamacpp`, and is called through
ctypes, with a model file that holds a vocabulary and nothing else:
    pip install xllamacpp && python llama_cpp_ids.py
Written with xllamacpp 2026.10.11549.
"""
import ctypes as c
import glob
import importlib.util
import json
import lzma
import os
import random
import re
import struct
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
package = os.path.dirname(importlib.util.find_spec("xllamacpp").origin)
lib = c.CDLL(glob.glob(package + "/*.so")[0])


class Params(c.Structure):
    """llama_model_params, larger than it is; `vocab_only` is byte 72."""

    _fields_ = [("bytes", c.c_uint8 * 512)]


Log = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
silent = Log(lambda level, text, user: None)
lib.llama_log_set.argtypes = [Log, c.c_void_p]
lib.llama_model_default_params.restype = Params
lib.llama_model_load_from_file.restype = c.c_void_p
lib.llama_model_load_from_file.argtypes = [c.c_char_p, Params]
lib.llama_model_free.argtypes = [c.c_void_p]
lib.llama_model_get_vocab.restype = c.c_void_p
lib.llama_model_get_vocab.argtypes = [c.c_void_p]
lib.llama_tokenize.argtypes = [
    c.c_void_p, c.c_char_p, c.c_int32, c.POINTER(c.c_int32), c.c_int32, c.c_bool, c.c_bool,
]
lib.llama_vocab_is_eog.restype = c.c_bool
lib.llama_vocab_is_eog.argtypes = [c.c_void_p, c.c_int32]
lib.llama_vocab_n_tokens.argtypes = [c.c_void_p]
lib.llama_log_set(silent, None)


class Vocab:
    def __init__(self, kv):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(gguf(kv))
            file.flush()
            params = lib.llama_model_default_params()
            params.bytes[72] = 1
            self.model = lib.llama_model_load_from_file(file.name.encode(), params)
        self.vocab = lib.llama_model_get_vocab(self.model)

    def encode(self, text, add_special, parse_special):
        text = text.encode()
        ids = (c.c_int32 * (len(text) + 8))()
        n = lib.llama_tokenize(
            self.vocab, text, len(text), ids, len(ids), add_special, parse_special
        )
        return list(ids[:n])

    def ends(self):
        n = lib.llama_vocab_n_tokens(self.vocab)
        return [i for i in range(n) if lib.llama_vocab_is_eog(self.vocab, i)]

    def cases(self, texts):
        """[text, ids as plain text, ids as a sequence with special tokens parsed]."""
        return [[t, self.encode(t, False, False), self.encode(t, True, True)] for t in texts]


def gguf(kv):
    """A GGUF file of metadata only."""

    def string(s):
        return struct.pack("<Q", len(s.encode())) + s.encode()

    def value(v):
        if isinstance(v, bool):
            return struct.pack("<I?", 7, v)
        if isinstance(v, int):
            return struct.pack("<II", 4, v)
        if isinstance(v, float):
            return struct.pack("<If", 6, v)
        if isinstance(v, str):
            return struct.pack("<I", 8) + string(v)
        if isinstance(v[0], str):
            return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(string, v))
        kind, code = (6, "f") if isinstance(v[0], float) else (5, "i")
        return struct.pack("<IIQ", 9, kind, len(v)) + struct.pack(f"<{len(v)}{code}", *v)

    body = b"".join(string(k) + value(v) for k, v in kv.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(kv)) + body + bytes(64)


def read_gguf(data):
    """The metadata of a GGUF file."""
    at = 8

    def take(form):
        nonlocal at
        v = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return v

    def string():
        nonlocal at
        (n,) = take("Q")
        at += n
        return data[at - n : at].decode()

    forms = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}

    def value(kind):
        if kind == 8:
            return string()
        if kind == 9:
            kind, n = take("IQ")
            if kind == 8:
                return [string() for _ in range(n)]
            return list(take(f"{n}{forms[kind]}"))
        return take(forms[kind])[0]

    _, count = take("QQ")
    return {string(): value(take("I")[0]) for _ in range(count)}


random = random.Random(2024)
ALPHABETS = [
    "etaoinshrdlu", "ETAOINS", "0123456789", " ", "  \t\n\r\u00a0\u3000", "'!\"#$%&()*+,-./:;<=>?@[]^_`{|}~",
    "éèàßİÅÉ", "абвАБ", "αβΓ", "你好世界中文", "ひらカナｱ", "한국어가", "กขคงา", "नमस्ते", "عربية،", "😀👨‍👩✅", "\u0301\u200d\u200b",
    "½²Ⅷ①٣", "\x00\x01\x7f\x80", "，。！？“”",
]
WORDS = [
    "'s", "'S", "'ll", "'RE", " the", " and", "Hello", "World", "\n\n", "\r\n", "   ", "123", "1234567", "3.14",
    "camelCase", "HTTPServer", "foo_bar", "->", "//", "```", " '", "a  1", "\n \n", "!!!\n\n", "中a文B",
]
SPECIALS = [
    "<|endoftext|>", "<s>", "</s>", "<unk>", "<|user|>", "<|end|> \n", "[CLS]", "[MASK]", ">>TITLE<<",
]


def fuzz():
    parts = []
    for _ in range(random.choice([1, 2, 3, 5, 8])):
        kind = random.random()
        if kind < 0.4:
            parts.append(random.choice(WORDS))
        elif kind < 0.9:
            alphabet = random.choice(ALPHABETS)
            parts.append("".join(random.choice(alphabet) for _ in range(random.randint(1, 5))))
        elif kind < 0.95:
            parts.append(random.choice("aA 1!é中\n") * random.randint(2, 20))
        else:
            parts.append(random.choice(SPECIALS))
    return "".join(parts)


ARCHITECTURE = {"general.architecture": "llama", "llama.attention.layer_norm_rms_epsilon": 1e-5}
for key in "vocab_size context_length embedding_length block_count feed_forward_length attention.head_count".split():
    ARCHITECTURE["llama." + key] = 1


def vocabularies():
    """The vocabularies beside this file."""
    found = {}
    for name in ["bert-bge", "falcon", "gpt-2", "phi-3"]:
        kv = read_gguf(lzma.open(f"{HERE}/ggml-vocab-{name}.gguf.xz").read())
        vocab = Vocab(kv)
        found[name] = {
            "end_of_generation": vocab.ends(),
            "cases": vocab.cases([fuzz() for _ in range(60)]),
        }
    return found


def byte_alphabet():
    """GPT-2's characters for the bytes."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (chr(0x100 + n) for n in range(256))
    return [chr(b) if b in visible else next(others) for b in range(256)]


def pairs():
    """A vocabulary in which cuts show: every two bytes are a token, and merge unless a cut is
    between them. `an` has no merge, for the rows that take a whole piece as a token whatever the
    merges say."""
    char = byte_alphabet()
    order = [n * 40503 % 65536 for n in range(65536)]
    order = [(char[n >> 8], char[n & 255]) for n in order]
    tokens = char + [a + b for a, b in order]
    return tokens, [a + " " + b for a, b in order if a + b != "an"]


def pretokenizers():
    """Every name of the table over the vocabulary of pairs."""
    tokens, merges = pairs()
    kv = ARCHITECTURE | {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
    }
    source = open(HERE + "/../../../src/tokenizer/pretokenizers.rs", encoding="utf-8").read()
    rows = source[source.index("pub static PRETOKENIZERS") :]
    names = [n for n in re.findall(r'"([^"]+)"', rows) if n not in ("gemma4", "granite-embed-multi-311m")]
    texts = [
        "an It's 1234 and HTTPServer's aB'LL, don't\n\n  x/y!\n/z  中文 e\u0301 3.14\n",
        "tabs\t\tand \t mixed \n\n\n  lines\r\n\r\n  end 12 345 6789 0x1F ½² ٣٤٥\n//\n",
        "camelCase XMLHttpRequest aB éÉa ÀB CÉ नमस्ते दुनिया। กำลัง ភាសា العربية، مرحبا؟ 한국어. ㅋㅋ ㄅㄆ",
        "#tag @name $1 $a _b 你好，世界！漢字かなカナ 。\n！？ …—“引” \u200b\u200by \u0301x a\u3000g  " + " " * 20 + "b" + " " * 9,
        "words joined by spaces 1 and 2\n \n \n/ 'S'' 't ABC ABÇ",
    ] + [fuzz() for _ in range(7)]
    seen, found = set(), {}
    for name in names:
        kv["tokenizer.ggml.pre"] = name
        vocab = Vocab(kv)
        ids = [vocab.encode(t, True, False) for t in texts]
        lib.llama_model_free(vocab.model)
        # In full once for each behaviour; by the first text for the other names.
        fresh = json.dumps(ids) not in seen
        seen.add(json.dumps(ids))
        found[name] = ids if fresh else ids[:1]
    return {"texts": texts, "ids": found}


def plain_text():
    """A small vocabulary of the Gemma 4 kind."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + ["<0x%02X>" % b for b in range(256)]
    types = [3, 3, 3, 2] + [6] * 256
    for n in range(1, 6):
        tokens.append("\n" * n)
        types.append(1)
    merges = []
    corpus = "the and he that in is was for on are this with it as at be her his ▁the ▁and ▁▁ ▁▁▁▁ ▁in ▁a"
    for char in sorted(set("".join(corpus.split()) + "abcdefghijklmnopqrstuvwxyz▁.,!é中")):
        tokens.append(char)
        types.append(1)
    for word in corpus.split():
        for n in range(2, len(word) + 1):
            if word[:n] not in tokens:
                tokens.append(word[:n])
                types.append(1)
                merges.append(word[: n - 1] + " " + word[n - 1])
    kv = ARCHITECTURE | {
        "tokenizer.ggml.model": "gemma4",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1,
    }
    texts = ["the thing and\n\n  that\n", "    was here.\n\n\n\n\n\n\nÀ 中 😀 <bos> it", ""] + [
        fuzz() for _ in range(20)
    ]
    return {"tokens": tokens, "types": types, "merges": merges, "cases": Vocab(kv).cases(texts)}


def overlapping():
    """Small SentencePiece vocabularies whose special tokens overlap, with equal scores, and with
    the white space that Phi-3's swallow."""
    found = []
    for n in range(12):
        entries = {"<unk>": (2, 0.0), "<s>": (3, 0.0), "</s>": (3, 0.0), "<|endoftext|>": (3, 0.0)}
        entries |= {"<0x%02X>" % b: (6, 0.0) for b in range(256)}

        def add(text, kind, score):
            entries.setdefault(text, (kind, score))

        for char in "abc▁":
            add(char, 1, -float(random.randint(0, 9)))
        for _ in range(50):
            text = "".join(random.choice("aabc▁") for _ in range(random.randint(2, 5)))
            add(text, 1, -float(random.randint(0, 12)))
        for _ in range(8):
            add("".join(random.choice("aabbc \n") for _ in range(random.randint(1, 4))), 4, 0.0)
        for _ in range(3):
            add("".join(random.choice("XYZ \n") for _ in range(random.choice([3, 4]))), 3, 0.0)
        kv = {
            "general.name": "Phi-3 small" if n % 2 else "other",
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": list(entries),
            "tokenizer.ggml.scores": [score for _, score in entries.values()],
            "tokenizer.ggml.token_type": [kind for kind, _ in entries.values()],
            "tokenizer.ggml.add_space_prefix": n % 3 != 0,
        }
        texts = [
            "".join(random.choice("aaaabbbccc  \ndXYZ") for _ in range(random.choice([1, 5, 30])))
            for _ in range(15)
        ]
        kv_cases = Vocab(ARCHITECTURE | kv).cases(texts)
        found.append({"metadata": kv, "cases": kv_cases})
    return found


sections = [vocabularies, pretokenizers, plain_text, overlapping]
with open(HERE + "/llama_cpp_ids.json", "w", encoding="utf-8") as out:
    json.dump({s.__name__: s() for s in sections}, out, ensure_ascii=True, separators=(",", ":"))
    out.write("\n")
