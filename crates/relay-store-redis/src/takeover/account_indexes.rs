//! v1's sets of accounts, compared with the accounts.

use std::collections::HashSet;

use redis::Pipeline;
use relay_domain::{Account, AccountKind};
use relay_store::StoreError;

use super::Wrongs;
use crate::connection;
use crate::guarded_write::GuardedWrite;
use crate::keyspace::AccountFamily;
use crate::scan;
use crate::shared::Shared;

/// What is to be done about the sets.
#[derive(Default)]
pub(super) struct AccountRepairs {
    changes: Vec<Change>,
}

/// A change of a set that holds as long as the account is there, or is not.
struct Change {
    account: String,
    is_there: bool,
    command: &'static str,
    set: String,
    member: Option<String>,
}

impl AccountRepairs {
    /// Compares the sets of a family with its accounts: the ids of all, and those that can be read.
    pub(super) async fn look(
        &mut self,
        shared: &Shared,
        (family, ids, readable): (AccountFamily, &[String], &[Account]),
        wrongs: &mut Wrongs,
    ) -> Result<(), StoreError> {
        let Shared { pool, keyspace, .. } = shared;
        let (index, shared_set) = (keyspace.account_ids(family), keyspace.shared_accounts(family));
        let set = async |name: &str| {
            Ok::<HashSet<_>, StoreError>(scan::members(pool, name).await?.into_iter().collect())
        };
        let (listed, shared_ids) = (set(&index).await?, set(&shared_set).await?);
        let mut change = |command: &'static str, set: &str, id: &str, is_there: bool| {
            if command == "SADD" {
                wrongs.missing(set);
            } else {
                wrongs.stale(set);
            }
            let (account, set) = (keyspace.account(family, id), set.to_owned());
            let member = Some(id.to_owned());
            self.changes.push(Change { account, is_there, command, set, member });
        };
        for account in readable {
            let id = account.id.as_str();
            if !listed.contains(id) {
                change("SADD", &index, id, true);
            }
            match account.kind {
                AccountKind::Shared if !shared_ids.contains(id) => {
                    change("SADD", &shared_set, id, true);
                }
                AccountKind::Dedicated if shared_ids.contains(id) => {
                    change("SREM", &shared_set, id, true);
                }
                AccountKind::Shared | AccountKind::Dedicated => {}
            }
        }
        let present: HashSet<&str> = ids.iter().map(String::as_str).collect();
        for (set, name) in [(&listed, &index), (&shared_ids, &shared_set)] {
            for id in set.iter().filter(|id| !present.contains(id.as_str())) {
                change("SREM", name, id, false);
            }
        }
        let empty = keyspace.no_accounts(family);
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("EXISTS").arg(&empty);
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        if let (true, Some(account)) = (connection::read(answer, "EXISTS")?, readable.first()) {
            wrongs.stale(&empty);
            let account = keyspace.account(family, account.id.as_str());
            self.changes.push(Change {
                account,
                is_there: true,
                command: "DEL",
                set: empty,
                member: None,
            });
        }
        Ok(())
    }

    /// Does it.
    pub(super) async fn make(self, shared: &Shared) -> Result<(), StoreError> {
        for Change { account, is_there, command, set, member } in self.changes {
            let mut write = GuardedWrite::default();
            if is_there {
                write.if_present(account);
            } else {
                write.if_absent(account);
            }
            write.write(command, set, member);
            write.run(shared).await?;
        }
        Ok(())
    }
}
