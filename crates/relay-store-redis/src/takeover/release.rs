//! Making way for a v2: it takes every name that begins like an API key's or an account's for one, and
//! stops at v1's indexes.

use redis::Pipeline;
use relay_store::StoreError;

use crate::connection;
use crate::keyspace::AccountFamily;
use crate::scan;
use crate::shared::Shared;

/// How many names are removed in one trip.
const AT_ONCE: usize = 500;

/// Whose form the login has under v2's name for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LoginOf {
    /// v2's.
    V2,
    /// Relay's, which keeps hashes in the form that names their function, v1's too.
    Relay,
}

/// Whose login there is, if there is one.
pub(super) async fn login(shared: &Shared) -> Result<Option<LoginOf>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("GET").arg(shared.keyspace.admin_credentials());
    let login = shared.pool.send(&pipeline).await?.pop().unwrap_or_default();
    let login: Option<String> = connection::read(login, "GET")?;
    let whose = |json: String| if json.contains("\"$") { LoginOf::Relay } else { LoginOf::V2 };
    Ok(login.map(whose))
}

/// Removes what a v2 cannot read, and returns how many names that were.
pub(crate) async fn release_to_v2(shared: &Shared) -> Result<usize, StoreError> {
    let Shared { pool, keyspace, .. } = shared;
    let mut names: Vec<String> = Vec::new();
    let mut bindings = Vec::new();
    for name in scan::names(pool).await? {
        let of_account =
            |family| name == keyspace.account_ids(family) || name == keyspace.no_accounts(family);
        if keyspace.is_key_index(&name) || AccountFamily::ALL.into_iter().any(of_account) {
            names.push(name);
        } else if keyspace.is_binding(&name) {
            bindings.push(name);
        }
    }
    let types = super::types(shared, &bindings).await?;
    let of_v1 = bindings.into_iter().zip(types).filter(|(_, kind)| kind == "string");
    names.extend(of_v1.map(|(name, _)| name));
    // v2 reads its own hashes alone, and makes the login anew from its environment where there is none.
    if login(shared).await? == Some(LoginOf::Relay) {
        names.push(keyspace.admin_credentials().to_owned());
    }
    for names in names.chunks(AT_ONCE) {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("DEL").arg(names);
        for answer in pool.send(&pipeline).await? {
            connection::accepted(answer)?;
        }
    }
    Ok(names.len())
}
