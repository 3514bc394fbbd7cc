//! What a batch of settlements uses and binds: conversations, and when keys and accounts were last used.

use relay_domain::{Platform, RequestRecord, Timestamp};
use relay_store::{Binding, Settlement, StoreError};
use serde::Serialize;

use crate::call::Call;
use crate::keyspace::{AccountFamily, Keyspace};

/// The longest lifetime that is given to a name: Redis refuses absurd ones.
const MAX_LIFETIME_MS: u64 = 1_000 * 24 * 3_600_000;

/// The value of a binding: v1's, with the end that v1 leaves to the name's lifetime.
#[derive(Serialize)]
struct BindingForm<'a> {
    #[serde(rename = "accountId")]
    account: &'a str,
    #[serde(rename = "accountType")]
    kind: &'static str,
    until: Timestamp,
}

/// A binding to an account of a platform as it is written.
///
/// # Errors
///
/// [`StoreError::Refused`] if it cannot be written as JSON.
pub(crate) fn binding_text(platform: Platform, binding: &Binding) -> Result<String, StoreError> {
    let kind = AccountFamily::of_new(platform).sticky_kind();
    let form = BindingForm { account: binding.account.as_str(), kind, until: binding.until };
    serde_json::to_string(&form).map_err(|error| StoreError::Refused(Box::new(error)))
}

/// How long a binding is kept from `now` on, in milliseconds. One that has ended already is written with the
/// shortest life: it replaces the old.
pub(crate) fn binding_lifetime(binding: &Binding, now: Timestamp) -> u64 {
    let lifetime = binding.until.since(now).as_millis();
    u64::try_from(lifetime).unwrap_or(u64::MAX).clamp(1, MAX_LIFETIME_MS)
}

/// What a batch uses and binds.
#[derive(Default)]
pub(super) struct Uses<'a> {
    /// Name, value, lifetime in milliseconds.
    bindings: Vec<(String, String, u64)>,
    keys: Vec<(&'a str, Timestamp)>,
    accounts: Vec<((AccountFamily, &'a str), Timestamp)>,
}

impl<'a> Uses<'a> {
    /// Binds a conversation, if the settlement does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] if the binding cannot be written as JSON.
    pub(super) fn bind(
        &mut self,
        settlement: &Settlement,
        keyspace: &Keyspace,
    ) -> Result<(), StoreError> {
        let Settlement { record, bind, now, .. } = settlement;
        let Some(bind) = bind else { return Ok(()) };
        let value = binding_text(record.platform, &bind.binding)?;
        let name = keyspace.binding(record.platform, &bind.affinity);
        self.bindings.push((name, value, binding_lifetime(&bind.binding, *now)));
        Ok(())
    }

    /// Dates what a counted request used. Returns the position of its key, from 1.
    pub(super) fn count(&mut self, record: &'a RequestRecord, now: Timestamp) -> usize {
        if let Some(account) = &record.account {
            for family in AccountFamily::of_platform(record.platform) {
                used_at(&mut self.accounts, (*family, account.as_str()), now);
            }
        }
        used_at(&mut self.keys, record.key.as_str(), now)
    }

    /// Appends them, as `settle.lua` takes them.
    pub(super) fn write(&self, call: &mut Call<'a>, keyspace: &Keyspace) {
        call.arg(self.bindings.len());
        for (name, value, lifetime_ms) in &self.bindings {
            call.name(name.clone());
            call.arg(value.clone());
            call.arg(*lifetime_ms);
        }
        call.arg(self.keys.len());
        for (id, used) in &self.keys {
            call.name(keyspace.key(id));
            call.arg(*id);
            call.arg(used.to_string());
            call.arg(used.as_millis());
        }
        call.arg(self.accounts.len());
        for ((family, id), used) in &self.accounts {
            call.name(keyspace.account(*family, id));
            call.arg(used.to_string());
        }
    }
}

/// Dates a use. Returns its position, from 1.
fn used_at<T: PartialEq>(uses: &mut Vec<(T, Timestamp)>, id: T, now: Timestamp) -> usize {
    if let Some(at) = uses.iter().position(|(known, _)| *known == id) {
        if let Some((_, latest)) = uses.get_mut(at) {
            *latest = now.max(*latest);
        }
        return at + 1;
    }
    uses.push((id, now));
    uses.len()
}
