//! The clock: date and time in UTC.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pocketlm::chat::ToolSpec;
use pocketlm::{FunctionTool, Tool};
use serde_json::json;

const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// The tool.
pub fn tool() -> Arc<dyn Tool> {
    let spec = ToolSpec::new(
        "current_time",
        "The current date, time (UTC) and day of the week.",
        json!({"type": "object", "properties": {}}),
    );
    FunctionTool::shared(spec, |_, _| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|_| "the clock is before 1970".to_string())?;
        Ok(describe(now.as_secs()))
    })
}

/// `2026-11-24 16:38:15 UTC, Tuesday`.
fn describe(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let weekday = DAYS[(days % 7) as usize];
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC, {weekday}")
}

/// Year, month and day of a day since 1970-01-01 (Gregorian calendar), counting years from March on
/// so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn dates_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC, Thursday"),
            (951_782_399, "2000-02-28 23:59:59 UTC, Monday"),
            (951_782_400, "2000-02-29 00:00:00 UTC, Tuesday"),
            (1_709_251_200, "2024-03-01 00:00:00 UTC, Friday"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC, Monday"),
        ] {
            assert_eq!(describe(seconds), text);
        }
    }
}
