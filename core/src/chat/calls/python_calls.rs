//! Calls written as Python: `f(a=1, b="x")`, `[f(a=1), g()]`, `print(f(a=1))`, one or several.
//! Arguments are literals with names.

use serde_json::{Map, Number, Value};

use super::{Reading, WrittenCall};

/// How deeply lists and dictionaries may nest.
const MAX_DEPTH: usize = 32;

/// Reads text that is marked as calls: whatever is not Python calls is a mistake.
pub(super) fn read<'a>(body: &'a str, _: &[String]) -> Reading<'a> {
    let mut reader = Reader { text: body, at: 0 };
    let calls = match reader.calls() {
        Ok(calls) => calls,
        Err(reason) => vec![WrittenCall::unreadable(
            body,
            format_args!("{reason}, at byte {}", reader.at),
        )],
    };
    Reading::Calls { calls, rest: "" }
}

type Read<T> = Result<T, &'static str>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn calls(&mut self) -> Read<Vec<WrittenCall>> {
        let mut calls = Vec::new();
        loop {
            self.skip(&[',', ';', '[', ']']);
            if self.peek().is_none() {
                break;
            }
            calls.push(self.call()?);
        }
        match calls.is_empty() {
            true => Err("there is no call in it"),
            false => Ok(calls),
        }
    }

    /// `name(key=value, …)`, inside `print(…)` or not, assigned to a variable or not.
    fn call(&mut self) -> Read<WrittenCall> {
        let mut name = self.name()?;
        self.skip(&[]);
        if self.take('=') {
            self.skip(&[]);
            name = self.name()?;
        }
        let mut printed = false;
        self.skip(&[]);
        self.expect('(')?;
        if name == "print" {
            printed = true;
            self.skip(&[]);
            name = self.name()?;
            self.skip(&[]);
            self.expect('(')?;
        }
        // Llama's built-in tools are objects with a method.
        let name = name.strip_suffix(".call").unwrap_or(&name).to_owned();
        let mut arguments = Map::new();
        loop {
            self.skip(&[',']);
            if self.take(')') {
                break;
            }
            let key = self.name().map_err(|_| "arguments need names: key=value")?;
            self.skip(&[]);
            self.expect('=')
                .map_err(|_| "arguments need names: key=value")?;
            let value = self.value(0)?;
            arguments.insert(key, value);
            self.skip(&[]);
            if !matches!(self.peek(), Some(',' | ')')) {
                return Err("expected , or )");
            }
        }
        self.skip(&[]);
        if printed {
            self.expect(')')?;
        }
        Ok(WrittenCall {
            id: None,
            name,
            arguments: Value::Object(arguments),
            mistake: None,
        })
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > MAX_DEPTH {
            return Err("the arguments nest too deeply");
        }
        self.skip(&[]);
        match self.peek().ok_or("it ends inside the arguments")? {
            '"' | '\'' => Ok(Value::String(self.string()?)),
            '[' => Ok(Value::Array(self.items('[', ']', depth)?)),
            '(' => Ok(Value::Array(self.items('(', ')', depth)?)),
            '{' => self.dictionary(depth),
            c if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            _ => match self.name()?.as_str() {
                "True" | "true" => Ok(Value::Bool(true)),
                "False" | "false" => Ok(Value::Bool(false)),
                "None" | "null" => Ok(Value::Null),
                _ => Err("an argument is neither text, number, list nor dictionary"),
            },
        }
    }

    fn items(&mut self, open: char, close: char, depth: usize) -> Read<Vec<Value>> {
        self.expect(open)?;
        let mut items = Vec::new();
        loop {
            self.skip(&[',']);
            if self.take(close) {
                return Ok(items);
            }
            items.push(self.value(depth + 1)?);
        }
    }

    fn dictionary(&mut self, depth: usize) -> Read<Value> {
        self.expect('{')?;
        let mut fields = Map::new();
        loop {
            self.skip(&[',']);
            if self.take('}') {
                return Ok(Value::Object(fields));
            }
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            self.skip(&[]);
            self.expect(':')?;
            fields.insert(key, self.value(depth + 1)?);
        }
    }

    fn number(&mut self) -> Read<Value> {
        let text = self.run(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
        let text = text.trim_start_matches('+').replace('_', "");
        let whole = text.parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| Number::from_f64(text.parse().ok()?));
        number.map(Value::Number).ok_or("not a number")
    }

    fn string(&mut self) -> Read<String> {
        let quote = self.next().ok_or("no string")?;
        let mut text = String::new();
        loop {
            match self.next().ok_or("a string is not closed")? {
                c if c == quote => return Ok(text),
                '\\' => match self.next().ok_or("a string is not closed")? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'u' => text.push(self.code_point()?),
                    '\n' => {}
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    c => text.extend(['\\', c]),
                },
                c => text.push(c),
            }
        }
    }

    fn code_point(&mut self) -> Read<char> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .ok_or("\\u needs four digits")?;
        let code = u32::from_str_radix(digits, 16).map_err(|_| "\\u needs four digits")?;
        self.at += 4;
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// A name with dots.
    fn name(&mut self) -> Read<String> {
        let name = self.run(|c| c.is_alphanumeric() || c == '_' || c == '.');
        match name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            true => Ok(name),
            false => Err("expected a name"),
        }
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let run: String = rest.chars().take_while(|c| belongs(*c)).collect();
        self.at += run.len();
        run
    }

    /// Skips white space, comments and `also`.
    fn skip(&mut self, also: &[char]) {
        while let Some(c) = self.peek() {
            if c == '#' {
                self.run(|c| c != '\n');
            } else if c.is_whitespace() || also.contains(&c) {
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn expect(&mut self, c: char) -> Read<()> {
        match self.take(c) {
            true => Ok(()),
            false => Err(match c {
                '(' => "expected (",
                ')' => "expected )",
                ':' => "expected :",
                _ => "expected =",
            }),
        }
    }
}
