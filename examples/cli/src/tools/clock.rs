//! The clock: date and time in UTC.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pocketlm::chat::{ToolSpec, strftime};
use pocketlm::{FunctionTool, Tool};
use serde_json::json;

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
    strftime(seconds, "%F %T %Z, %A")
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
