//! Character classes of the pre-tokenizers.
//!
//! The classes are Unicode general categories, frozen at Unicode 15.1: the version of llama.cpp's
//! tables. A character assigned later has no class at all, which is how an unassigned one behaves
//! in the regular expressions that models publish.

use std::sync::OnceLock;

/// `\p{L}`.
pub(super) const LETTER: u8 = 1;
/// `\p{N}`.
pub(super) const NUMBER: u8 = 1 << 1;
/// `\p{P}`.
pub(super) const PUNCTUATION: u8 = 1 << 2;
/// `\p{S}`.
pub(super) const SYMBOL: u8 = 1 << 3;
/// `\p{M}`.
pub(super) const MARK: u8 = 1 << 4;
/// `\s`: the White_Space property.
pub(super) const SPACE: u8 = 1 << 5;
/// `\p{C}` without the unassigned characters.
pub(super) const CONTROL: u8 = 1 << 6;

/// The bits and the expressions that define them.
const DEFINITIONS: [(u8, &str); 7] = [
    (LETTER, r"[\p{L}&&\p{age:15.1}]"),
    (NUMBER, r"[\p{N}&&\p{age:15.1}]"),
    (PUNCTUATION, r"[\p{P}&&\p{age:15.1}]"),
    (SYMBOL, r"[\p{S}&&\p{age:15.1}]"),
    (MARK, r"[\p{M}&&\p{age:15.1}]"),
    (SPACE, r"\s"),
    (CONTROL, r"[\p{Cc}\p{Cf}\p{Co}]"),
];

/// Code points in one block of the table.
const BLOCK: usize = 256;
/// Code points of Unicode.
const CODE_POINTS: usize = 0x11_0000;

/// A two-stage table from code point to class bits: equal blocks are stored once (about 80 KB).
pub(super) struct Classes {
    /// Block number of each run of 256 code points.
    index: Vec<u16>,
    blocks: Vec<[u8; BLOCK]>,
}

impl Classes {
    /// The table, built at the first call (about 2 ms).
    pub(super) fn get() -> &'static Classes {
        static TABLE: OnceLock<Classes> = OnceLock::new();
        TABLE.get_or_init(Classes::build)
    }

    /// The class bits of `c`; 0 for a character that is unassigned.
    #[inline]
    pub(super) fn of(&self, c: char) -> u8 {
        let code = c as usize;
        self.blocks[self.index[code / BLOCK] as usize][code % BLOCK]
    }

    fn build() -> Classes {
        let mut flat = vec![0u8; CODE_POINTS];
        for (bit, expression) in DEFINITIONS {
            for (first, last) in ranges(expression) {
                for bits in &mut flat[first as usize..=last as usize] {
                    *bits |= bit;
                }
            }
        }
        let mut index = Vec::with_capacity(CODE_POINTS / BLOCK);
        let mut blocks: Vec<[u8; BLOCK]> = Vec::new();
        for block in flat.as_chunks::<BLOCK>().0 {
            // Neighbours repeat (unassigned planes, ideographs), so look back from the newest.
            let known = blocks.iter().rposition(|b| b == block);
            let number = known.unwrap_or_else(|| {
                blocks.push(*block);
                blocks.len() - 1
            });
            index.push(number as u16);
        }
        Classes { index, blocks }
    }
}

/// The ranges of a character class expression.
fn ranges(expression: &str) -> Vec<(char, char)> {
    let hir = regex_syntax::parse(expression).expect("a constant expression parses");
    match hir.into_kind() {
        regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            class.iter().map(|r| (r.start(), r.end())).collect()
        }
        other => unreachable!("not a character class: {other:?}"),
    }
}

/// A set of characters: classes and ranges, minus exceptions, or the complement of that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    classes: u8,
    ranges: &'static [(char, char)],
    except: &'static [(char, char)],
    negated: bool,
}

impl Set {
    /// No character.
    pub(super) const EMPTY: Set = Set::of(0);

    /// The characters with one of the class bits.
    pub(super) const fn of(classes: u8) -> Set {
        Set {
            classes,
            ranges: &[],
            except: &[],
            negated: false,
        }
    }

    /// The characters in `ranges`, which are inclusive, sorted and disjoint.
    ///
    /// White space outside ASCII is in no range: llama.cpp maps it to a control character before
    /// it matches explicit ranges, so `[\u{2000}-\u{2fff}]` does not contain U+2003 there.
    pub(super) const fn ranges(ranges: &'static [(char, char)]) -> Set {
        Set::of(0).with(ranges)
    }

    /// This set and the characters in `ranges`.
    pub(super) const fn with(self, ranges: &'static [(char, char)]) -> Set {
        Set { ranges, ..self }
    }

    /// This set without the characters in `except`.
    pub(super) const fn without(self, except: &'static [(char, char)]) -> Set {
        Set { except, ..self }
    }

    /// The complement.
    pub(super) const fn not(self) -> Set {
        Set {
            negated: !self.negated,
            ..self
        }
    }

    /// Whether `c`, of class bits `class`, is in the set.
    #[inline]
    pub(super) fn contains(&self, c: char, class: u8) -> bool {
        let inside = (class & self.classes != 0
            || (within(self.ranges, c) && (c.is_ascii() || class & SPACE == 0)))
            && !within(self.except, c);
        inside != self.negated
    }

    /// Whether the ranges are sorted and disjoint, as the search needs them.
    #[cfg(test)]
    pub(super) fn is_sorted(&self) -> bool {
        [self.ranges, self.except]
            .iter()
            .all(|r| r.iter().all(|x| x.0 <= x.1) && r.windows(2).all(|w| w[0].1 < w[1].0))
    }
}

/// Whether `c` lies in one of the sorted `ranges`.
#[inline]
fn within(ranges: &[(char, char)], c: char) -> bool {
    if ranges.is_empty() {
        return false;
    }
    let after = ranges.partition_point(|r| r.0 <= c);
    after > 0 && c <= ranges[after - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_follow_the_general_category() {
        let t = Classes::get();
        for (c, bits) in [
            ('a', LETTER),
            ('7', NUMBER),
            ('½', NUMBER),
            ('!', PUNCTUATION),
            ('$', SYMBOL),
            ('\u{301}', MARK),
            (' ', SPACE),
            ('\n', SPACE | CONTROL),
            ('\u{85}', SPACE | CONTROL),
            ('\u{3000}', SPACE),
            ('\u{200b}', CONTROL),
            ('\u{2ebf0}', LETTER), // assigned in 15.1
            ('\u{1c89}', 0),       // assigned in 16.0
            ('\u{378}', 0),        // unassigned
            ('\u{10ffff}', 0),
        ] {
            assert_eq!(t.of(c), bits, "{c:?}");
        }
    }

    #[test]
    fn explicit_ranges_skip_wide_space() {
        let t = Classes::get();
        let set = Set::ranges(&[('\t', ' '), ('\u{2000}', '\u{3fff}')]);
        for (c, inside) in [
            (' ', true),
            ('\u{3001}', true),
            ('\u{3000}', false),
            ('!', false),
        ] {
            assert_eq!(set.contains(c, t.of(c)), inside, "{c:?}");
            assert_eq!(set.not().contains(c, t.of(c)), !inside, "{c:?}");
        }
    }
}
