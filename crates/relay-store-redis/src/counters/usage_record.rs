//! v1's form of a request's record, as it stands in the list of its key's last requests.

use relay_domain::{NanoUsd, Platform, RequestRecord, Timestamp};
use serde_json::Value;

use super::amounts::micros;
use super::breakdown::Breakdown;
use super::model_name;
use crate::keyspace::AccountFamily;

/// The record of a counted request that ended at `now` (as text: `ended`), as JSON with v1's fields in v1's
/// order.
///
/// Left out is what a record does not tell: where a price was found.
pub(crate) fn of(record: &RequestRecord, now: Timestamp, ended: &str) -> String {
    let served = record.served_model.as_ref().unwrap_or(&record.model);
    let tokens = &record.usage;
    let (endpoint, is_claude) = match record.platform {
        Platform::ClaudeConsole => ("/api/v1/messages", true),
        Platform::Codex => ("/openai/responses", false),
    };
    let cache_write = (tokens.cache_write_5m + tokens.cache_write_1h).get();
    let ephemeral = if is_claude {
        let (five_minutes, one_hour) = (tokens.cache_write_5m.get(), tokens.cache_write_1h.get());
        format!(r#""ephemeral5mTokens":{five_minutes},"ephemeral1hTokens":{one_hour},"#)
    } else {
        String::new()
    };
    let duration_ms = match record.times.end_us {
        Some(end_us) => end_us / 1_000,
        None => u64::try_from(now.since(record.started_at).as_millis()).unwrap_or(u64::MAX),
    };
    let (charged, cost) = (record.charged.unwrap_or_default(), record.cost.unwrap_or_default());
    let account = match &record.account {
        Some(account) => json(account.as_str()),
        None => Value::Null,
    };
    format!(
        concat!(
            r#"{{"timestamp":"{}","model":{},"accountId":{},"accountType":"{}","requestId":"{}","#,
            r#""endpoint":"{}","method":"POST","statusCode":{},"stream":{},"durationMs":{},"#,
            r#""inputTokens":{},"outputTokens":{},"cacheCreateTokens":{},"cacheReadTokens":{},{}"#,
            r#""totalTokens":{},"cost":{},"realCost":{},"costBreakdown":{},"#,
            r#""realCostBreakdown":{},"isLongContext":false}}"#,
        ),
        ended,
        json(&model_name::counted(served)),
        account,
        AccountFamily::of_new(record.platform).sticky_kind(),
        record.id,
        endpoint,
        record.status,
        record.stream,
        duration_ms,
        tokens.input.get(),
        tokens.output.get(),
        cache_write,
        tokens.cache_read.get(),
        ephemeral,
        tokens.total().get(),
        in_micros(charged),
        in_micros(cost),
        Breakdown::of_charge(record).with_total(),
        Breakdown::of_cost(record).with_total(),
    )
}

/// A text as JSON.
pub(super) fn json(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// An amount with six decimals at most, as v1 rounds it here.
fn in_micros(amount: NanoUsd) -> NanoUsd {
    NanoUsd::from_nanos(micros(amount).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use relay_domain::{
        AccountId, CostBreakdown, KeyId, ModelName, Outcome, RequestId, RequestTimes,
    };
    use relay_domain::{ServedTerms, TokenCount, TokenUsage, UsageSource};

    use super::*;

    /// The names of the fields of an object, in their order: none of these values holds `,"`.
    fn fields(json: &str) -> Vec<&str> {
        let names = json.trim_matches(['{', '}']).split(",\"");
        names.filter_map(|field| field.split('"').find(|part| !part.is_empty())).collect()
    }

    fn record(platform: Platform) -> RequestRecord {
        let now = Timestamp::from_millis(1_795_407_776_474);
        RequestRecord {
            id: RequestId::new(now, 7),
            key: KeyId::try_from("k").unwrap(),
            group: None,
            platform,
            model: ModelName::try_from("claude-sonnet-4-20250514").unwrap(),
            served_model: ModelName::try_from("mapped \"sonnet\"").ok(),
            account: AccountId::try_from("a").ok(),
            stream: true,
            outcome: Outcome::Completed,
            status: 200,
            started_at: now,
            times: RequestTimes { end_us: Some(98_765), ..RequestTimes::default() },
            usage: TokenUsage {
                input: TokenCount::new(1_000),
                output: TokenCount::new(77),
                cache_read: TokenCount::new(5_000),
                cache_write_5m: TokenCount::new(100),
                cache_write_1h: TokenCount::new(200),
            },
            usage_source: UsageSource::Final,
            terms: ServedTerms::default(),
            settled_at: None,
            cost: Some(NanoUsd::from_nanos(6_780_400)),
            presumed_cost: None,
            cost_by_kind: Some(CostBreakdown::of_kinds(
                [3_000_000, 1_155_400, 1_500_000, 375_000, 750_000, 0].map(NanoUsd::from_nanos),
            )),
            charged: Some(NanoUsd::from_nanos(8_136_500)),
            attempts: Vec::new(),
            decision: Vec::new(),
            edits: Vec::new(),
        }
    }

    #[test]
    fn a_record_has_the_fields_of_v1_in_their_order() {
        let now = Timestamp::from_millis(1_795_407_777_669);
        let json = of(&record(Platform::ClaudeConsole), now, &now.to_string());
        assert_eq!(
            fields(&json),
            [
                "timestamp",
                "model",
                "accountId",
                "accountType",
                "requestId",
                "endpoint",
                "method",
                "statusCode",
                "stream",
                "durationMs",
                "inputTokens",
                "outputTokens",
                "cacheCreateTokens",
                "cacheReadTokens",
                "ephemeral5mTokens",
                "ephemeral1hTokens",
                "totalTokens",
                "cost",
                "realCost",
                "costBreakdown",
                "output",
                "cacheCreate",
                "cacheRead",
                "ephemeral5m",
                "ephemeral1h",
                "total",
                "realCostBreakdown",
                "output",
                "cacheCreate",
                "cacheRead",
                "ephemeral5m",
                "ephemeral1h",
                "total",
                "isLongContext",
            ]
        );
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["timestamp"], "2026-11-23T04:22:57.669Z");
        assert_eq!(read["model"], "mapped \"sonnet\"");
        assert_eq!(read["durationMs"], 98);
        assert_eq!(read["totalTokens"], 6_377);
        assert_eq!(read["cost"].to_string(), "0.008137");
        assert_eq!(read["realCost"].to_string(), "0.00678");
        assert_eq!(read["costBreakdown"]["total"].to_string(), "0.0081365");
        assert_eq!(read["accountType"], "claude-console");
        assert_eq!(
            fields(&read["realCostBreakdown"].to_string()),
            ["cacheCreate", "cacheRead", "ephemeral1h", "ephemeral5m", "input", "output", "total"]
        );
        assert_eq!(read["realCostBreakdown"]["cacheCreate"].to_string(), "0.001125");
        assert_eq!(read["realCostBreakdown"]["ephemeral1h"].to_string(), "0.00075");
        assert_eq!(read["realCostBreakdown"]["total"].to_string(), "0.0067804");
        // 1.2 times the cost, and one nano-dollar of rounding where most was lost.
        assert_eq!(read["costBreakdown"]["input"].to_string(), "0.003600009");
    }

    #[test]
    fn what_was_charged_at_a_fallback_rate_is_known_as_a_whole_only() {
        let now = Timestamp::from_millis(1_795_407_777_669);
        let unpriced =
            RequestRecord { cost: None, cost_by_kind: None, ..record(Platform::ClaudeConsole) };
        let json = of(&unpriced, now, &now.to_string());
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["costBreakdown"].to_string(), r#"{"total":0.0081365}"#);
        assert_eq!(read["realCostBreakdown"]["total"].to_string(), "0.0");
    }

    #[test]
    fn only_the_claude_path_tells_how_long_the_cache_is_kept() {
        let now = Timestamp::from_millis(1_795_407_777_669);
        let codex = RequestRecord { account: None, ..record(Platform::Codex) };
        let json = of(&codex, now, &now.to_string());
        let read: Value = serde_json::from_str(&json).unwrap();
        assert!(!json.contains("ephemeral5mTokens"), "{json}");
        assert!(!json.contains("ephemeral1hTokens"), "{json}");
        assert_eq!(read["accountId"], Value::Null);
        assert_eq!(read["accountType"], "openai-responses");
    }
}
