//! `adopt`.

use anyhow::{Context as _, Result, bail};
use relay_engine::operator::UnreadableAccount;
use relay_store_redis::{Remark, Repair, Survey, Unreadable};
use serde_json::{Value, json};

use crate::cli::AdoptArgs;
use crate::config::Config;
use crate::installation::{Access, Installation};
use crate::redis_place::writers;
use crate::terminal::{print, print_json};

/// Looks at what a predecessor left in Redis and, unless it is a dry run, makes v1's indexes right.
///
/// # Errors
///
/// Fails if the store is no Redis, or fails.
pub(crate) async fn run(arguments: AdoptArgs, config: &Config) -> Result<()> {
    let AdoptArgs { dry_run, json } = arguments;
    let installation = Installation::open(config, Access::Administer).await?;
    let Some(redis) = &installation.redis else {
        bail!(
            "there is nothing to adopt in {}; name the Redis of v1 or v2",
            installation.store_place
        );
    };
    let survey = if dry_run { redis.survey().await } else { redis.adopt().await };
    let mut survey = survey.context("Redis failed")?;
    let accounts = std::mem::take(&mut survey.readable_accounts);
    let unopened = installation.operator.unreadable_of(accounts).await;
    if json {
        return print_json(&described(&survey, &unopened, &installation, dry_run));
    }
    tell(&survey, &unopened, &installation, dry_run);
    Ok(())
}

fn tell(
    survey: &Survey,
    unopened: &[UnreadableAccount],
    installation: &Installation,
    dry_run: bool,
) {
    print(format!("Redis           {}", installation.store_place));
    print(format!("written by      {}", writers(survey.traces)));
    print(format!("API keys        {}, {} of them deleted", survey.keys, survey.deleted_keys));
    for (family, count) in &survey.accounts {
        print(format!("accounts        {count} {family}"));
    }
    print(format!(
        "account groups  {}, and {} API keys bound to one",
        survey.account_groups, survey.bound_to_groups
    ));
    for (id, group) in &survey.bound_in_vain {
        let (id, group) = (shown(id), shown(group));
        print(format!(
            "not served      {id} is bound to the group of accounts \"{group}\", and there is none such that Relay serves"
        ));
    }
    for (id, account) in &survey.bound_elsewhere {
        let (id, account) = (shown(id), shown(account));
        print(format!(
            "served by all   {id} is bound to the account \"{account}\", of a kind that Relay does not know"
        ));
    }
    tell_remark("never ends", &survey.unreadable_ends, |text| {
        format!("has the end \"{text}\", which is no date: to v1 too it never ends")
    });
    tell_remark("limited now", &survey.token_limits_of_v2, |tokens| {
        format!(
            "was made by v2 with a limit of {tokens} tokens in its window: v2 did not enforce it, Relay does"
        )
    });
    tell_remark("refused", &survey.users_in_vain, |user| {
        format!("belongs to the user \"{user}\", who is not there or not active: v1 refuses it too")
    });
    tell_remark("refused", &survey.groups_in_vain, |group| {
        format!("belongs to the group of API keys \"{group}\", and there is none such")
    });
    print(format!("counters        {}", survey.counters));
    print(format!(
        "conversations   {} bound by v1, {} by v2: each is bound anew when it goes on",
        survey.bindings_of_v1, survey.bindings_of_v2
    ));
    print(format!(
        "rests           {} that v1 gave accounts: Relay keeps them",
        survey.rests_of_v1
    ));
    if survey.endless_rests_of_v1 > 0 {
        print(format!(
            "no rests        {} that v1 left without an end: Relay passes over them, as v1 does",
            survey.endless_rests_of_v1
        ));
    }
    print(format!("kept in step    {} indexes, sums, lists and logins", survey.kept_in_step));
    for (stem, count) in &survey.untouched {
        print(format!("left alone      {count} {stem}"));
    }
    for Unreadable { name, why } in &survey.unreadable {
        print(format!("cannot be read  {name}: {why}"));
    }
    for UnreadableAccount { id, name, why } in unopened {
        print(format!("does not open   {name} ({id}): {why}"));
    }
    let would = if dry_run { "would change" } else { "changed" };
    for Repair { index, set, removed } in &survey.repairs {
        print(format!("{would:14}  {}: {set} set, {removed} removed", shown(index)));
    }
    if survey.repairs.is_empty() {
        print(format!("{would:14}  nothing"));
    }
}

fn described(
    survey: &Survey,
    unopened: &[UnreadableAccount],
    installation: &Installation,
    dry_run: bool,
) -> Value {
    let accounts: serde_json::Map<String, Value> = survey
        .accounts
        .iter()
        .map(|(family, count)| ((*family).to_owned(), json!(count)))
        .collect();
    json!({
        "redis": installation.store_place,
        "dryRun": dry_run,
        "writtenBy": {
            "v1": survey.traces.v1,
            "v2": survey.traces.v2,
            "relay": survey.traces.relay,
        },
        "keys": survey.keys,
        "deletedKeys": survey.deleted_keys,
        "accountGroups": survey.account_groups,
        "boundToGroups": survey.bound_to_groups,
        "boundInVain": survey.bound_in_vain.iter().map(|(id, group)| {
            json!({"key": id, "group": group})
        }).collect::<Vec<_>>(),
        "boundElsewhere": survey.bound_elsewhere.iter().map(|(id, account)| {
            json!({"key": id, "account": account})
        }).collect::<Vec<_>>(),
        "unreadableEnds": remark(&survey.unreadable_ends, "expiresAt"),
        "tokenLimitsOfV2": remark(&survey.token_limits_of_v2, "tokens"),
        "usersInVain": remark(&survey.users_in_vain, "user"),
        "groupsInVain": remark(&survey.groups_in_vain, "group"),
        "accounts": accounts,
        "counters": survey.counters,
        "bindings": {"v1": survey.bindings_of_v1, "v2": survey.bindings_of_v2},
        "restsOfV1": survey.rests_of_v1,
        "endlessRestsOfV1": survey.endless_rests_of_v1,
        "keptInStep": survey.kept_in_step,
        "leftAlone": survey.untouched,
        "unreadable": survey.unreadable.iter().map(|Unreadable { name, why }| {
            json!({"name": name, "why": why})
        }).collect::<Vec<_>>(),
        "unopened": unopened.iter().map(|UnreadableAccount { id, name, why }| {
            json!({"id": id, "name": name, "why": why})
        }).collect::<Vec<_>>(),
        "changes": survey.repairs.iter().map(|Repair { index, set, removed }| {
            json!({"index": index, "set": set, "removed": removed})
        }).collect::<Vec<_>>(),
    })
}

/// Tells what is to be said of API keys, of the first of them by their ids.
fn tell_remark(stem: &str, remark: &Remark, why: impl Fn(&str) -> String) {
    for (id, about) in &remark.first {
        print(format!("{stem:14}  {} {}", shown(id), why(&shown(about))));
    }
    let others = remark.keys - remark.first.len();
    if 0 < others {
        print(format!("{stem:14}  and {others} more API keys"));
    }
}

/// The same for programs.
fn remark(remark: &Remark, about: &str) -> Value {
    let first = remark.first.iter().map(|(id, what)| json!({"key": id, about: what}));
    json!({"keys": remark.keys, "first": first.collect::<Vec<_>>()})
}

/// A name in Redis, with what a terminal cannot show made visible: a tag is free text.
fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}
