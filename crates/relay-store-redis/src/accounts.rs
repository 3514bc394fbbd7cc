//! Upstream accounts, in v1's hashes. v2's Codex accounts are read and changed where they are.

pub(crate) mod form;
mod health;
mod proxy;
pub(crate) mod rests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::{
    Account, AccountGroup, AccountHealth, AccountId, AccountKind, HealthEvent, Timestamp,
};
use relay_store::{AccountRepository, AccountSecrets, StoreError, Update};

use crate::account_groups::{self, StoredGroup};
use crate::connection;
use crate::fault;
use crate::guarded_write::{ATTEMPTS, GuardedWrite, changed};
use crate::hash::Hash;
use crate::keyspace::{AccountFamily, Keyspace};
use crate::scan;
use crate::shared::Shared;

/// Accounts.
pub(crate) struct RedisAccounts {
    pub(crate) shared: Arc<Shared>,
}

/// An account's hash and where it is.
struct Found {
    family: AccountFamily,
    name: String,
    hash: Hash,
}

impl RedisAccounts {
    fn keyspace(&self) -> &Keyspace {
        &self.shared.keyspace
    }

    async fn find(&self, id: &AccountId) -> Result<Option<Found>, StoreError> {
        let names = AccountFamily::ALL.map(|family| self.keyspace().account(family, id.as_str()));
        let hashes = scan::read_all(&self.shared.pool, &names).await?;
        let found = AccountFamily::ALL.into_iter().zip(names).zip(hashes);
        let mut found = found.map(|((family, name), hash)| Found { family, name, hash });
        Ok(found.find(|found| form::is_account(&found.hash)))
    }

    /// The account that was found, with the rest that v1 may have given it.
    async fn parse_whole(&self, id: &AccountId, found: &Found) -> Result<Account, StoreError> {
        let rest = self.keyspace().short_rest(found.family, id.as_str());
        let rest = rests::read(&self.shared, &[rest]).await?.pop().flatten();
        let account = form::parse(id, found.family, &found.hash)?;
        Ok(Account { health: rests::joined(account.health, rest), ..account })
    }

    /// Under which name an account is, if it is there.
    pub(crate) async fn place_of(&self, id: &AccountId) -> Result<Option<String>, StoreError> {
        Ok(self.find(id).await?.map(|found| found.name))
    }

    /// The version of the accounts and their groups, as it is stored.
    async fn version(&self) -> Result<Option<String>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("GET").arg(self.keyspace().account_version());
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        connection::read(answer.unwrap_or_default(), "GET")
    }

    /// Takes accounts into the indexes that v2 made, which keeps none. Once in a process.
    async fn index_what_is_not(&self) -> Result<(), StoreError> {
        let Shared { pool, keyspace, accounts_indexed, .. } = &*self.shared;
        if accounts_indexed.load(Ordering::Relaxed) {
            return Ok(());
        }
        for family in AccountFamily::ALL {
            let names = scan::hashes(pool, &keyspace.account_pattern(family)).await?;
            let ids = names.iter().filter_map(|name| keyspace.account_id_of(family, name));
            let ids: BTreeSet<_> = ids.collect();
            if ids.is_empty() {
                continue;
            }
            let mut pipeline = Pipeline::with_capacity(2);
            pipeline.cmd("SADD").arg(keyspace.account_ids(family)).arg(ids);
            pipeline.cmd("DEL").arg(keyspace.no_accounts(family));
            pool.send(&pipeline).await?;
        }
        accounts_indexed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the account is in the set of shared ones.
    fn place(&self, write: &mut GuardedWrite, family: AccountFamily, account: &Account) {
        let command = match account.kind {
            AccountKind::Shared => "SADD",
            AccountKind::Dedicated => "SREM",
        };
        write.write(command, self.keyspace().shared_accounts(family), [account.id.as_str()]);
    }
}

#[async_trait]
impl AccountRepository for RedisAccounts {
    async fn create(&self, account: &Account) -> Result<(), StoreError> {
        let keyspace = self.keyspace();
        let family = AccountFamily::of_new(account.platform);
        let name = keyspace.account(family, account.id.as_str());
        let mut write = GuardedWrite::default();
        for family in AccountFamily::ALL {
            write.if_absent(keyspace.account(family, account.id.as_str()));
        }
        write.set_fields(&name, &form::fixed_fields(account, family));
        write.set_fields(&name, &form::fields(account, family)?);
        write.set_fields(&name, &health::fields(&account.health, family)?);
        write.write("SADD", keyspace.account_ids(family), [account.id.as_str()]);
        write.write("DEL", keyspace.no_accounts(family), [""; 0]);
        self.place(&mut write, family, account);
        write.write("INCR", keyspace.account_version(), [""; 0]);
        match write.run(&self.shared).await? {
            None => Ok(()),
            Some(_) => Err(StoreError::Duplicate { what: format!("the account {}", account.id) }),
        }
    }

