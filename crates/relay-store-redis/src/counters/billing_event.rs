//! v1's events of what was charged, for those who bill by it.

use relay_domain::{Platform, RequestRecord, Timestamp};

use super::breakdown::Breakdown;
use super::model_name;
use super::usage_record::json;
use crate::keyspace::AccountFamily;

/// The parts of an event. Between the first two goes the name of the API key, between the last two its user:
/// only the store knows them.
#[derive(Debug)]
pub(crate) struct BillingEvent {
    pub(crate) head: String,
    pub(crate) middle: &'static str,
    pub(crate) tail: String,
}

impl BillingEvent {
    /// The event of a counted request that ended at `now` (as text: `ended`); v1 has such events on the
    /// Claude path only.
    pub(crate) fn of(record: &RequestRecord, now: Timestamp, ended: &str) -> Option<Self> {
        match record.platform {
            Platform::ClaudeConsole => {}
            Platform::Codex => return None,
        }
        let served = record.served_model.as_ref().unwrap_or(&record.model);
        let tokens = &record.usage;
        let head = format!(
            concat!(
                r#"{{"eventId":"{}-{}","eventType":"usage.recorded","timestamp":"{}","#,
                r#""version":"1.0","apiKey":{{"id":{},"name":"#,
            ),
            now.as_millis(),
            nine_digits(record.id.as_u128()),
            ended,
            json(record.key.as_str()),
        );
        let account = match &record.account {
            Some(account) => json(account.as_str()).to_string(),
            None => "null".to_owned(),
        };
        let by_kind = Breakdown::of_cost(record).without_total();
        let tail = format!(
            concat!(
                r#"}},"usage":{{"model":{},"inputTokens":{},"outputTokens":{},"#,
                r#""cacheCreateTokens":{},"cacheReadTokens":{},"ephemeral5mTokens":{},"#,
                r#""ephemeral1hTokens":{},"totalTokens":{}}},"#,
                r#""cost":{{"total":{},"currency":"USD"{}}},"#,
                r#""account":{{"id":{},"type":"{}"}},"#,
                r#""context":{{"isLongContext":false,"requestTimestamp":"{}"}}}}"#,
            ),
            json(&model_name::counted(served)),
            tokens.input.get(),
            tokens.output.get(),
            (tokens.cache_write_5m + tokens.cache_write_1h).get(),
            tokens.cache_read.get(),
            tokens.cache_write_5m.get(),
            tokens.cache_write_1h.get(),
            tokens.total().get(),
            record.cost.unwrap_or_default(),
            by_kind.map(|kinds| format!(r#","breakdown":{kinds}"#)).unwrap_or_default(),
            account,
            AccountFamily::of_new(record.platform).sticky_kind(),
            ended,
        );
        Some(Self { head, middle: r#","userId":"#, tail })
    }
}

/// The last nine digits of a number to the base of 36. A request has one event, so its id tells it apart.
fn nine_digits(mut number: u128) -> String {
    let mut digits = [b'0'; 9];
    for digit in digits.iter_mut().rev() {
        let value = u8::try_from(number % 36).unwrap_or(0);
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= 36;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_to_the_base_of_36() {
        assert_eq!(nine_digits(0), "000000000");
        assert_eq!(nine_digits(35), "00000000z");
        assert_eq!(nine_digits(36 * 36 + 1), "000000101");
        assert_eq!(nine_digits(u128::MAX).len(), 9);
    }
}
