//! The pre-tokenizers of byte-level BPE vocabularies, keyed by `tokenizer.ggml.pre`.
//!
//! A pre-tokenizer cuts text into the pieces inside which merges happen. Each row below names the
//! GGUF values it answers to, the passes it makes (every pass cuts the pieces of the one before),
//! and what llama.cpp does differently for such a vocabulary.

use super::passes::{self, Pass};
use super::passes::{
    AFMOE_SCRIPTS, ALL_DIGITS, BLOOM, CJK, DEEPSEEK_CODER_PUNCTUATION, DEEPSEEK_CODER_WORDS,
    DEEPSEEK_PUNCTUATION, DEEPSEEK_WORDS, DEEPSEEK3, DEFAULT_PUNCTUATION, EACH_3_DIGITS,
    EACH_DIGIT, EACH_LINE_BREAK, EXAONE_MOE, FALCON_PUNCTUATION, GPT2, GPT4O, GRANITE_EMBED, JAIS2,
    KANA_AND_HAN, KIMI, LINES, LLAMA3, MINICPM5, QWEN2, QWEN35, SEED_CODER, SPACE_AT_END, SPARK,
    TEKKEN, THREE_ASCII_DIGITS, TINY_AYA, UFAKZEKA, YOUTU, YOUTU_SCRIPTS,
};

/// A row of the table.
#[derive(Debug)]
pub struct PreTokenizer {
    /// The values of `tokenizer.ggml.pre` that mean this row.
    pub names: &'static [&'static str],
    /// Whether a piece that is a token as it stands is that token, whatever the merges say.
    pub ignore_merges: bool,
    /// Whether a beginning-of-sequence token is added where the file does not say.
    pub add_bos: bool,
    /// Whether the vocabulary spells text as it is, with `▁` for a space and `<0x0A>` for a byte
    /// that no token spells, instead of in GPT-2's alphabet of 256 visible characters.
    pub plain_text: bool,
    pub(super) passes: &'static [Pass],
}

impl PreTokenizer {
    /// The row for a value of `tokenizer.ggml.pre`.
    pub fn named(name: &str) -> Option<&'static PreTokenizer> {
        PRETOKENIZERS.iter().find(|row| row.names.contains(&name))
    }

    /// The pieces of `text`, none of them empty; together they are `text`.
    pub fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut pieces = Vec::new();
        self.each_piece(text, &mut |piece| pieces.push(piece));
        pieces
    }

    /// Hands each piece of `text` to `emit`, in order. Takes time linear in `text`.
    pub(super) fn each_piece<'t>(&self, text: &'t str, emit: &mut dyn FnMut(&'t str)) {
        passes::run(self.passes, text, emit);
    }
}

/// A row with llama.cpp's defaults.
const fn row(names: &'static [&'static str], passes: &'static [Pass]) -> PreTokenizer {
    PreTokenizer {
        names,
        ignore_merges: false,
        add_bos: false,
        plain_text: false,
        passes,
    }
}

/// Every pre-tokenizer there is. A value of `tokenizer.ggml.pre` that no row names is an
/// unsupported model, because a wrong split degrades a model without any other sign.
pub static PRETOKENIZERS: &[PreTokenizer] = &[
    row(
        &["default"],
        &[DEFAULT_PUNCTUATION, GPT2, ALL_DIGITS, THREE_ASCII_DIGITS],
    ),
    row(
        &[
            "gpt-2",
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "roberta-bpe",
            "jina-es",
            "jina-de",
            "jina-v1-en",
            "jina-v2-es",
            "jina-v2-de",
            "jina-v2-code",
        ],
        &[GPT2],
    ),
    PreTokenizer {
        ignore_merges: true,
        add_bos: true,
        ..row(
            &[
                "llama-bpe",
                "llama3",
                "llama-v3",
                "falcon3",
                "falcon-h1",
                "pixtral",
                "midm-2.0",
                "lfm2",
                "jina-v5-nano",
            ],
            &[LLAMA3],
        )
    },
    row(&["dbrx", "smaug-bpe", "chatglm-bpe"], &[LLAMA3]),
    PreTokenizer {
        ignore_merges: true,
        ..row(&["glm4", "glm5"], &[LLAMA3])
    },
    row(&["jais-2"], &[JAIS2]),
    row(
        &[
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "megrez",
            "stablelm2",
            "hunyuan",
            "solar-open",
            "grok-2",
            "bailingmoe",
            "bailingmoe2",
            "llada-moe",
        ],
        &[QWEN2],
    ),
    row(&["qwen35"], &[QWEN35]),
    row(&["laguna"], &[LINES, QWEN2]),
    row(&["ufakzeka"], &[UFAKZEKA]),
    row(&["seed-coder"], &[SEED_CODER]),
    PreTokenizer {
        ignore_merges: true,
        ..row(&["minicpm5"], &[EACH_3_DIGITS, MINICPM5])
    },
    row(&["exaone-moe"], &[EXAONE_MOE]),
    PreTokenizer {
        ignore_merges: true,
        add_bos: true,
        ..row(&["tekken"], &[TEKKEN])
    },
    row(
        &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
        &[GPT4O],
    ),
    PreTokenizer {
        ignore_merges: true,
        ..row(&["granite-embed-multi-97m"], &[GRANITE_EMBED])
    },
    PreTokenizer {
        ignore_merges: true,
        ..row(&["youtu"], &[YOUTU_SCRIPTS, YOUTU])
    },
    row(&["tiny_aya", "cohere2moe"], &[Pass::DigitGroups, TINY_AYA]),
    row(&["kimi-k2"], &[KIMI]),
    row(
        &[
            "starcoder",
            "refact",
            "command-r",
            "smollm",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        &[EACH_DIGIT, GPT2],
    ),
    row(&["falcon"], &[FALCON_PUNCTUATION, GPT2, THREE_ASCII_DIGITS]),
    row(
        &["deepseek-llm"],
        &[
            EACH_LINE_BREAK,
            DEEPSEEK_WORDS,
            DEEPSEEK_PUNCTUATION,
            SPACE_AT_END,
            CJK,
            ALL_DIGITS,
        ],
    ),
    row(
        &["deepseek-coder"],
        &[
            EACH_LINE_BREAK,
            DEEPSEEK_CODER_WORDS,
            DEEPSEEK_CODER_PUNCTUATION,
            CJK,
            EACH_DIGIT,
        ],
    ),
    row(
        &["deepseek-v3", "hunyuan-dense", "hy_v4", "joyai-llm"],
        &[EACH_3_DIGITS, KANA_AND_HAN, DEEPSEEK3],
    ),
    row(
        &["spark2_5"],
        &[EACH_3_DIGITS, KANA_AND_HAN, SPARK, EACH_DIGIT],
    ),
    row(&["afmoe"], &[Pass::DigitGroups, AFMOE_SCRIPTS, DEEPSEEK3]),
    row(&["superbpe"], &[ALL_DIGITS, Pass::Thousands]),
    row(&["poro-chat", "bloom", "gpt3-finnish"], &[BLOOM]),
    row(&["viking"], &[BLOOM, EACH_DIGIT]),
    PreTokenizer {
        plain_text: true,
        add_bos: true,
        ..row(&["gemma4", "granite-embed-multi-311m"], &[LINES])
    },
];
