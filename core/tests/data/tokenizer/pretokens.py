"""Writes pretokens.json: how each pre-tokenizer's expressions split some strings.

The expressions are the ones that the models publish in their tokenizer.json, in the form in which
llama.cpp runs them. They run here on the `regex` module of PyPI, an engine of its own:
    pip install regex && python pretokens.py
Each expression cuts the pieces that the one before it left; matches and the gaps between them are
pieces.
"""
import json
import regex

ANY_CASE = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
LLAMA3 = ANY_CASE + "|" + WORD + r"|\p{N}{1,3}|" + SYMBOLS + SPACES
QWEN2 = ANY_CASE + "|" + WORD + r"|\p{N}|" + SYMBOLS + SPACES
CASED = (
    r"[^\r\n\p{L}\p{N}]?(?:(?=[%s])[^a-z])*(?:(?=[%s])[^A-Z])+%s"
    r"|[^\r\n\p{L}\p{N}]?(?:(?=[%s])[^a-z])+(?:(?=[%s])[^A-Z])*%s"
)
L, LM = r"\p{L}", r"\p{L}\p{M}"
SLASHES = r" ?[^\s\p{L}\p{N}]+[\r\n/]*"
DEEPSEEK3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*" + SPACES
)
HAN_KANA = r"[一-龥぀-ゟ゠-ヿ]+"
HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
CASELESS = r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+%s?" % ANY_CASE
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
LINES = r"[^\n]+|[\n]+"
# llama.cpp matches explicit ranges on a text in which white space outside ASCII is a control
# character, so ranges do not contain it.
CJK = r"[[一-龥ࠀ-一가-퟿]--\s]+"

# Keyed by one name of the row.
EXPRESSIONS = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "dbrx": [LLAMA3],
    "glm4": [LLAMA3],
    "jais-2": [
        ANY_CASE + "|" + WORD + r"|\p{N}{1,3}|" + SYMBOLS + r"|\s*[\r\n]+"
        + "".join(r"|\s{%d}(?!\S)" % n for n in (512, 256, 128, 64, 32, 16, 8, 4))
        + r"|\s{1,2}(?!\S)|\s{1}"
    ],
    "qwen2": [QWEN2],
    "qwen35": [
        ANY_CASE + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACES
    ],
    "laguna": [LINES, QWEN2],
    "ufakzeka": [WORD + r"|\p{N}|" + SYMBOLS + SPACES],
    "seed-coder": [ANY_CASE + "|" + WORD + r"|\p{N}| ?[^\s\p{L}\p{N}\r\n]+" + SPACES],
    "minicpm5": [r"\p{N}{1,3}", ANY_CASE + "|" + WORD + r"|\p{N}+|" + SYMBOLS + SPACES],
    "exaone-moe": [
        ANY_CASE + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
    ],
    "tekken": [CASED % (L, L, "", L, L, "") + r"|\p{N}|" + SLASHES + SPACES],
    "gpt-4o": [
        CASED % (L, L, ANY_CASE + "?", L, L, ANY_CASE + "?") + r"|\p{N}{1,3}|" + SLASHES + SPACES
    ],
    "granite-embed-multi-97m": [
        CASED % (LM, LM, ANY_CASE + "?", LM, LM, ANY_CASE + "?") + r"|\p{N}{1,3}|" + SLASHES + SPACES
    ],
    "youtu": [
        r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + HAN_KANA,
        CASELESS + r"|\p{N}|" + SLASHES + SPACES,
    ],
    "kimi-k2": [
        r"[%s]+|[^\r\n\p{L}\p{N}]?(?:(?![%s])\p{L})+%s?|\p{N}{1,3}|" % (HAN, HAN, ANY_CASE)
        + SYMBOLS + SPACES
    ],
    "starcoder": [r"\p{N}", GPT2],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, r"[0-9][0-9][0-9]"],
    "deepseek-llm": [
        r"[\r\n]",
        # The letters with case; the published class lists them by range.
        r"\s?[\p{Lu}\p{Ll}&&[^ºªʔ\U0001d400-\U0001d7cb]]+",
        r"\s?[[!-/:-~！-／：-～‘-‟　-。]--\s]+",
        r"\s+$",
        CJK,
        r"\p{N}+",
    ],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", HAN_KANA, DEEPSEEK3],
    "spark2_5": [
        r"\p{N}{1,3}",
        HAN_KANA,
        DEEPSEEK3.split(r"| ?[\p{P}")[0] + r"| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+",
        r"\p{N}",
    ],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "gemma4": [LINES],
    # llama.cpp cuts digits into groups of three from the end of a run, and each group with what
    # stands before it; the expressions say so with a look ahead.
    "tiny_aya": [
        r"[^\p{N}]*\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))",
        CASELESS + r"|\p{N}{1,3}|" + SLASHES + SPACES,
    ],
    "afmoe": [
        r"[^\p{N}]*\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))",
        r"[一-鿿㐀-䶿\u8c48-\ufaff぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+",
        DEEPSEEK3,
    ],
}

TEXTS = [
    "Hello, world! It's 2024: we'll SEE y'all, don't they've I'M HE'LL.",
    " leading and trailing  ",
    "tabs\t\tand \t mixed \n\n\n  lines\r\n\r\n  end\n",
    "12 345 6789 3.14159 1,000,000 0x1F 1234567890 ½² ٣٤٥",
    "camelCase HTTPServer XMLHttpRequest iPhone ABC aB AbC éÉa ÀB CÉ",
    "fn main() { println!(\"{}\", x[0] != y->z); } // ok\n/* c */\n",
    "https://example.org/a/b?c=d&e=f#g ---===+++ ///\n\n!!!\r\n...",
    "你好，世界！我想在apple工作1314151天～ 漢字かなカナ",
    "한국어 문장입니다. 안녕!ㅋㅋ ㄅㄆㄇ",
    "Это не Игра. ΑΒΓ αβγ ÇĞİ ñ",
    "नमस्ते दुनिया। กำลัง ភាសា العربية، مرحبا؟",
    "😀🎉 👨‍👩‍👧 e\u0301a\u0308 \u0301x \u200b\u200by \ufeff",
    "a  b   c    d     e\u00a0f\u3000g \u2003h",
    " '  ' 's 'S'' 't't '''",
    "words joined by spaces 1 and 2\n\n\n \n \nx/y/\n/z",
    "x1y22z333w4444 1a 22b 333c 4444d #tag @name $1 $a _b",
    "。\n，\r\n！？ …—“引”‘用’：；",
    " " * 40 + "deep" + " " * 700 + "deeper" + "\n" * 9 + "\t" * 17,
    "",
    "\n",
    " ",
]


def split(expressions, text):
    pieces = [text]
    for expression in expressions:
        pattern = regex.compile(expression, regex.V1)
        cut = []
        for piece in pieces:
            at = 0
            for match in pattern.finditer(piece):
                cut += [piece[at : match.start()], match.group()]
                at = match.end()
            cut.append(piece[at:])
        pieces = [piece for piece in cut if piece]
    return pieces


with open("pretokens.json", "w", encoding="utf-8") as out:
    json.dump(
        {
            "texts": TEXTS,
            "pieces": {
                name: [[len(p.encode()) for p in split(e, t)] for t in TEXTS]
                for name, e in EXPRESSIONS.items()
            },
        },
        out,
        ensure_ascii=False,
        separators=(",", ":"),
    )
    out.write("\n")
