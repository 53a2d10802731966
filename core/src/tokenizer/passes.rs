//! The passes of the pre-tokenizers, each a regular expression written as rules.
//!
//! The expression that a pass stands for is quoted beside it. Where llama.cpp runs another one than
//! the model's authors published, the quoted one is llama.cpp's, because the ids have to be the
//! same.

use super::classes::{LETTER, MARK, NUMBER, PUNCTUATION, SPACE, SYMBOL, Set};
use super::scan::{self, BEFORE_WORD, Rule, Run};

/// One cut through the text.
#[derive(Debug)]
pub(super) enum Pass {
    /// The alternatives of an expression, in order.
    Scan(&'static [Rule]),
    /// See [`scan::split_digit_groups`].
    DigitGroups,
    /// See [`scan::split_thousands`].
    Thousands,
}

/// Cuts `text` by the first pass, each piece by the next one, and hands what is left to `emit`.
pub(super) fn run<'t>(passes: &[Pass], text: &'t str, emit: &mut dyn FnMut(&'t str)) {
    let Some((pass, rest)) = passes.split_first() else {
        if !text.is_empty() {
            emit(text);
        }
        return;
    };
    let next = &mut |piece| run(rest, piece, emit);
    match pass {
        Pass::Scan(rules) => scan::split(rules, text, next),
        Pass::DigitGroups => scan::split_digit_groups(text, next),
        Pass::Thousands => scan::split_thousands(text, next),
    }
}

const SPACE_CHAR: Set = Set::ranges(&[(' ', ' ')]);
const LINE_BREAK: Set = Set::ranges(&[('\n', '\n'), ('\r', '\r')]);
const LINE_BREAK_OR_SLASH: Set = Set::ranges(&[('\n', '\n'), ('\r', '\r'), ('/', '/')]);
const ANY_SPACE: Set = Set::of(SPACE);
const LETTERS: Set = Set::of(LETTER);
const LETTERS_AND_MARKS: Set = Set::of(LETTER | MARK);
const ASCII_DIGITS: Set = Set::ranges(&[('0', '9')]);
/// `[^\s\p{L}\p{N}]`.
const SYMBOLS: Set = Set::of(SPACE | LETTER | NUMBER).not();
/// `[一-龥぀-ゟ゠-ヿ]`.
const HAN_AND_KANA: Set = Set::ranges(&[('\u{3040}', '\u{30ff}'), ('\u{4e00}', '\u{9fa5}')]);
/// `[一-龥ࠀ-一가-퟿]`.
const DEEPSEEK_CJK: Set = Set::ranges(&[('\u{800}', '\u{9fa5}'), ('\u{ac00}', '\u{d7ff}')]);
/// ``[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]``.
const ASCII_PUNCTUATION: Set = Set::ranges(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]);
/// The ranges in which Kimi's vocabulary keeps ideographs apart.
const HAN: &[(char, char)] = &[
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{f900}', '\u{faff}'),
    ('\u{20000}', '\u{2a6df}'),
    ('\u{2a700}', '\u{2ebef}'),
    ('\u{2f800}', '\u{2fa1f}'),
];

