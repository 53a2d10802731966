//! A calculator: arithmetic in double precision.

use std::sync::Arc;

use pocketlm::chat::ToolSpec;
use pocketlm::{FunctionTool, Tool};
use serde_json::json;

use super::text;

/// How deeply brackets and signs may nest.
const MAX_DEPTH: usize = 64;

/// Functions of one number.
const FUNCTIONS: &[(&str, fn(f64) -> f64)] = &[
    ("sqrt", f64::sqrt),
    ("abs", f64::abs),
    ("ln", f64::ln),
    ("log10", f64::log10),
    ("exp", f64::exp),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("floor", f64::floor),
    ("ceil", f64::ceil),
    ("round", f64::round),
];

const CONSTANTS: &[(&str, f64)] = &[("pi", std::f64::consts::PI), ("e", std::f64::consts::E)];

/// The tool.
pub fn tool() -> Arc<dyn Tool> {
    let names: Vec<&str> = FUNCTIONS.iter().map(|row| row.0).collect();
    let spec = ToolSpec::new(
        "calculator",
        "Computes an arithmetic expression and gives the exact result. Use it for any computation.",
        json!({
            "type": "object",
            "properties": {
                "expression": {
                    "type": "string",
                    "description": format!(
                        "Numbers, + - * / % ^ ( ), pi, e, and {}; for example (12.5 + 3) * sqrt(2)",
                        names.join(", ")
                    ),
                },
            },
            "required": ["expression"],
        }),
    );
    FunctionTool::shared(spec, |call, _| {
        let value = evaluate(text(call, "expression").unwrap_or_default())?;
        match value.is_finite() {
            true => Ok(value.to_string()),
            false => Err("the result is not a finite number".into()),
        }
    })
}

/// The value of an expression.
fn evaluate(expression: &str) -> Result<f64, String> {
    let mut reader = Reader {
        text: expression,
        at: 0,
        depth: 0,
    };
    let value = reader.sum()?;
    match reader.peek() {
        None => Ok(value),
        Some(c) => Err(format!("cannot read {c:?} at character {}", reader.at + 1)),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn sum(&mut self) -> Result<f64, String> {
        let mut value = self.product()?;
        loop {
            value = match self.take(&["+", "-"]) {
                Some("+") => value + self.product()?,
                Some(_) => value - self.product()?,
                None => return Ok(value),
            };
        }
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.signed()?;
        loop {
            value = match self.take(&["*", "×", "/", "÷", "%"]) {
                Some("*" | "×") => value * self.signed()?,
                Some("%") => value % self.signed()?,
                Some(_) => match self.signed()? {
                    0.0 => return Err("division by zero".into()),
                    divisor => value / divisor,
                },
                None => return Ok(value),
            };
        }
    }

    /// A sign binds weaker than a power: `-2^2` is -4.
    fn signed(&mut self) -> Result<f64, String> {
        self.deeper(|reader| match reader.take(&["-", "+"]) {
            Some("-") => Ok(-reader.signed()?),
            Some(_) => reader.signed(),
            None => reader.power(),
        })
    }

    /// Powers group to the right: `2^3^2` is 512.
    fn power(&mut self) -> Result<f64, String> {
        let base = self.atom()?;
        match self.take(&["**", "^"]) {
            Some(_) => Ok(base.powf(self.signed()?)),
            None => Ok(base),
        }
    }

    fn atom(&mut self) -> Result<f64, String> {
        if self.take(&["("]).is_some() {
            let value = self.sum()?;
            return match self.take(&[")"]) {
                Some(_) => Ok(value),
                None => Err("a bracket is not closed".into()),
            };
        }
        let word = self.word();
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return word.parse().map_err(|_| format!("{word} is not a number"));
        }
        if let Some((_, value)) = CONSTANTS.iter().find(|row| row.0 == word) {
            return Ok(*value);
        }
        match FUNCTIONS.iter().find(|row| row.0 == word) {
            Some((_, function)) => Ok(function(self.atom()?)),
            None if word.is_empty() => Err("a number is missing".into()),
            None => Err(format!("{word} is unknown")),
        }
    }

    /// A number, or a name.
    fn word(&mut self) -> String {
        self.skip();
        let mut word = String::new();
        let number = self
            .rest()
            .starts_with(|c: char| c.is_ascii_digit() || c == '.');
        for c in self.rest().chars() {
            let sign = number && matches!(c, '+' | '-') && word.ends_with(['e', 'E']);
            if !(c.is_ascii_alphanumeric() || c == '.' || sign) {
                break;
            }
            word.push(c);
        }
        self.at += word.len();
        word
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<f64, String>,
    ) -> Result<f64, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression nests too deeply".into());
        }
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.rest().chars().next()
    }

    fn take(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        self.skip();
        let found = signs.iter().find(|sign| self.rest().starts_with(**sign))?;
        // `2 ** 3` is a power, not a product.
        if *found == "*" && self.rest().starts_with("**") {
            return None;
        }
        self.at += found.len();
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::evaluate;

    #[test]
    fn arithmetic_is_right() {
        for (expression, value) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3 - -4", 13.0),
            ("-2^2", -4.0),
            ("2^3^2", 512.0),
            ("2 ** 3", 8.0),
            ("7 % 4 / 2", 1.5),
            ("sqrt(16) + abs(-1.5e1)", 19.0),
            ("6 × 7 ÷ 2", 21.0),
            ("cos(0) * pi", std::f64::consts::PI),
        ] {
            assert_eq!(evaluate(expression), Ok(value), "{expression}");
        }
    }

    #[test]
    fn what_is_not_arithmetic_is_an_error() {
        let deep = "(".repeat(100_000);
        for expression in [
            "",
            "1 +",
            "1 / 0",
            "(1",
            "2 apples",
            "system(1)",
            "1.2.3",
            &deep,
        ] {
            assert!(evaluate(expression).is_err(), "{expression:.20}");
        }
    }
}
