//! The functions, filters and methods a chat template can call.
//!
//! The set is what Hugging Face's renderer offers, less what no chat template uses and what would
//! let a template do unbounded work: filters that build lists return metered ones, methods whose
//! result can be far larger than their input are paid for before they run.

use std::borrow::Cow;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, escape_formatter, filters, functions};

use super::container::{Dict, List, bind, charge_items, hold};
use super::engine::BYTES_PER_FUEL;
use super::json::{JsonStyle, python_number};
use super::source;

/// The widest field `str.format` may pad to, as a number of digits.
const MAX_FORMAT_DIGITS: usize = 4;

/// Built-in filters and functions that build nested lists or describe the engine's state; no chat
/// template of the test corpus uses one.
const REMOVED_FILTERS: &[&str] = &[
    "batch", "chain", "groupby", "lines", "pprint", "slice", "zip",
];

/// Adds everything to `env`.
pub(super) fn install(env: &mut Environment<'static>) {
    for name in REMOVED_FILTERS {
        env.remove_filter(name);
    }
    env.remove_global("debug");
    install_containers(env);
    install_filters(env);
    // Python's notions: text and maps are sequences, and `none` cannot be iterated.
    env.add_test("sequence", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), Seq | Iterable | Map | String | Undefined)
    });
    env.add_test("iterable", |value: &Value| {
        !value.is_none() && value.try_iter().is_ok()
    });
    env.set_formatter(|out, state, value| match python_number(value) {
        Some(text) => Ok(out.write_str(&text)?),
        None => escape_formatter(out, state, value),
    });
    env.add_function("raise_exception", |message: Cow<'_, str>| {
        Err::<Value, _>(Error::new(
            ErrorKind::InvalidOperation,
            message.into_owned(),
        ))
    });
    env.set_unknown_method_callback(call_method);
}

/// What the prepared source calls for its literals, and the functions that build containers.
fn install_containers(env: &mut Environment<'static>) {
    env.add_function(source::LIST, |items: Rest<Value>| {
        List::value(hold_all(items.0)?)
    });
    env.add_function(source::TUPLE, |items: Rest<Value>| {
        List::tuple(hold_all(items.0)?)
    });
    env.add_function(source::DICT, |items: Rest<Value>| {
        let mut pairs = Vec::with_capacity(items.len() / 2);
        let mut items = items.0.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            pairs.push((key, hold(value)?));
        }
        Dict::value(pairs)
    });
    env.add_filter(source::HOLD, hold);
    env.add_filter(source::BIND, bind);
    env.add_function(
        "range",
        |from: isize, to: Option<isize>, step: Option<isize>| {
            hold(functions::range(from, to, step)?)
        },
    );
    env.add_function("dict", |value: Option<Value>, more: Kwargs| {
        hold(functions::dict(value, more)?)
    });
    env.add_function("namespace", |value: Option<Value>, fields: Kwargs| {
        // Held values keep a namespace out of other namespaces, so none can come to contain itself.
        let fields = hold(functions::dict(value, fields)?)?;
        functions::namespace(Some(ValueOrKwargs::from(fields)))
    });
}

fn hold_all(items: Vec<Value>) -> Result<Vec<Value>, Error> {
    items.into_iter().map(hold).collect()
}

fn install_filters(env: &mut Environment<'static>) {
    env.add_filter(
        "tojson",
        |value: &Value, indent: Option<Value>, args: Kwargs| {
            JsonStyle::from_args(indent, &args)?.write(value)
        },
    );
    env.add_filter(
        "string",
        |state: &State, value: &Value| match python_number(value) {
            Some(text) => Ok(Value::from(text)),
            None => filters::string(state, value),
        },
    );
    env.add_filter("list", |state: &State, value: Value| {
        hold(filters::list(state, value)?)
    });
    env.add_filter("items", |value: &Value| hold(filters::items(value)?));
    env.add_filter("dictsort", |value: &Value, args: Kwargs| {
        hold(filters::dictsort(value, args)?)
    });
    env.add_filter("reverse", |value: &Value| hold(filters::reverse(value)?));
    env.add_filter("sort", |state: &State, value: Value, args: Kwargs| {
        hold(filters::sort(state, value, args)?)
    });
    env.add_filter("unique", |state: &State, value: Value, args: Kwargs| {
        hold(filters::unique(state, value, args)?)
    });
    env.add_filter(
        "split",
        |value: &Value, separator: Option<Cow<'_, str>>, limit: Option<i64>| {
            split(value, separator.as_deref(), limit)
        },
    );
    env.add_filter(
        "map",
        |state: &mut State, value: Value, args: Rest<ValueOrKwargs>| {
            List::value(hold_all(filters::map(state, value, args)?)?)
        },
    );
    type Test<'a> = Option<Cow<'a, str>>;
    env.add_filter(
        "select",
        |state: &mut State, value: Value, test: Test<'_>, args: Rest<ValueOrKwargs>| {
            List::value(hold_all(filters::select(state, value, test, args)?)?)
        },
    );
    env.add_filter(
        "reject",
        |state: &mut State, value: Value, test: Test<'_>, args: Rest<ValueOrKwargs>| {
            List::value(hold_all(filters::reject(state, value, test, args)?)?)
        },
    );
    env.add_filter(
        "selectattr",
        |state: &mut State,
         value: Value,
         attribute: Cow<'_, str>,
         test: Test<'_>,
         args: Rest<ValueOrKwargs>| {
            List::value(hold_all(filters::selectattr(
                state, value, attribute, test, args,
            )?)?)
        },
    );
    env.add_filter(
        "rejectattr",
        |state: &mut State,
         value: Value,
         attribute: Cow<'_, str>,
         test: Test<'_>,
         args: Rest<ValueOrKwargs>| {
            List::value(hold_all(filters::rejectattr(
                state, value, attribute, test, args,
            )?)?)
        },
    );
}

