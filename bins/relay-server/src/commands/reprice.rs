//! `reprice`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use relay_domain::{Actor, Calendar, ModelName, NanoUsd};
use relay_engine::operator::reprice::{
    Bills, RepriceRange, RepriceReport, Repricing, Shift, Unrecorded,
};
use relay_engine::prices::{PriceKeeper, PriceKeeperParts};
use serde_json::{Map, Value, json};

use crate::cli::{Cli, Edge, RepriceArgs};
use crate::config::{Config, StoreKind};
use crate::installation::{Access, Installation};
use crate::terminal::{print, print_json, print_table};

/// How many keys are shown, those that change most.
const KEYS_SHOWN: usize = 10;

/// Recomputes what past requests came to, shows what would change, and writes it if it is told to.
///
/// # Errors
///
/// A [`clap::Error`] if the range holds no moment. Fails if the prices or the store cannot be read; with `--apply` also if the embedded store is being
/// served, or what is found cannot be written: what has been written until then is said.
pub(crate) async fn run(arguments: RepriceArgs, config: &Config) -> Result<()> {
    let range = range(&arguments, config.sections.store.calendar())?;
    // What is spent of budgets is in the memory of whoever serves on an embedded store.
    let owns = arguments.apply && config.store_kind() == StoreKind::Sqlite;
    let access = if owns { Access::Serve } else { Access::Administer };
    let installation = Installation::open(config, access).await?;
    let keeper = prices(config, &installation).await?;
    let repricing = installation.operator.repricing(keeper.prices(), range.clone()).await?;
    let plan = repricing.plan().await.context("the store cannot be read")?;
    if !arguments.json {
        tell(&plan, &range, &keeper, config);
    }
    let applied = if arguments.apply { Some(apply(&repricing).await?) } else { None };
    if arguments.json {
        return print_json(&json!({
            "from": range.from.to_string(),
            "to": range.to.to_string(),
            "prices": source(&keeper),
            "plan": described(&plan),
            "applied": applied.as_ref().map(described),
        }));
    }
    match applied {
        Some(done) => {
            print(format!("Corrected {} records.", done.total.changed));
            if done.not_as_read > 0 {
                print(format!(
                    "{} records were changed by others meanwhile and left; repeat the command to look at them again.",
                    done.not_as_read
                ));
            }
        }
        None if plan.total.changed > 0 => {
            print("Nothing was written. Repeat the command with --apply to write it.");
        }
        None => print("There is nothing to correct."),
    }
    Ok(())
}

async fn apply(repricing: &Repricing) -> Result<RepriceReport> {
    let mut done = RepriceReport::default();
    let applied = repricing.apply(&Actor::shell(), &mut done).await;
    applied.with_context(|| {
        format!(
            "{} records were corrected, then the store failed; repeat the command, which goes on from there",
            done.total.changed
        )
    })?;
    Ok(done)
}

/// What things cost now, which must be known for certain: what is corrected by builtin prices where others are
/// meant would have to be corrected again.
async fn prices(config: &Config, installation: &Installation) -> Result<PriceKeeper> {
    let section = &config.sections.pricing;
    let source = section.source().map_err(|(path, why)| anyhow!("{path} {why}"))?;
    let keeper = PriceKeeper::new(PriceKeeperParts {
        source,
        refresh: section.refresh(),
        settings: Arc::clone(&installation.stores.settings),
        audit: Arc::clone(&installation.stores.audit),
        clock: Arc::clone(&installation.clock),
    });
    let keeper = keeper.context("the builtin prices cannot be read")?;
    keeper.hear().await.context("price overrides and service rates cannot be read")?;
    let reading = keeper.reload().await;
    reading.with_context(|| format!("the price source {} is not taken", source_name(&keeper)))?;
    Ok(keeper)
}

fn range(arguments: &RepriceArgs, calendar: Calendar) -> Result<RepriceRange, clap::Error> {
    let RepriceArgs { from, to, key, model, only_unpriced, .. } = arguments;
    let first = |edge: Edge| match edge {
        Edge::Day(day) => day.start(calendar),
        Edge::Moment(moment) => moment,
    };
    let after = |edge: Edge| match edge {
        Edge::Day(day) => day.next_day().start(calendar),
        Edge::Moment(moment) => moment,
    };
    let range = RepriceRange {
        from: first(*from),
        to: after(*to),
        key: key.clone(),
        model: model.clone(),
        only_unpriced: *only_unpriced,
    };
    if range.to <= range.from {
        return Err(Cli::misused("--to must be later than --from"));
    }
    Ok(range)
}

fn source_name(keeper: &PriceKeeper) -> String {
    keeper.status().source
}

/// Which prices hold.
fn source(keeper: &PriceKeeper) -> String {
    let status = keeper.status();
    match status.overrides {
        0 => status.source,
        1 => format!("{}, 1 override", status.source),
        overrides => format!("{}, {overrides} overrides", status.source),
    }
}