/// `'s|'t|'re|'ve|'m|'ll|'d`.
const CONTRACTION: Rule = Rule::Contraction { any_case: false };
/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)`.
const CONTRACTION_ANY_CASE: Rule = Rule::Contraction { any_case: true };
/// `[^\r\n\p{L}\p{N}]?\p{L}+`.
const WORD: Rule = Rule::Run(Run::of(LETTERS).lead(BEFORE_WORD));
/// `\p{N}`.
const DIGIT: Rule = Rule::Run(Run::of(Set::of(NUMBER)).count(1, 1));
/// `\p{N}{1,3}`.
const UP_TO_3_DIGITS: Rule = Rule::Run(Run::of(Set::of(NUMBER)).count(1, 3));
/// `\p{N}+`.
const DIGITS: Rule = Rule::Run(Run::of(Set::of(NUMBER)));
/// `[0-9][0-9][0-9]`.
const THREE_DIGITS: Rule = Rule::Run(Run::of(ASCII_DIGITS).count(3, 3));
/// ` ?[^\s\p{L}\p{N}]+[\r\n]*`.
const SYMBOLS_AND_BREAKS: Rule = Rule::Run(
    Run::of(SYMBOLS)
        .lead(SPACE_CHAR)
        .tail(LINE_BREAK, usize::MAX),
);
/// ` ?[^\s\p{L}\p{N}]+[\r\n/]*`.
const SYMBOLS_AND_BREAKS_OR_SLASHES: Rule = Rule::Run(
    Run::of(SYMBOLS)
        .lead(SPACE_CHAR)
        .tail(LINE_BREAK_OR_SLASH, usize::MAX),
);

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
pub(super) const GPT2: Pass = Pass::Scan(&[
    CONTRACTION,
    Rule::Run(Run::of(LETTERS).lead(SPACE_CHAR)),
    Rule::Run(Run::of(Set::of(NUMBER)).lead(SPACE_CHAR)),
    Rule::Run(Run::of(SYMBOLS).lead(SPACE_CHAR)),
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// `(?i:'s|…)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
pub(super) const LLAMA3: Pass = Pass::Scan(&[
    CONTRACTION_ANY_CASE,
    WORD,
    UP_TO_3_DIGITS,
    SYMBOLS_AND_BREAKS,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`LLAMA3`], with white space halved down: `\s{512}(?!\S)|\s{256}(?!\S)|…|\s`.
pub(super) const JAIS2: Pass = Pass::Scan(&[
    CONTRACTION_ANY_CASE,
    WORD,
    UP_TO_3_DIGITS,
    SYMBOLS_AND_BREAKS,
    Rule::LineBreaks,
    Rule::SpaceCascade,
]);
/// As [`LLAMA3`], with each digit alone: `\p{N}`.
pub(super) const QWEN2: Pass = Pass::Scan(&[
    CONTRACTION_ANY_CASE,
    WORD,
    DIGIT,
    SYMBOLS_AND_BREAKS,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`QWEN2`], with marks as letters: `[\p{L}\p{M}]+`, ` ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*`.
pub(super) const QWEN35: Pass = Pass::Scan(&[
    CONTRACTION_ANY_CASE,
    Rule::Run(Run::of(LETTERS_AND_MARKS).lead(BEFORE_WORD)),
    DIGIT,
    Rule::Run(
        Run::of(Set::of(SPACE | LETTER | MARK | NUMBER).not())
            .lead(SPACE_CHAR)
            .tail(LINE_BREAK, usize::MAX),
    ),
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`QWEN2`], without the contractions.
pub(super) const UFAKZEKA: Pass = Pass::Scan(&[
    WORD,
    DIGIT,
    SYMBOLS_AND_BREAKS,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`QWEN2`], with ` ?[^\s\p{L}\p{N}\r\n]+` for symbols.
pub(super) const SEED_CODER: Pass = Pass::Scan(&[
    CONTRACTION_ANY_CASE,
    WORD,
    DIGIT,
    Rule::Run(Run::of(SYMBOLS).lead(SPACE_CHAR)),
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`LLAMA3`], with `\p{N}+`.
pub(super) const MINICPM5: Pass = Pass::Scan(&[
    CONTRACTION_ANY_CASE,
    WORD,
    DIGITS,
    SYMBOLS_AND_BREAKS,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`QWEN2`], with phrases for words and ` ?[^\s\p{L}\p{N}]+[\r\n/]?` for symbols.
pub(super) const EXAONE_MOE: Pass = Pass::Scan(&[
    CONTRACTION_ANY_CASE,
    Rule::Phrase,
    DIGIT,
    Rule::Run(
        Run::of(SYMBOLS)
            .lead(SPACE_CHAR)
            .tail(LINE_BREAK_OR_SLASH, 1),
    ),
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// Words by case, then `\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
pub(super) const TEKKEN: Pass = Pass::Scan(&[
    Rule::Cased {
        marks: false,
        contraction: false,
    },
    DIGIT,
    SYMBOLS_AND_BREAKS_OR_SLASHES,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`TEKKEN`], with contractions after words and up to three digits.
pub(super) const GPT4O: Pass = Pass::Scan(&[
    Rule::Cased {
        marks: false,
        contraction: true,
    },
    UP_TO_3_DIGITS,
    SYMBOLS_AND_BREAKS_OR_SLASHES,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`GPT4O`], with marks as letters.
pub(super) const GRANITE_EMBED: Pass = Pass::Scan(&[
    Rule::Cased {
        marks: true,
        contraction: true,
    },
    UP_TO_3_DIGITS,
    SYMBOLS_AND_BREAKS_OR_SLASHES,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// `[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+` with an optional contraction.
const CASELESS_WORD: Rule = Rule::Run(Run {
    contraction: true,
    ..Run::of(LETTERS_AND_MARKS).lead(BEFORE_WORD)
});
/// Words of letters and marks with contractions, single digits.
pub(super) const YOUTU: Pass = Pass::Scan(&[
    CASELESS_WORD,
    DIGIT,
    SYMBOLS_AND_BREAKS_OR_SLASHES,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// As [`YOUTU`], with up to three digits.
pub(super) const TINY_AYA: Pass = Pass::Scan(&[
    CASELESS_WORD,
    UP_TO_3_DIGITS,
    SYMBOLS_AND_BREAKS_OR_SLASHES,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// `[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+`.
pub(super) const YOUTU_SCRIPTS: Pass = Pass::Scan(&[
    Rule::Run(Run::of(Set::ranges(&[
        ('\u{3131}', '\u{318e}'),
        ('\u{ac00}', '\u{d7a3}'),
    ]))),
    Rule::Run(Run::of(Set::ranges(&[
        ('—', '—'),
        ('‘', '’'),
        ('“', '”'),
        ('…', '…'),
        ('\u{3001}', '\u{303f}'),
        ('\u{fe30}', '\u{fe4f}'),
        ('！', '！'),
        ('，', '，'),
        ('：', '；'),
    ]))),
    Rule::Run(Run::of(Set::ranges(&[('\u{3105}', '\u{312f}')]))),
    Rule::Run(Run::of(HAN_AND_KANA)),
]);
/// A punctuation mark and ASCII letters, words of letters and marks, punctuation, white space:
/// ``[!"#…~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|…``.
pub(super) const DEEPSEEK3: Pass = Pass::Scan(&[
    DEEPSEEK3_MARKED_WORD,
    DEEPSEEK3_WORD,
    Rule::Run(
        Run::of(Set::of(PUNCTUATION | SYMBOL))
            .lead(SPACE_CHAR)
            .tail(LINE_BREAK, usize::MAX),
    ),
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
const DEEPSEEK3_MARKED_WORD: Rule = Rule::Run(Run {
    lead_required: true,
    ..Run::of(Set::ranges(&[('A', 'Z'), ('a', 'z')])).lead(ASCII_PUNCTUATION)
});
const DEEPSEEK3_WORD: Rule = Rule::Run(
    Run::of(LETTERS_AND_MARKS).lead(
        Set::of(LETTER | PUNCTUATION | SYMBOL)
            .with(&[('\n', '\n'), ('\r', '\r')])
            .not(),
    ),
);
/// As [`DEEPSEEK3`], with each line break alone: `…| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`.
pub(super) const SPARK: Pass = Pass::Scan(&[
    DEEPSEEK3_MARKED_WORD,
    DEEPSEEK3_WORD,
    Rule::Run(Run::of(Set::of(PUNCTUATION | SYMBOL)).lead(SPACE_CHAR)),
    Rule::Run(Run::of(LINE_BREAK).count(1, 1)),
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// `[\p{Han}]+`, words without ideographs, then as [`LLAMA3`].
pub(super) const KIMI: Pass = Pass::Scan(&[
    Rule::Run(Run::of(Set::ranges(HAN))),
    Rule::Run(Run {
        contraction: true,
        ..Run::of(LETTERS.without(HAN)).lead(BEFORE_WORD)
    }),
    UP_TO_3_DIGITS,
    SYMBOLS_AND_BREAKS,
    Rule::LineBreaks,
    Rule::SpaceBeforeLast,
    Rule::Space,
]);
/// The scripts that AFMoE's vocabulary keeps apart. llama.cpp's list has U+8C48 in place of the
/// compatibility ideograph U+F900, to which it is canonically equal, so its last range takes in
/// everything between ideographs and half-width kana.
pub(super) const AFMOE_SCRIPTS: Pass = Pass::Scan(&[Rule::Run(Run::of(Set::ranges(&[
    ('\u{e40}', '\u{e7f}'),
    ('\u{e80}', '\u{eff}'),
    ('\u{1000}', '\u{109f}'),
    ('\u{1100}', '\u{11ff}'),
    ('\u{1780}', '\u{17ff}'),
    ('\u{2f00}', '\u{2fdf}'),
    ('\u{3040}', '\u{30ff}'),
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{faff}'),
    ('\u{ff65}', '\u{ff9f}'),
])))]);
/// `[^\n]+|[\n]+`.
pub(super) const LINES: Pass = Pass::Scan(&[
    Rule::Run(Run::of(Set::ranges(&[('\n', '\n')]).not())),
    Rule::Run(Run::of(Set::ranges(&[('\n', '\n')]))),
]);
/// ` ?[^(\s|.,!?…。，、।۔،)]+`.
pub(super) const BLOOM: Pass = Pass::Scan(&[Rule::Run(
    Run::of(
        Set::of(SPACE)
            .with(&[
                ('!', '!'),
                ('(', ')'),
                (',', ','),
                ('.', '.'),
                ('?', '?'),
                ('|', '|'),
                ('\u{60c}', '\u{60c}'),
                ('\u{6d4}', '\u{6d4}'),
                ('\u{964}', '\u{964}'),
                ('…', '…'),
                ('、', '。'),
                ('，', '，'),
            ])
            .not(),
    )
    .lead(SPACE_CHAR),
)]);
/// `[\r\n]`.
pub(super) const EACH_LINE_BREAK: Pass = Pass::Scan(&[Rule::Run(Run::of(LINE_BREAK).count(1, 1))]);
/// `\p{N}`.
pub(super) const EACH_DIGIT: Pass = Pass::Scan(&[DIGIT]);
/// `\p{N}{1,3}`.
pub(super) const EACH_3_DIGITS: Pass = Pass::Scan(&[UP_TO_3_DIGITS]);
/// `\p{N}+`.
pub(super) const ALL_DIGITS: Pass = Pass::Scan(&[DIGITS]);
/// `[0-9][0-9][0-9]`.
pub(super) const THREE_ASCII_DIGITS: Pass = Pass::Scan(&[THREE_DIGITS]);
pub(super) const KANA_AND_HAN: Pass = Pass::Scan(&[Rule::Run(Run::of(HAN_AND_KANA))]);
pub(super) const CJK: Pass = Pass::Scan(&[Rule::Run(Run::of(DEEPSEEK_CJK))]);
/// ``[\p{P}\$\+<=>\^~\|`]+``.
pub(super) const FALCON_PUNCTUATION: Pass =
    Pass::Scan(&[Rule::Run(Run::of(Set::of(PUNCTUATION).with(&[
        ('$', '$'),
        ('+', '+'),
        ('<', '>'),
        ('^', '^'),
        ('`', '`'),
        ('|', '|'),
        ('~', '~'),
    ])))]);
/// `[\p{P}\$\+<=>\^~\|]+`.
pub(super) const DEFAULT_PUNCTUATION: Pass =
    Pass::Scan(&[Rule::Run(Run::of(Set::of(PUNCTUATION).with(&[
        ('$', '$'),
        ('+', '+'),
        ('<', '>'),
        ('^', '^'),
        ('|', '|'),
        ('~', '~'),
    ])))]);
/// `\s?\p{L}+`.
pub(super) const DEEPSEEK_CODER_WORDS: Pass =
    Pass::Scan(&[Rule::Run(Run::of(LETTERS).lead(ANY_SPACE))]);
/// `\s?\p{P}+`.
pub(super) const DEEPSEEK_CODER_PUNCTUATION: Pass =
    Pass::Scan(&[Rule::Run(Run::of(Set::of(PUNCTUATION)).lead(ANY_SPACE))]);
/// `\s?[A-Za-zµÀ-Ö…]+`.
pub(super) const DEEPSEEK_WORDS: Pass = Pass::Scan(&[Rule::Run(
    Run::of(Set::ranges(super::deepseek::CASED_LETTERS)).lead(ANY_SPACE),
)]);
/// `\s?[!-/:-~！-／：-～‘-‟　-。]+`.
pub(super) const DEEPSEEK_PUNCTUATION: Pass = Pass::Scan(&[Rule::Run(
    Run::of(Set::ranges(&[
        ('!', '/'),
        (':', '~'),
        ('‘', '‟'),
        ('\u{3000}', '\u{3002}'),
        ('！', '／'),
        ('：', '～'),
    ]))
    .lead(ANY_SPACE),
)]);
/// `\s+$`.
pub(super) const SPACE_AT_END: Pass = Pass::Scan(&[Rule::SpaceAtEnd]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::PRETOKENIZERS;

    #[test]
    fn ranges_are_sorted() {
        let mut sets = 0;
        for pass in PRETOKENIZERS.iter().flat_map(|row| row.passes) {
            let Pass::Scan(rules) = pass else { continue };
            for rule in *rules {
                if let Rule::Run(run) = rule {
                    for set in [run.lead, run.body, run.tail] {
                        assert!(set.is_sorted(), "{set:?}");
                        sets += 1;
                    }
                }
            }
        }
        assert!(sets > 100);
    }
}
