//! A settlement as the journal keeps it. Budgets are not in it: their thresholds are told by the next
//! settlement that passes them.

use relay_domain::{AccountId, AffinityKey, Timestamp};
use relay_store::{Binding, Charge, Rebind, Settlement, StoredRecord};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
struct SettlementForm {
    record: StoredRecord,
    counts: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bind: Option<BindingForm>,
    at: Timestamp,
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
    let form = SettlementForm {
        record: settlement.record.clone().into(),
        counts: settlement.charge == Charge::Count,
        bind,
        at: settlement.now,
    };
    serde_json::to_vec(&form)
}

/// Reads what [`write()`] wrote.
pub(super) fn read(bytes: &[u8]) -> Result<Settlement, serde_json::Error> {
    let form: SettlementForm = serde_json::from_slice(bytes)?;
    Ok(Settlement {
        record: form.record.into(),
        charge: if form.counts { Charge::Count } else { Charge::Release },
        bind: form.bind.map(|BindingForm { affinity, account, until }| Rebind {
            affinity,
            binding: Binding { account, until },
        }),
        budgets: Vec::new(),
        now: form.at,
    })
}
