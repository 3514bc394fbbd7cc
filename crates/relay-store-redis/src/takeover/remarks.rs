//! What an operator should know of API keys that are served, or not, otherwise than their predecessor did.

use std::collections::BTreeMap;

use relay_domain::{ApiKey, Calendar};
use relay_store::StoreError;

use super::Survey;
use crate::hash::Hash;
use crate::keys::form;
use crate::scan;
use crate::shared::Shared;

/// How long v2's ids are.
const ID_OF_V2: usize = 16;

/// API keys of which the same is to be said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Remark {
    /// How many there are.
    pub keys: usize,
    /// The first of them, at most [`NAMED`](Self::NAMED): their ids, and what it is about.
    pub first: Vec<(String, String)>,
}

impl Remark {
    /// How many keys are named.
    pub const NAMED: usize = 50;

    fn add(&mut self, key: &ApiKey, about: &str) {
        self.keys += 1;
        if self.first.len() < Self::NAMED {
            self.first.push((key.id.to_string(), about.to_owned()));
        }
    }
}

/// Looks at a key that is not deleted, which was read from `hash`.
pub(super) fn look(survey: &mut Survey, key: &ApiKey, hash: &Hash, calendar: Calendar) {
    if let Some(text) = form::unreadable_end(hash, calendar) {
        survey.unreadable_ends.add(key, text);
    }
    let tokens = key.limits.window.and_then(|window| window.tokens);
    if let (Some(tokens), true) = (tokens, is_of_v2(key.id.as_str())) {
        survey.token_limits_of_v2.add(key, &tokens.to_string());
    }
}

/// Whether v2 made the key with this id: v1 and Relay make longer ones.
fn is_of_v2(id: &str) -> bool {
    id.len() == ID_OF_V2 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Looks at what keys that are not deleted need, and is not in their hashes.
pub(super) async fn look_around(
    shared: &Shared,
    keys: &[ApiKey],
    survey: &mut Survey,
) -> Result<(), StoreError> {
    let groups = scan::fields(&shared.pool, &shared.keyspace.key_groups()).await?;
    let groups: BTreeMap<_, _> = groups.into_iter().collect();
    let living = || keys.iter().filter(|key| key.deleted.is_none());
    for key in living() {
        if key.user.is_disabled() {
            survey.users_in_vain.add(key, key.user.id());
        }
        if let Some(group) = key.group.as_ref().filter(|id| !groups.contains_key(id.as_str())) {
            survey.groups_in_vain.add(key, group.as_str());
        }
    }
    Ok(())
}