fn tell(plan: &RepriceReport, range: &RepriceRange, keeper: &PriceKeeper, config: &Config) {
    let Shift { requests, changed, newly_priced, before, after } = &plan.total;
    let line = |name: &str, text: &dyn Display| print(format!("{name:11} {text}"));
    line("requests", &format!("from {} to {}", range.from, range.to));
    line("prices", &source(keeper));
    line("looked at", &format!("{} records, {requests} of them to be recomputed", plan.looked_at));
    line("change", &format!("{changed}, of which {newly_priced} had no price"));
    line(
        "unpriced",
        &format!("{} stay without a price{}", count(&plan.unpriced), named(&plan.unpriced)),
    );
    let stays = |name: &str, number: u64, why: &str| {
        if number > 0 {
            line(name, &format!("{number} stay as they are: {why}"));
        }
    };
    let why = format!("their models have no price any more{}", named(&plan.price_gone));
    stays("price gone", count(&plan.price_gone), &why);
    stays("undated", plan.undated, "an earlier version did not keep in which hour they count");
    stays("unused", plan.unused, "they used nothing and count nowhere");
    stays("passed over", plan.passed_over, "they have a price");
    let store = &config.sections.store;
    let kept = format!("records are kept for {} days", store.record_lifetime().as_secs() / 86_400);
    match plan.unrecorded {
        Unrecorded::None => {}
        Unrecorded::About(gone) => line(
            "no record",
            &format!(
                "about {gone} more requests are counted but cannot be recomputed: {kept}, and at most {}",
                store.records()
            ),
        ),
        Unrecorded::Unknown => line(
            "no record",
            &format!("it cannot be told how many requests have no record any more: {kept}"),
        ),
    }
    let moved = |before: NanoUsd, after: NanoUsd| {
        format!("{before} -> {after} dollars, {}", signed(after - before))
    };
    line("cost", &moved(before.cost, after.cost));
    line("charged", &moved(before.charged, after.charged));
    if *changed == 0 {
        return;
    }
    print("");
    let rows: Vec<_> = plan.by_model.iter().map(|(model, shift)| row(model, shift)).collect();
    print_table(["MODEL", "REQUESTS", "CHANGE", "COST", "WILL BE", "DIFFERENCE"], &rows);
    print("");
    print_table(["KEY", "REQUESTS", "CHANGE", "COST", "WILL BE", "DIFFERENCE"], &top_keys(plan));
    print("");
    print(
        "Moved by the difference: records, statistics, counters that are still kept (v1's too), and what is spent\n\
         in those periods of budgets of key, group and account that still run and that a request counts in.\n\
         Not moved: rate windows, v1's list of a key's last requests, billing events, alerts that were told.",
    );
}

/// The keys that change most.
fn top_keys(plan: &RepriceReport) -> Vec<[String; 6]> {
    let mut keys: Vec<_> = plan.by_key.iter().filter(|(_, shift)| shift.changed > 0).collect();
    keys.sort_by_key(|(_, shift)| std::cmp::Reverse(shift.difference().as_nanos().unsigned_abs()));
    let shown = keys.iter().take(KEYS_SHOWN).map(|(key, shift)| row(key, shift));
    let mut rows: Vec<_> = shown.collect();
    if let Some(more) = keys.len().checked_sub(KEYS_SHOWN).filter(|more| *more > 0) {
        let mut rest = [const { String::new() }; 6];
        rest[0] = format!("and {more} more");
        rows.push(rest);
    }
    rows
}

fn row(name: &impl Display, shift: &Shift) -> [String; 6] {
    [
        name.to_string(),
        shift.requests.to_string(),
        shift.changed.to_string(),
        shift.before.cost.to_string(),
        shift.after.cost.to_string(),
        signed(shift.difference()),
    ]
}

fn signed(difference: NanoUsd) -> String {
    if difference > NanoUsd::ZERO { format!("+{difference}") } else { difference.to_string() }
}

fn count(models: &BTreeMap<ModelName, u64>) -> u64 {
    models.values().sum()
}

/// The models, with how many requests each has.
fn named(models: &BTreeMap<ModelName, u64>) -> String {
    let named: Vec<_> = models.iter().map(|(model, count)| format!("{model} ({count})")).collect();
    if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) }
}

fn described(report: &RepriceReport) -> Value {
    json!({
        "lookedAt": report.looked_at,
        "total": shift(&report.total),
        "byModel": by_name(&report.by_model),
        "byKey": by_name(&report.by_key),
        "unpriced": report.unpriced,
        "priceGone": report.price_gone,
        "undated": report.undated,
        "unused": report.unused,
        "passedOver": report.passed_over,
        "changedMeanwhile": report.not_as_read,
        "unrecorded": match report.unrecorded {
            Unrecorded::None => json!(0),
            Unrecorded::About(gone) => json!(gone),
            Unrecorded::Unknown => Value::Null,
        },
    })
}

fn by_name<N: Display>(shifts: &BTreeMap<N, Shift>) -> Map<String, Value> {
    shifts.iter().map(|(name, of_name)| (name.to_string(), shift(of_name))).collect()
}

/// Amounts are texts of decimal dollars, which are exact.
fn shift(shift: &Shift) -> Value {
    let bills = |bills: &Bills| json!({"cost": bills.cost.to_string(), "charged": bills.charged.to_string()});
    json!({
        "requests": shift.requests,
        "changed": shift.changed,
        "newlyPriced": shift.newly_priced,
        "before": bills(&shift.before),
        "after": bills(&shift.after),
        "difference": shift.difference().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Command;

    fn range_of(words: [&str; 4]) -> Result<RepriceRange, clap::Error> {
        let line = ["relay-server", "reprice"].into_iter().chain(words);
        let Some(Command::Reprice(arguments)) = Cli::try_parse_from(line)?.command else {
            panic!("it is another command");
        };
        range(&arguments, Calendar::UTC)
    }

    #[test]
    fn a_range_without_a_moment_is_wrong_usage() {
        let (day, before) = ("2026-11-02", "2026-11-01");
        let moment = "2026-11-02T00:00:00Z";
        assert!(range_of(["--from", day, "--to", day]).is_ok(), "a day is one");
        for (from, to) in [(day, before), (moment, moment), (day, moment), ("soon", day)] {
            let error = range_of(["--from", from, "--to", to]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{from} {to}: {error}");
        }
    }
}
