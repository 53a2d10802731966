//! String formats of JSON Schema that can be enforced.

/// A format the engine knows, and what it must match besides the engine's own expression.
struct Format {
    name: &'static str,
    /// An expression in the sense of `pattern`; empty where the engine's is exact.
    also: &'static str,
}

const fn exact(name: &'static str) -> Format {
    Format { name, also: "" }
}

/// Days that exist, in the years from 1000 on: the engine's expression knows no leap years.
macro_rules! day {
    () => {
        concat!(
            "(?:[1-9][0-9]{3}-(?:(?:0[13-9]|1[0-2])-[0-9]{2}|02-(?:[01][0-9]|2[0-8]))|",
            "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|",
            "(?:[2468][048]|[13579][26])00)-02-29)"
        )
    };
}

/// A time without leap seconds, with no more than nanoseconds, in capitals: what the date types of
/// Java and Swift read.
macro_rules! time {
    () => {
        r"[0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
    };
}

/// Every format that is enforced. What an answer gets is a part of what the format allows, never
/// more.
const FORMATS: &[Format] = &[
    Format {
        name: "date",
        also: concat!("^", day!(), "$"),
    },
    Format {
        name: "time",
        also: concat!("^", time!(), "$"),
    },
    Format {
        name: "date-time",
        also: concat!("^", day!(), "T", time!(), "$"),
    },
    exact("duration"),
    Format {
        name: "email",
        also: r"^[^@]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}$",
    },
    Format {
        name: "hostname",
        also: r"^.{1,253}$",
    },
    exact("ipv4"),
    exact("ipv6"),
    exact("uuid"),
    exact("uri"),
];

/// What a string of the format `name` must match besides; `None` for a format that is not known.
pub(super) fn also(name: &str) -> Option<&'static str> {
    let row = FORMATS.iter().find(|row| row.name == name);
    row.map(|row| row.also)
}