    async fn get(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        match self.find(id).await? {
            Some(found) => self.parse_whole(id, &found).await.map(Some),
            None => Ok(None),
        }
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        self.index_what_is_not().await?;
        let Shared { pool, keyspace, .. } = &*self.shared;
        let mut accounts = Vec::new();
        for family in AccountFamily::ALL {
            let ids = scan::members(pool, &keyspace.account_ids(family)).await?;
            let names: Vec<_> = ids.iter().map(|id| keyspace.account(family, id)).collect();
            let hashes = scan::read_all(pool, &names).await?;
            let read = |(id, hash): (&String, &Hash)| form::parse_or_pass_over(id, family, hash);
            let found: Vec<Account> = ids.iter().zip(&hashes).filter_map(read).collect();
            let names =
                found.iter().map(|account| keyspace.short_rest(family, account.id.as_str()));
            let rests = rests::read(&self.shared, &names.collect::<Vec<_>>()).await?;
            accounts.extend(found.into_iter().zip(rests).map(|(account, rest)| Account {
                health: rests::joined(account.health, rest),
                ..account
            }));
        }
        accounts.sort_by(|a: &Account, b| (a.priority, &a.id).cmp(&(b.priority, &b.id)));
        Ok(accounts)
    }

    async fn update(&self, account: &Account) -> Result<Update, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(Found { family, name, hash }) = self.find(&account.id).await? else {
                return Ok(Update::Absent);
            };
            let old = form::parse(&account.id, family, &hash)?;
            if old.revision != account.revision {
                return Ok(Update::Stale { current: old.revision });
            }
            let revision = old.revision.saturating_add(1);
            let mut fields = changed(&form::fields(&old, family)?, form::fields(account, family)?);
            fields.extend(form::chosen_switches(&old, account, &hash));
            fields.push((form::REVISION, revision.to_string()));
            let mut write = GuardedWrite::default();
            write.if_still(&name, form::ID, hash.stored(form::ID));
            write.if_still(&name, form::REVISION, hash.stored(form::REVISION));
            write.set_fields(&name, &fields);
            self.place(&mut write, family, account);
            write.write("INCR", self.keyspace().account_version(), [""; 0]);
            if write.run(&self.shared).await?.is_none() {
                return Ok(Update::Done { revision });
            }
        }
        Err(fault::contended(format!("account {}", account.id)))
    }

    async fn reseal(
        &self,
        id: &AccountId,
        expected: &AccountSecrets,
        next: &AccountSecrets,
    ) -> Result<bool, StoreError> {
        let Some(Found { family, name, hash }) = self.find(id).await? else { return Ok(false) };
        let account = form::parse(id, family, &hash)?;
        if AccountSecrets::of(&account) != *expected {
            return Ok(false);
        }
        let mut write = GuardedWrite::default();
        for field in form::SECRET {
            write.if_still(&name, field, hash.stored(field));
        }
        write.if_still(&name, form::REVISION, hash.stored(form::REVISION));
        let resealed = next.clone().put_into(account.clone());
        let mut fields =
            changed(&form::fields(&account, family)?, form::fields(&resealed, family)?);
        fields.push((form::REVISION, account.revision.saturating_add(1).to_string()));
        write.set_fields(&name, &fields);
        write.write("INCR", self.keyspace().account_version(), [""; 0]);
        Ok(write.run(&self.shared).await?.is_none())
    }

    async fn delete(&self, id: &AccountId) -> Result<Option<Vec<AccountGroup>>, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(Found { family, name, .. }) = self.find(id).await? else { return Ok(None) };
            let keyspace = self.keyspace();
            let mut write = GuardedWrite::default();
            write.if_present(&name);
            // Before the groups: who lets it join one while they are read raises it.
            match self.version().await? {
                Some(version) => write.if_text_is(keyspace.account_version(), &version),
                None => write.if_absent(keyspace.account_version()),
            }
            let mut groups = account_groups::all(&self.shared).await?;
            groups.retain(|group| group.members.contains(id.as_str()));
            write.write("DEL", &name, [""; 0]);
            write.write("SREM", keyspace.account_ids(family), [id.as_str()]);
            write.write("SREM", keyspace.shared_accounts(family), [id.as_str()]);
            account_groups::leave(keyspace, &groups, id.as_str(), &mut write);
            write.write("INCR", keyspace.account_version(), [""; 0]);
            if write.run(&self.shared).await?.is_none() {
                return Ok(Some(groups.iter().filter_map(StoredGroup::parse).collect()));
            }
        }
        Err(fault::contended(format!("account {id}")))
    }

    async fn apply_health(
        &self,
        id: &AccountId,
        event: &HealthEvent,
        now: Timestamp,
    ) -> Result<Option<AccountHealth>, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(found) = self.find(id).await? else { return Ok(None) };
            let old = self.parse_whole(id, &found).await?;
            let Found { family, name, hash } = found;
            let new = old.health.clone().on(event.clone(), now);
            if new == old.health {
                return Ok(Some(new));
            }
            let mut write = GuardedWrite::default();
            for field in health::DECISIVE {
                write.if_still(&name, field, hash.stored(field));
            }
            write.set_fields(&name, &health::fields(&new, family)?);
            write.set_fields(&name, &form::switches(&old, &hash));
            if *event == HealthEvent::Reset {
                write.write("DEL", self.keyspace().short_rest(family, id.as_str()), [""; 0]);
            }
            write.write("INCR", self.keyspace().account_version(), [""; 0]);
            if write.run(&self.shared).await?.is_none() {
                return Ok(Some(new));
            }
        }
        Err(fault::contended(format!("the health of account {id}")))
    }
}
