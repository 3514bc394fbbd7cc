//! A key's usage in v1's shape.

use relay_domain::{RequestRecord, Timestamp};
use relay_engine::{EngineError, KeyOwner, OwnUsage};
use relay_store::{RecordQuery, UsageTotals};
use serde_json::{Value, json};

use crate::admin::dollars;

/// How many of the last requests are shown.
const RECENT: usize = 20;
const DAY_MS: u64 = 24 * 3_600_000;

/// `GET …/v1/key-info`
pub(super) async fn key_info(owner: &KeyOwner) -> Result<Value, EngineError> {
    let key = owner.key();
    Ok(json!({
        "keyInfo": {
            "id": key.id.as_str(),
            "name": key.name,
            "tokenLimit": 0,
            "usage": own_usage(owner).await?,
        },
        "timestamp": owner.asked_at().to_string(),
    }))
}

/// `GET …/v1/usage`
pub(super) async fn usage(owner: &KeyOwner) -> Result<Value, EngineError> {
    Ok(json!({
        "usage": own_usage(owner).await?,
        "limits": {"tokens": 0, "requests": 0},
        "timestamp": owner.asked_at().to_string(),
    }))
}

async fn own_usage(owner: &KeyOwner) -> Result<Value, EngineError> {
    let used = owner.usage().await?;
    let recent = RecordQuery { limit: RECENT, ..RecordQuery::default() };
    let recent = owner.requests(recent).await?.records;
    Ok(json!({
        "total": period(&used.total),
        "daily": period(&used.daily),
        "monthly": period(&used.monthly),
        "averages": averages(&used, owner.key().created_at, owner.asked_at()),
        "recentRecords": recent.iter().map(recent_record).collect::<Vec<_>>(),
    }))
}

fn period(totals: &UsageTotals) -> Value {
    let tokens = totals.tokens;
    json!({
        "requests": totals.requests,
        "tokens": tokens.total().get(),
        "allTokens": tokens.total().get(),
        "inputTokens": tokens.input.get(),
        "outputTokens": tokens.output.get(),
        "cacheCreateTokens": (tokens.cache_write_5m + tokens.cache_write_1h).get(),
        "cacheReadTokens": tokens.cache_read.get(),
    })
}

/// v1's averages: over whole days since the key was made, one at least, with two decimals.
fn averages(used: &OwnUsage, made_at: Timestamp, now: Timestamp) -> Value {
    let age_ms = now.as_millis().saturating_sub(made_at.as_millis());
    let days = age_ms.div_ceil(DAY_MS).max(1);
    let (requests, tokens) = (used.total.requests, used.total.tokens.total().get());
    json!({
        "rpm": two_decimals(requests, days.saturating_mul(1_440)),
        "tpm": two_decimals(tokens, days.saturating_mul(1_440)),
        "dailyRequests": two_decimals(requests, days),
        "dailyTokens": two_decimals(tokens, days),
    })
}

/// A ratio, rounded.
fn two_decimals(count: u64, over: u64) -> Value {
    let over = u128::from(over.max(1));
    let hundredths = (u128::from(count) * 200 + over) / (2 * over);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.parse::<serde_json::Number>().map_or(Value::Null, Value::Number)
}

/// A request as v1 lists it, without the account.
fn recent_record(record: &RequestRecord) -> Value {
    let tokens = record.usage;
    json!({
        "timestamp": record.started_at.to_string(),
        "model": record.served_model.as_ref().unwrap_or(&record.model).as_str(),
        "requestId": record.id.to_string(),
        "statusCode": record.status,
        "stream": record.stream,
        "durationMs": record.times.end_us.map(|us| us / 1_000),
        "inputTokens": tokens.input.get(),
        "outputTokens": tokens.output.get(),
        "cacheCreateTokens": (tokens.cache_write_5m + tokens.cache_write_1h).get(),
        "cacheReadTokens": tokens.cache_read.get(),
        "ephemeral5mTokens": tokens.cache_write_5m.get(),
        "ephemeral1hTokens": tokens.cache_write_1h.get(),
        "totalTokens": tokens.total().get(),
        "cost": record.charged.map(|charged| dollars::show(Some(charged))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_have_two_decimals() {
        let cases = [(0, 1, "0.0"), (1, 3, "0.33"), (2, 3, "0.67"), (5, 2, "2.5"), (1, 0, "1.0")];
        for (count, over, expected) in cases {
            assert_eq!(two_decimals(count, over).to_string(), expected, "{count} over {over}");
        }
    }
}
