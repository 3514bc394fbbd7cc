//! What Relay has recorded of the demo's request.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use relay_domain::{NanoUsd, Outcome, RequestId, RequestRecord};
use relay_store::Stores;
use tokio::time::Instant;

use crate::installation::Installation;
use crate::terminal::print;

/// A request is settled after its last byte, off the client's path.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The record of `request` once it is settled.
///
/// # Errors
///
/// Fails if it does not come, or says that the request failed.
pub(super) async fn await_record(stores: &Stores, request: RequestId) -> Result<RequestRecord> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        if let Some(record) =
            stores.usage.record(request).await.context("the record cannot be read")?
        {
            ensure!(record.outcome == Outcome::Completed, "the record says {:?}", record.outcome);
            return Ok(record);
        }
        if deadline <= Instant::now() {
            bail!("{request} was not settled within {} s", SETTLED_WITHIN.as_secs());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Prints `record`.
///
/// # Errors
///
/// Fails if its account cannot be read.
pub(super) async fn print_record(
    record: &RequestRecord,
    installation: &Installation,
) -> Result<()> {
    let account = match &record.account {
        None => "none".to_owned(),
        Some(id) => {
            let account =
                installation.operator.account(id).await.context("the account cannot be read")?;
            account.map_or_else(|| id.to_string(), |account| format!("{} ({id})", account.name))
        }
    };
    let attempts: Vec<String> = record
        .attempts
        .iter()
        .map(|attempt| format!("{:?} {}", attempt.outcome, attempt.status.unwrap_or_default()))
        .collect();
    let usage = &record.usage;
    let tokens = format!(
        "{} input, {} output, {} cache read, {} cache write 5m, {} cache write 1h",
        usage.input.get(),
        usage.output.get(),
        usage.cache_read.get(),
        usage.cache_write_5m.get(),
        usage.cache_write_1h.get()
    );
    let lines = [
        ("request", record.id.to_string()),
        ("model", record.model.as_str().to_owned()),
        ("account", account),
        ("attempts", format!("{} ({})", record.attempts.len(), attempts.join(", "))),
        ("tokens", tokens),
        ("cost", record.cost.map_or_else(|| "unknown".to_owned(), dollars)),
        (
            "first content",
            record.times.first_content_us.map_or_else(|| "unknown".to_owned(), millis),
        ),
        ("added by Relay", record.times.added_us.map_or_else(|| "unknown".to_owned(), millis)),
    ];
    print("\nWhat Relay recorded of it:");
    for (name, value) in lines {
        print(format!("  {name:<15} {value}"));
    }
    Ok(())
}

fn dollars(cost: NanoUsd) -> String {
    format!("${cost}")
}

/// Microseconds as milliseconds.
fn millis(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10)
}
