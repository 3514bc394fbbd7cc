//! Requests as CSV.

use relay_domain::{AccountId, ModelName, NanoUsd, RequestRecord};

use crate::admin::stats::{Csv, Field};

const COLUMNS: [&str; 21] = [
    "id",
    "startedAt",
    "keyId",
    "groupId",
    "platform",
    "model",
    "servedModel",
    "accountId",
    "stream",
    "outcome",
    "status",
    "durationUs",
    "inputTokens",
    "outputTokens",
    "cacheReadTokens",
    "cacheWrite5mTokens",
    "cacheWrite1hTokens",
    "usageSource",
    "cost",
    "presumedCost",
    "charged",
];

/// The requests as a table. Money that is not known is an empty field.
pub(super) fn table(records: &[RequestRecord]) -> Csv {
    let mut csv = Csv::new(&COLUMNS);
    for record in records {
        let (id, arrived) = (record.id.to_string(), record.started_at.to_string());
        let (outcome, source) = (name_of(&record.outcome), name_of(&record.usage_source));
        let tokens = &record.usage;
        let money = |amount: Option<NanoUsd>| {
            Field::Number(amount.map_or_else(String::new, |amount| amount.to_string()))
        };
        let count = |count: u64| Field::Number(count.to_string());
        csv.line([
            Field::Text(&id),
            Field::Text(&arrived),
            Field::Text(record.key.as_str()),
            Field::Text(record.group.as_ref().map_or("", |group| group.as_str())),
            Field::Text(record.platform.as_str()),
            Field::Text(record.model.as_str()),
            Field::Text(record.served_model.as_ref().map_or("", ModelName::as_str)),
            Field::Text(record.account.as_ref().map_or("", AccountId::as_str)),
            Field::Text(if record.stream { "true" } else { "false" }),
            Field::Text(&outcome),
            count(record.status.into()),
            Field::Number(record.times.end_us.map_or_else(String::new, |us| us.to_string())),
            count(tokens.input.get()),
            count(tokens.output.get()),
            count(tokens.cache_read.get()),
            count(tokens.cache_write_5m.get()),
            count(tokens.cache_write_1h.get()),
            Field::Text(&source),
            money(record.cost),
            money(record.presumed_cost),
            money(record.charged),
        ]);
    }
    csv
}

/// The name that JSON has for it.
fn name_of(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or("").to_owned()
}
