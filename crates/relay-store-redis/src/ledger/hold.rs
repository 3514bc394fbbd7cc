//! What is kept of a running request, so that whoever finds it orphaned can settle it, and whoever ends it
//! can give back what it holds.
//!
//! A hash: what was `admitted` (after what the request may come to, for the account that it is given to later:
//! tokens, cost, whether it names a Claude model), what is `known` of the usage, the request's part in each scope that has limits
//! (`key`, `group`, `account`), and under a scope's own id when the window began in which it was counted there.
//! It has no lifetime of its own, and neither has what is held of a scope: each script that removes the one
//! takes it off the other, so neither can outlive the other. The bound of both is the reaper, which finds every
//! hold in the index.

use relay_domain::{
    AccountId, CostBreakdown, Edit, GroupId, KeyId, LimitScope, ModelName, NanoUsd, PeriodStarts,
    Platform, RequestId, ServedTerms, Timestamp, TokenUsage, UsageSource,
};
use relay_store::{AdmitRequest, Orphan, Progress, Settlement, StoreError, budgets};
use serde::{Deserialize, Serialize};

/// What was admitted.
#[derive(Deserialize, Serialize)]
struct Admitted<'a> {
    key: KeyId,
    platform: Platform,
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    stream: bool,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
}

/// What is known of the usage.
#[derive(Deserialize, Serialize)]
struct Known {
    account: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    served_model: Option<ModelName>,
    usage: TokenUsage,
    #[serde(default = "provider_told", skip_serializing_if = "is_providers")]
    source: UsageSource,
    #[serde(default, skip_serializing_if = "ServedTerms::are_usual")]
    terms: ServedTerms,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    presumed_cost: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_by_kind: Option<CostBreakdown>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    charged: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edits: Vec<Edit>,
}

/// What stands where nothing does: the provider's own word.
fn provider_told() -> UsageSource {
    UsageSource::Partial
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_providers(source: &UsageSource) -> bool {
    *source == provider_told()
}

/// A hold's part in one scope, as the scripts write it: tokens, money, money of Claude models, whether it has a
/// slot, when the scope's days and weeks begin, and the scope's id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) scope: LimitScope,
    pub(super) starts: PeriodStarts,
    pub(super) has_slot: bool,
    /// As it is stored.
    pub(super) text: String,
}

impl Part {
    /// Reads a part. `None`: it is none.
    pub(super) fn parse(text: String) -> Option<Self> {
        let mut words = text.split(' ').skip(3);
        let (slot, starts, id) = (words.next()?, words.next()?, words.next()?);
        let (has_slot, starts, scope) = (slot == "1", parse_starts(starts)?, parse_scope(id)?);
        Some(Self { scope, starts, has_slot, text })
    }

    /// Its field in a hold.
    pub(super) fn field(&self) -> &'static str {
        match self.scope {
            LimitScope::Key(_) => "key",
            LimitScope::Group(_) => "group",
            LimitScope::Account(_) => "account",
        }
    }
}

/// A scope's id, as the scripts take and write it.
pub(super) fn scope_id(scope: &LimitScope) -> String {
    match scope {
        LimitScope::Key(key) => format!("key:{key}"),
        LimitScope::Group(group) => format!("group:{group}"),
        LimitScope::Account(account) => format!("account:{account}"),
    }
}

/// The scope with this id.
pub(super) fn parse_scope(id: &str) -> Option<LimitScope> {
    let (kind, id) = id.split_once(':')?;
    match kind {
        "key" => KeyId::try_from(id).ok().map(LimitScope::Key),
        "group" => GroupId::try_from(id).ok().map(LimitScope::Group),
        "account" => AccountId::try_from(id).ok().map(LimitScope::Account),
        _ => None,
    }
}

/// When a scope's days and weeks begin, as the scripts take and write it.
pub(super) fn starts_text(starts: PeriodStarts) -> String {
    let PeriodStarts { day_minute, week_day, week_hour } = starts;
    format!("{day_minute}/{week_day}/{week_hour}")
}