fn split(value: &Value, separator: Option<&str>, limit: Option<i64>) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    let pieces = match separator {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(separator) => text.matches(separator).count() + 1,
        None => text.split_whitespace().count(),
    };
    charge_items(match limit {
        Some(limit @ 0..) => pieces.min(limit as usize + 1),
        _ => pieces,
    });
    hold(filters::split(value, separator.map(Into::into), limit)?)
}

/// Methods of Python's `str`, `dict` and `list`.
fn call_method(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let text_arg = |i: usize| args.get(i).and_then(Value::as_str);
    // The engine charges for the text a method is called on, not for the texts it is given.
    let given: usize = args.iter().filter_map(Value::as_str).map(str::len).sum();
    state.consume_fuel(given as u64 / BYTES_PER_FUEL)?;
    if let Some(text) = value.as_str() {
        match (method, args) {
            ("split", [] | [_] | [_, _]) => {
                let limit = args
                    .get(1)
                    .map(|limit| i64::try_from(limit.clone()))
                    .transpose()?;
                return split(value, text_arg(0), limit);
            }
            ("splitlines", _) => charge_items(text.lines().count()),
            ("replace", _) => {
                if let (Some(from), Some(to)) = (text_arg(0), text_arg(1)) {
                    let growth = to.len().saturating_sub(from.len()) as u64;
                    let size = growth.saturating_mul(text.matches(from).count() as u64);
                    state.consume_fuel(size / BYTES_PER_FUEL)?;
                }
            }
            ("join", [items]) => return join(state, text, items),
            ("format", _) => check_format(text)?,
            ("removeprefix", [_]) => {
                let prefix = text_arg(0).unwrap_or_default();
                return Ok(text.strip_prefix(prefix).unwrap_or(text).into());
            }
            ("removesuffix", [_]) => {
                let suffix = text_arg(0).unwrap_or_default();
                return Ok(text.strip_suffix(suffix).unwrap_or(text).into());
            }
            _ => {}
        }
    }
    let result = minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)?;
    match result.kind() {
        // `split` and the like return engine lists; views of a map stay lazy and are metered by the
        // map.
        ValueKind::Seq => hold(result),
        _ => Ok(result),
    }
}

/// `separator.join(items)`, paid for as it grows.
fn join(state: &State, separator: &str, items: &Value) -> Result<Value, Error> {
    let mut out = String::new();
    for (i, item) in items.try_iter()?.checked().enumerate() {
        let item = item?;
        let Some(text) = item.as_str() else {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("join: expected strings, found {}", item.kind()),
            ));
        };
        let separator = if i == 0 { "" } else { separator };
        state.consume_fuel(1 + (separator.len() + text.len()) as u64 / BYTES_PER_FUEL)?;
        out.push_str(separator);
        out.push_str(text);
    }
    Ok(out.into())
}

/// Refuses format strings that pad to a large width or compute a width (`{:{w}}`).
fn check_format(format: &str) -> Result<(), Error> {
    let refuse = |what| {
        Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("format: {what}"),
        ))
    };
    let mut digits = 0;
    let mut in_field = false;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' if !in_field && chars.next_if_eq(&'{').is_some() => {}
            '{' if in_field => return refuse("nested fields are not supported"),
            '{' => in_field = true,
            '}' => in_field = false,
            _ => {}
        }
        digits = if in_field && c.is_ascii_digit() {
            digits + 1
        } else {
            0
        };
        if digits > MAX_FORMAT_DIGITS {
            return refuse("the field is too wide");
        }
    }
    Ok(())
}
