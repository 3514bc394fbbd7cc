//! A settlement as the journal keeps it, with the budgets whose thresholds it may pass. A journal may have been
//! written by an earlier version, which kept no budgets: their thresholds are then told by the next settlement
//! that passes them. What a later version wrote is left for it.

use relay_domain::{AccountId, AffinityKey, LimitScope, Timestamp};
use relay_store::{Binding, Charge, Rebind, Settlement, StoredLimits, StoredRecord};
use serde::{Deserialize, Serialize};

/// The version that is written. The first said none; the second has budgets.
const VERSION: u32 = 2;

/// Why an entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableEntry {
    /// A later version wrote it.
    #[error("it is of version {0}, and this Relay knows {VERSION}")]
    Later(u32),
    /// It is not as it should be.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
}

#[derive(Deserialize, Serialize)]
struct SettlementForm {
    #[serde(default = "first")]
    version: u32,
    record: StoredRecord,
    counts: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bind: Option<BindingForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    budgets: Vec<BudgetForm>,
    at: Timestamp,
}

/// All that is read first: what else there is depends on it.
#[derive(Deserialize)]
struct VersionForm {
    #[serde(default = "first")]
    version: u32,
}

#[derive(Deserialize, Serialize)]
struct BudgetForm {
    scope: LimitScope,
    limits: StoredLimits,
}

fn first() -> u32 {
    1
}

#[derive(Deserialize, Serialize)]
struct BindingForm {
    affinity: AffinityKey,
    account: AccountId,
    until: Timestamp,
}

/// Writes a settlement.
pub(super) fn write(settlement: &Settlement) -> Result<Vec<u8>, serde_json::Error> {
    let bind = settlement.bind.as_ref().map(|Rebind { affinity, binding }| BindingForm {
        affinity: affinity.clone(),
        account: binding.account.clone(),
        until: binding.until,
    });
    let budgets = settlement
        .budgets
        .iter()
        .map(|(scope, limits)| BudgetForm { scope: scope.clone(), limits: (*limits).into() });
    let form = SettlementForm {
        version: VERSION,
        record: settlement.record.clone().into(),
        counts: settlement.charge == Charge::Count,
        bind,
        budgets: budgets.collect(),
        at: settlement.now,
    };
    serde_json::to_vec(&form)
}

/// Reads what [`write()`] wrote, or an earlier version did.
pub(super) fn read(bytes: &[u8]) -> Result<Settlement, UnreadableEntry> {
    let VersionForm { version } = serde_json::from_slice(bytes)?;
    if VERSION < version {
        return Err(UnreadableEntry::Later(version));
    }
    let form: SettlementForm = serde_json::from_slice(bytes)?;
    Ok(Settlement {
        record: form.record.into(),
        charge: if form.counts { Charge::Count } else { Charge::Release },
        bind: form.bind.map(|BindingForm { affinity, account, until }| Rebind {
            affinity,
            binding: Binding { account, until },
        }),
        budgets: form
            .budgets
            .into_iter()
            .map(|BudgetForm { scope, limits }| (scope, limits.into()))
            .collect(),
        now: form.at,
    })
}