fn parse_starts(text: &str) -> Option<PeriodStarts> {
    let mut parts = text.split('/');
    Some(PeriodStarts {
        day_minute: parts.next()?.parse().ok()?,
        week_day: parts.next()?.parse().ok()?,
        week_hour: parts.next()?.parse().ok()?,
    })
}

/// What is kept of a request that is let in.
///
/// # Errors
///
/// [`StoreError::Refused`] if it cannot be written as JSON.
pub(super) fn write(request: &AdmitRequest) -> Result<String, StoreError> {
    let admitted = Admitted {
        key: request.key.clone(),
        platform: request.platform,
        model: request.model.as_str().into(),
        stream: request.stream,
        at: request.now,
        group: request.group.as_ref().map(|(id, _)| id.clone()),
    };
    let json =
        serde_json::to_string(&admitted).map_err(|error| StoreError::Refused(Box::new(error)))?;
    let (tokens, cost) = (request.estimate.tokens, budgets::amount_of(request.estimate.cost));
    Ok(format!("{tokens} {cost} {} {json}", u8::from(request.may_be_claude)))
}

/// What a checkpoint tells; empty keeps what was told before.
///
/// # Errors
///
/// [`StoreError::Refused`] if it cannot be written as JSON.
pub(super) fn write_progress(progress: Option<&Progress>) -> Result<String, StoreError> {
    let Some(Progress {
        account,
        served_model,
        usage,
        usage_source,
        terms,
        cost,
        presumed_cost,
        cost_by_kind,
        charged,
        edits,
    }) = progress.cloned()
    else {
        return Ok(String::new());
    };
    serde_json::to_string(&Known {
        account,
        served_model,
        usage,
        source: usage_source,
        terms,
        cost,
        presumed_cost,
        cost_by_kind,
        charged,
        edits,
    })
    .map_err(|error| StoreError::Refused(Box::new(error)))
}

/// The settlement at `now` of a request that nobody will settle any more.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if `admitted` or `known` are not what was written.
pub(super) fn orphan(
    request: RequestId,
    admitted: &str,
    known: Option<&str>,
    now: Timestamp,
) -> Result<Settlement, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: format!("the hold of {request}"), why };
    let json = admitted.splitn(4, ' ').nth(3).unwrap_or_default();
    let admitted: Admitted<'_> =
        serde_json::from_str(json).map_err(|error| corrupt(error.to_string()))?;
    let model = ModelName::try_from(admitted.model.as_ref());
    let known: Option<Known> = match known {
        None => None,
        Some(known) => {
            Some(serde_json::from_str(known).map_err(|error| corrupt(error.to_string()))?)
        }
    };
    let progress = known.map(|known| Progress {
        account: known.account,
        served_model: known.served_model,
        usage: known.usage,
        usage_source: known.source,
        terms: known.terms,
        cost: known.cost,
        presumed_cost: known.presumed_cost,
        cost_by_kind: known.cost_by_kind,
        charged: known.charged,
        edits: known.edits,
    });
    let orphan = Orphan {
        request,
        key: admitted.key,
        group: admitted.group,
        platform: admitted.platform,
        model: model.map_err(|error| corrupt(error.to_string()))?,
        stream: admitted.stream,
        started_at: admitted.at,
        progress,
    };
    Ok(Settlement::orphaned(orphan, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_as_the_scripts_write_it() {
        let starts = PeriodStarts { day_minute: 510, week_day: 3, week_hour: 10 };
        for scope in [
            LimitScope::Key(KeyId::try_from("k-1").unwrap()),
            LimitScope::Group(GroupId::try_from("team").unwrap()),
            LimitScope::Account(AccountId::try_from("a").unwrap()),
        ] {
            let text = format!("1 2 0 1 {} {}", starts_text(starts), scope_id(&scope));
            let part = Part { scope, starts, has_slot: true, text: text.clone() };
            assert_eq!(Part::parse(text), Some(part));
        }
        for text in ["", "1 2 0 1", "1 2 0 1 0/1/0 other:k", "1 2 0 1 0/1 key:k"] {
            assert_eq!(Part::parse(text.to_owned()), None, "{text:?}");
        }
    }
}
