//! `strftime` for `strftime_now`, the one date function chat templates call.
//!
//! Time is UTC: the standard library knows no time zones, and a template must not open files to
//! learn one.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// The largest time that is formatted: the last second of the year 9999.
const MAX_SECONDS: u64 = 253_402_300_799;

/// Seconds since 1970-01-01 00:00 UTC, now.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

/// Formats the time `seconds` after 1970-01-01 00:00 UTC by the C conversions in `format`, in the C
/// locale. A conversion that is not known is copied as it stands.
pub fn strftime(seconds: u64, format: &str) -> String {
    let seconds = seconds.min(MAX_SECONDS);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let hour12 = (hour + 11) % 12 + 1;
    let month_name = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
    let weekday = WEEKDAYS
        .get((days % 7) as usize)
        .copied()
        .unwrap_or_default();

    let mut out = String::with_capacity(format.len() + 16);
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut conversion = rest.next();
        // glibc's `-` flag: no padding.
        let bare = conversion == Some('-');
        if bare {
            conversion = rest.next();
        }
        let mut number = |value: u64, width: usize| {
            let width = if bare { 1 } else { width };
            let _ = write!(out, "{value:0width$}");
        };
        match conversion {
            Some('Y') => number(year, 4),
            Some('y') => number(year % 100, 2),
            Some('m') => number(month, 2),
            Some('d') => number(day, 2),
            Some('H') => number(hour, 2),
            Some('I') => number(hour12, 2),
            Some('M') => number(minute, 2),
            Some('S') => number(second, 2),
            Some('j') => number(days - days_from_civil(year, 1, 1) + 1, 3),
            Some('e') => {
                let _ = write!(out, "{day:>2}");
            }
            Some('B') => out.push_str(month_name),
            Some('b' | 'h') => out.push_str(month_name.get(..3).unwrap_or(month_name)),
            Some('A') => out.push_str(weekday),
            Some('a') => out.push_str(weekday.get(..3).unwrap_or(weekday)),
            Some('p') => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            Some('F') => {
                let _ = write!(out, "{year:04}-{month:02}-{day:02}");
            }
            Some('T') => {
                let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
            }
            Some('Z') => out.push_str("UTC"),
            Some('z') => out.push_str("+0000"),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('%') => out.push('%'),
            Some(other) => {
                out.push('%');
                if bare {
                    out.push('-');
                }
                out.push(other);
            }
            None => out.push('%'),
        }
    }
    out
}

/// Year, month and day of the day `days` after 1970-01-01 (the 400-year cycle of the Gregorian
/// calendar counted from 1 March, so that the leap day is the last of its year).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil`].
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_c_does() {
        // From `date -u -d @N +FORMAT` (GNU coreutils).
        for (seconds, format, text) in [
            (0, "%Y-%m-%d %H:%M:%S %a %j", "1970-01-01 00:00:00 Thu 001"),
            (
                951_782_400,
                "%d %b %Y (%A), day %j",
                "29 Feb 2000 (Tuesday), day 060",
            ),
            (
                1_735_689_599,
                "%F %T %I%p %y %-j",
                "2024-12-31 23:59:59 11PM 24 366",
            ),
            (1_753_920_000, "%B %-d, %Y%% %e", "July 31, 2025% 31"),
            (1_754_006_400, "%e/%-d/%q", " 1/1/%q"),
        ] {
            assert_eq!(strftime(seconds, format), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut last = civil(0);
        for days in 1..146_097 {
            let (y, m, d) = civil(days);
            assert_eq!(days_from_civil(y, m, d), days);
            let next_day = (y, m) == (last.0, last.1) && d == last.2 + 1;
            assert!(
                next_day || d == 1,
                "day {days}: {last:?} -> {:?}",
                (y, m, d)
            );
            last = (y, m, d);
        }
    }
}
