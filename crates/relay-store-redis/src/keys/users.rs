//! v1's users, as far as their API keys need them: v1 refuses a key whose user is not there or not active.
//! They are read with the keys and never written.

use std::collections::{BTreeSet, HashMap};

use redis::Pipeline;
use relay_domain::{KeyUser, UserStanding};
use relay_store::StoreError;
use serde_json::Value;

use crate::connection;
use crate::hash::Hash;
use crate::shared::Shared;

/// Says of a key that an import has made that its user was active where it came from. It counts where v1
/// knows no such user.
pub(super) const ACTIVE_ELSEWHERE: &str = "relayUserActiveElsewhere";
/// The field of the user whose key it is.
const USER: &str = "userId";
/// How many users are read in one step.
const AT_ONCE: usize = 200;

/// The users that were found, and whether they are active. Who was not looked for counts as not there.
#[derive(Default)]
pub(crate) struct Users(HashMap<String, bool>);

impl Users {
    /// None: for keys of which only what is in their hashes is needed.
    pub(crate) fn unread() -> Self {
        Self::default()
    }

    /// The users of these keys. Makes no trip if they are nobody's.
    pub(crate) async fn of(shared: &Shared, keys: &[Hash]) -> Result<Self, StoreError> {
        let ids: BTreeSet<&str> = keys.iter().filter_map(|key| key.text(USER)).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let mut users = HashMap::new();
        for ids in ids.chunks(AT_ONCE) {
            let names: Vec<_> = ids.iter().map(|id| shared.keyspace.user(id)).collect();
            let mut pipeline = Pipeline::with_capacity(1);
            pipeline.cmd("MGET").arg(names);
            let answer = shared.pool.send(&pipeline).await?.pop().unwrap_or_default();
            let found: Vec<Option<Vec<u8>>> = connection::read(answer, "MGET")?;
            let found = ids.iter().zip(found);
            users
                .extend(found.filter_map(|(id, json)| Some(((*id).to_owned(), is_active(&json?)))));
        }
        Ok(Self(users))
    }

    /// The user of a key.
    pub(super) fn user_of(&self, key: &Hash) -> KeyUser {
        let is_active = match key.text(USER).and_then(|id| self.0.get(id)) {
            Some(is_active) => *is_active,
            None => key.is_true(ACTIVE_ELSEWHERE),
        };
        let standing = if is_active { UserStanding::Active } else { UserStanding::Disabled };
        KeyUser::new(key.text_or_empty(USER), key.text_or_empty("userUsername"), standing)
    }
}

fn is_active(json: &[u8]) -> bool {
    serde_json::from_slice(json).is_ok_and(|user: Value| user["isActive"] == Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_is_not_known_as_active_is_disabled() {
        for (json, expected) in [
            (r#"{"id":"u","isActive":true}"#, true),
            (r#"{"id":"u","isActive":false}"#, false),
            (r#"{"id":"u"}"#, false),
            ("true", false),
            ("", false),
        ] {
            assert_eq!(is_active(json.as_bytes()), expected, "{json}");
        }
        let users = Users(HashMap::from([("on".to_owned(), true), ("off".to_owned(), false)]));
        let standing = |fields: [(&str, &str); 2]| users.user_of(&Hash::from(fields)).standing();
        let elsewhere = (ACTIVE_ELSEWHERE, "true");
        for (fields, expected) in [
            ([(USER, "on"), ("", "")], Some(UserStanding::Active)),
            ([(USER, "off"), ("", "")], Some(UserStanding::Disabled)),
            ([(USER, "gone"), ("", "")], Some(UserStanding::Disabled)),
            ([(USER, "gone"), elsewhere], Some(UserStanding::Active)),
            ([(USER, "off"), elsewhere], Some(UserStanding::Disabled)),
            ([(USER, ""), elsewhere], None),
        ] {
            assert_eq!(standing(fields), expected, "{fields:?}");
        }
    }
}
