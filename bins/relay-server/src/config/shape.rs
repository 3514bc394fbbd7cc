//! What the text of a variable stands for.

use figment::value::Value;

/// What the text of a variable stands for. Text that cannot stand for it is handed on as it is, and the
/// section refuses it.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text,
    Number,
    /// A number; 0 says nothing, because nothing could be served with it.
    NumberUnlessZero,
    /// true, 1, yes or on; false, 0, no or off. v1 and v2 each had conventions of their own.
    Switch,
    /// A number, or a switch for one or none.
    NumberOrSwitch,
    /// Milliseconds for a setting in seconds.
    MillisForSeconds,
    /// The same; 0 says nothing, because nothing could be served with it.
    MillisForSecondsUnlessZero,
    /// Minutes for a setting in seconds; 0 says nothing, as it did before.
    MinutesForSecondsUnlessZero,
    /// A switch between the log for people and the one for machines.
    PrettyOrJson,
}

impl Shape {
    /// Whether 0 counts as not set although somebody may have meant it.
    pub(super) fn passes_over_zero(self) -> bool {
        matches!(self, Self::NumberUnlessZero | Self::MillisForSecondsUnlessZero)
    }

    /// What `text` stands for; `None`: nothing.
    pub(super) fn read(self, text: &str) -> Option<Value> {
        let or_text = |value: Option<Value>| Some(value.unwrap_or_else(|| Value::from(text)));
        match self {
            Self::Text => or_text(None),
            Self::NumberUnlessZero | Self::MillisForSecondsUnlessZero if whole(text) == Some(0) => {
                None
            }
            Self::Number | Self::NumberUnlessZero => or_text(number(text)),
            Self::Switch => or_text(switch(text).map(Value::from)),
            // 1 is the number 1 and no switch.
            Self::NumberOrSwitch => or_text(number(text).or_else(|| switch(text).map(Value::from))),
            Self::MillisForSeconds | Self::MillisForSecondsUnlessZero => {
                // Up: of a bound nothing is taken away.
                or_text(whole(text).map(|millis| Value::from(millis.div_ceil(1_000))))
            }
            Self::MinutesForSecondsUnlessZero => match whole(text) {
                Some(0) => None,
                minutes => or_text(minutes.map(|minutes| Value::from(minutes.saturating_mul(60)))),
            },
            Self::PrettyOrJson => {
                let format = |pretty| Value::from(if pretty { "text" } else { "json" });
                or_text(switch(text).map(format))
            }
        }
    }
}

fn whole(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<u64>() {
        return Some(Value::from(whole));
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    text.parse::<f64>().ok().map(Value::from)
}

fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_for_what_the_setting_is() {
        let text = Value::from;
        let cases = [
            (Shape::Number, " 7 ", Some(Value::from(7_u64))),
            (Shape::Number, "-7", Some(Value::from(-7_i64))),
            (Shape::Number, "seven", Some(text("seven"))),
            (Shape::Switch, "Yes", Some(Value::from(true))),
            (Shape::Switch, "off", Some(Value::from(false))),
            (Shape::Switch, "2", Some(text("2"))),
            (Shape::NumberOrSwitch, "2", Some(Value::from(2_u64))),
            (Shape::NumberOrSwitch, "true", Some(Value::from(true))),
            (Shape::MillisForSeconds, "1500", Some(Value::from(2_u64))),
            (Shape::MillisForSeconds, "soon", Some(text("soon"))),
            (Shape::MillisForSeconds, "0", Some(Value::from(0_u64))),
            (Shape::MillisForSecondsUnlessZero, "1500", Some(Value::from(2_u64))),
            (Shape::MillisForSecondsUnlessZero, "0", None),
            (Shape::NumberUnlessZero, "7", Some(Value::from(7_u64))),
            (Shape::NumberUnlessZero, " 0", None),
            (Shape::NumberUnlessZero, "none", Some(text("none"))),
            (Shape::MinutesForSecondsUnlessZero, "10", Some(Value::from(600_u64))),
            (Shape::MinutesForSecondsUnlessZero, "0", None),
            (Shape::PrettyOrJson, "true", Some(text("text"))),
            (Shape::PrettyOrJson, "no", Some(text("json"))),
            (Shape::PrettyOrJson, "maybe", Some(text("maybe"))),
        ];
        for (shape, given, expected) in cases {
            assert_eq!(shape.read(given), expected, "{given}");
        }
    }
}
