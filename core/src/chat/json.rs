//! JSON text as Python's `json.dumps` writes it.
//!
//! Chat models are trained on prompts rendered with Python, where `tojson` is `json.dumps(x,
//! ensure_ascii=False)` by default: a space after `,` and `:`, text outside ASCII as it is, nothing
//! escaped for HTML, floats as Python prints them. One byte off is another token, so the writer is
//! ours.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::container::{MAX_DEPTH, charge};

/// The widest `indent` that is accepted, in spaces.
const MAX_INDENT: usize = 64;

/// The options of `json.dumps` that chat templates use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonStyle {
    /// What one level of nesting is indented by; `None` writes everything on one line.
    pub(super) indent: Option<String>,
    /// Between two items.
    pub(super) item_separator: String,
    /// Between a key and its value.
    pub(super) key_separator: String,
    /// Whether text outside ASCII is written as `\uXXXX`.
    pub(super) ensure_ascii: bool,
    /// Whether keys are written in order of their text.
    pub(super) sort_keys: bool,
}

impl Default for JsonStyle {
    fn default() -> Self {
        Self {
            indent: None,
            item_separator: ", ".into(),
            key_separator: ": ".into(),
            ensure_ascii: false,
            sort_keys: false,
        }
    }
}

impl JsonStyle {
    /// Reads the arguments of the `tojson` filter: `ensure_ascii`, `indent`, `separators`,
    /// `sort_keys`.
    ///
    /// # Errors
    /// An unknown argument, an indent of more than 64 spaces, or separators that are not a pair of
    /// strings.
    pub(super) fn from_args(indent: Option<Value>, args: &Kwargs) -> Result<Self, Error> {
        let mut style = Self::default();
        let indent = match indent {
            Some(indent) => Some(indent),
            None => args.get("indent")?,
        };
        if let Some(indent) = indent.filter(|i| !i.is_none() && !i.is_undefined()) {
            let unit = match indent.as_str() {
                Some(text) => text.to_owned(),
                None => " ".repeat(usize::try_from(indent)?.min(MAX_INDENT + 1)),
            };
            if unit.len() > MAX_INDENT {
                return Err(invalid("indent is too wide"));
            }
            style.indent = Some(unit);
            style.item_separator = ",".into();
        }
        if let Some(pair) = args
            .get::<Option<Value>>("separators")?
            .filter(|p| !p.is_none())
        {
            let parts: Vec<Value> = pair.try_iter()?.collect();
            match parts.as_slice() {
                [item, key] => {
                    let part = |v: &Value| v.as_str().map(str::to_owned);
                    style.item_separator = part(item).ok_or_else(|| invalid("separators"))?;
                    style.key_separator = part(key).ok_or_else(|| invalid("separators"))?;
                }
                _ => return Err(invalid("separators")),
            }
        }
        style.ensure_ascii = args.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
        style.sort_keys = args.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
        args.assert_all_used()?;
        Ok(style)
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// A value JSON has no form for (undefined, a macro), or nesting deeper than [`MAX_DEPTH`].
    pub(super) fn write(&self, value: &Value) -> Result<String, Error> {
        let mut out = String::new();
        self.value(&mut out, value, 0)?;
        Ok(out)
    }

    fn value(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid("nesting is too deep"));
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => push_number(out, value),
            ValueKind::String => self.string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.checked();
                self.items(out, ('[', ']'), depth, items, |out, item| {
                    self.value(out, &item, depth + 1)
                })?;
            }
            ValueKind::Map => {
                let pairs = value.as_object().and_then(|o| o.try_iter_pairs());
                let mut pairs: Vec<(Value, Value)> = pairs.into_iter().flatten().collect();
                if self.sort_keys {
                    pairs.sort_by(|a, b| a.0.cmp(&b.0));
                }
                let pairs = pairs.into_iter().map(Ok);
                self.items(out, ('{', '}'), depth, pairs, |out, (key, value)| {
                    self.key(out, &key)?;
                    out.push_str(&self.key_separator);
                    self.value(out, &value, depth + 1)
                })?;
            }
            kind => return Err(invalid(&format!("{kind} has no JSON form"))),
        }
        Ok(())
    }

    fn items<T>(
        &self,
        out: &mut String,
        (open, close): (char, char),
        depth: usize,
        items: impl Iterator<Item = Result<T, Error>>,
        mut write: impl FnMut(&mut String, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(open);
        let mut any = false;
        for item in items {
            let before = out.len();
            if any {
                out.push_str(&self.item_separator);
            }
            any = true;
            self.new_line(out, depth + 1);
            // Layout is not in the cost of the items.
            charge((out.len() - before) as u64);
            write(out, item?)?;
        }
        if any {
            self.new_line(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(unit) = &self.indent {
            out.push('\n');
            for _ in 0..depth {
                out.push_str(unit);
            }
        }
    }

    /// Keys that are not text are written as text, as Python does.
    fn key(&self, out: &mut String, key: &Value) -> Result<(), Error> {
        if let Some(text) = key.as_str() {
            self.string(out, text);
            return Ok(());
        }
        if !matches!(
            key.kind(),
            ValueKind::None | ValueKind::Bool | ValueKind::Number
        ) {
            return Err(invalid(&format!("{} cannot be a JSON key", key.kind())));
        }
        out.push('"');
        self.value(out, key, 0)?;
        out.push('"');
        Ok(())
    }

    fn string(&self, out: &mut String, text: &str) {
        charge(text.len() as u64);
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || (self.ensure_ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        // Writing to a String cannot fail.
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}"))
}

fn push_number(out: &mut String, value: &Value) {
    match python_number(value) {
        // Where `str` says `nan`, JSON as Python writes it says `NaN`.
        Some(text) => out.push_str(match text.as_str() {
            "nan" => "NaN",
            "inf" => "Infinity",
            "-inf" => "-Infinity",
            text => text,
        }),
        None => {
            let _ = write!(out, "{value}");
        }
    }
}

/// What Python's `str` makes of a float; `None` for everything else, which the engine prints as
/// Python does.
pub(super) fn python_number(value: &Value) -> Option<String> {
    if value.kind() != ValueKind::Number || value.is_integer() {
        return None;
    }
    f64::try_from(value.clone()).ok().map(python_float)
}

/// A float as Python's `repr` prints it: the shortest digits that read back to the same number, in
/// scientific notation below 1e-4 and from 1e16 on.
fn python_float(x: f64) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf" } else { "-inf" }.into();
    }
    // Rust prints the same shortest digits; only the layout differs.
    let scientific = format!("{x:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if x != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{x}");
    if plain.contains('.') {
        plain
    } else {
        plain + ".0"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        // The right column is `repr(x)` of CPython 3.11.
        for (x, repr) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(python_float(x), repr);
        }
    }
}
