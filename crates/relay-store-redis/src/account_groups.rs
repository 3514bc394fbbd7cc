//! Groups of accounts, in v1's form: the ids in a set, a hash for each group, its members in a set, and for
//! each member a set of its groups.
//!
//! v1 has groups of platforms that Relay does not serve, and members that are accounts of kinds that Relay
//! does not know. Neither are touched, but an account of Relay's that is removed leaves whatever group it is in.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use relay_domain::{AccountGroup, AccountGroupId, AccountId, Platform, Timestamp};
use relay_store::{AccountGroupRepository, GroupRemoval, StoreError, Update};

use crate::accounts::{self, RedisAccounts};
use crate::fault;
use crate::group_removal::{self, Removal};
use crate::guarded_write::{ATTEMPTS, GuardedWrite, changed};
use crate::hash::Hash;
use crate::keys::RedisKeys;
use crate::keyspace::Keyspace;
use crate::scan;
use crate::shared::Shared;

/// The field of the revision, on which changes are decided.
const REVISION: &str = "relayRevision";

/// Groups of accounts.
pub(crate) struct RedisAccountGroups {
    pub(crate) shared: Arc<Shared>,
}

/// A group as it is stored.
pub(crate) struct StoredGroup {
    pub(crate) id: String,
    pub(crate) hash: Hash,
    pub(crate) members: BTreeSet<String>,
}

impl StoredGroup {
    /// The group, if it is one of a platform that Relay serves.
    pub(crate) fn parse(&self) -> Option<AccountGroup> {
        let hash = &self.hash;
        let platform = match self.platform() {
            "claude" => Platform::ClaudeConsole,
            "openai" => Platform::Codex,
            _ => return None,
        };
        let member = |id: &String| AccountId::try_from(id.as_str()).ok();
        let created_at = hash.moment("createdAt").unwrap_or_default();
        Some(AccountGroup {
            id: AccountGroupId::try_from(self.id.as_str()).ok()?,
            name: hash.text_or_empty("name"),
            platform,
            description: hash.text_or_empty("description"),
            members: self.members.iter().filter_map(member).collect(),
            created_at,
            // v1 writes it from the beginning.
            updated_at: hash.moment("updatedAt").filter(|moment| *moment != created_at),
            revision: hash.number(REVISION).unwrap_or(0),
        })
    }

    /// v1's word for its platform, by which its members are listed.
    pub(crate) fn platform(&self) -> &str {
        self.hash.text("platform").unwrap_or_default()
    }

    /// The set of the groups that one of its members is in.
    fn groups_of(&self, keyspace: &Keyspace, member: &str) -> String {
        keyspace.groups_of_account(self.platform(), member)
    }

    /// Lets writes happen only if nobody has changed it.
    pub(crate) fn guard(&self, keyspace: &Keyspace, write: &mut GuardedWrite) {
        let name = keyspace.account_group(&self.id);
        write.if_present(&name);
        write.if_still(name, REVISION, self.hash.stored(REVISION));
    }
}

/// The groups with these ids that there are, of whatever platform.
pub(crate) async fn read(shared: &Shared, ids: &[String]) -> Result<Vec<StoredGroup>, StoreError> {
    let Shared { pool, keyspace, .. } = shared;
    // The hashes first: a change of the members in between has raised the revision by then.
    let names: Vec<_> = ids.iter().map(|id| keyspace.account_group(id)).collect();
    let hashes = scan::read_all(pool, &names).await?;
    let names: Vec<_> = ids.iter().map(|id| keyspace.account_group_members(id)).collect();
    let sets = scan::sets(pool, &names).await?;
    let found = ids.iter().zip(hashes).zip(sets).filter(|((_, hash), _)| !hash.is_absent());
    let group = |((id, hash), members): ((&String, Hash), BTreeSet<String>)| StoredGroup {
        id: id.clone(),
        hash,
        members,
    };
    Ok(found.map(group).collect())
}

/// Every group of whatever platform.
pub(crate) async fn all(shared: &Shared) -> Result<Vec<StoredGroup>, StoreError> {
    let ids = scan::members(&shared.pool, shared.keyspace.account_group_ids()).await?;
    read(shared, &ids).await
}

/// Takes an account out of `groups`, which it is in.
pub(crate) fn leave(
    keyspace: &Keyspace,
    groups: &[StoredGroup],
    account: &str,
    write: &mut GuardedWrite,
) {
    for group in groups {
        group.guard(keyspace, write);
        write.write("SREM", keyspace.account_group_members(&group.id), [account]);
        write.write("SREM", group.groups_of(keyspace, account), [group.id.as_str()]);
        write.write("HINCRBY", keyspace.account_group(&group.id), [REVISION, "1"]);
    }
}

impl RedisAccountGroups {
    /// The group with this id as it is stored, and as Relay knows it.
    async fn find(
        &self,
        id: &AccountGroupId,
    ) -> Result<Option<(StoredGroup, AccountGroup)>, StoreError> {
        let stored = read(&self.shared, &[id.to_string()]).await?.pop();
        Ok(stored.and_then(|stored| stored.parse().map(|group| (stored, group))))
    }

    /// The writes that remove a group, which happen only if neither it nor any key has been changed since;
    /// or why it stays.
    async fn removal(&self, id: &AccountGroupId, revision: u64) -> Result<Removal, StoreError> {
        let keyspace = &self.shared.keyspace;
        let Some((stored, old)) = self.find(id).await? else {
            return Ok(Err(GroupRemoval::Absent));
        };
        if old.revision != revision {
            return Ok(Err(GroupRemoval::Stale { current: old.revision }));
        }
        let mut write = GuardedWrite::default();
        stored.guard(keyspace, &mut write);
        let keys = RedisKeys { shared: Arc::clone(&self.shared) };
        match keys.count_bound(&old, &mut write).await? {
            0 => {}
            keys => return Ok(Err(GroupRemoval::InUse { keys })),
        }
        for member in &stored.members {
            write.write("SREM", stored.groups_of(keyspace, member), [id.as_str()]);
        }
        write.write("DEL", keyspace.account_group_members(&stored.id), [""; 0]);
        write.write("DEL", keyspace.account_group(&stored.id), [""; 0]);
        write.write("SREM", keyspace.account_group_ids(), [id.as_str()]);
        write.write("INCR", keyspace.account_version(), [""; 0]);
        Ok(Ok(write))
    }

    /// Adds a group, if these of its members are there.
    async fn add(&self, group: &AccountGroup, needed: &[&AccountId]) -> Result<(), StoreError> {
        let keyspace = &self.shared.keyspace;
        let name = keyspace.account_group(group.id.as_str());
        let mut write = GuardedWrite::default();
        write.if_absent(&name);
        let on_members = write.guard_count();
        self.need(needed, &mut write).await?;
        let fixed = [
            ("id", group.id.to_string()),
            ("platform", platform_text(group.platform).to_owned()),
            ("createdAt", group.created_at.to_string()),
            (REVISION, group.revision.to_string()),
        ];
        write.set_fields(&name, &fixed);
        write.set_fields(&name, &fields(group));
        write.write("SADD", keyspace.account_group_ids(), [group.id.as_str()]);
        let members = keyspace.account_group_members(group.id.as_str());
        write.write("DEL", &members, [""; 0]);
        for member in &group.members {
            let groups = keyspace.groups_of_account(platform_text(group.platform), member.as_str());
            write.write("SADD", &members, [member.as_str()]);
            write.write("SADD", groups, [group.id.as_str()]);
        }
        write.write("INCR", keyspace.account_version(), [""; 0]);
        match write.run(&self.shared).await? {
            None => Ok(()),
            Some(position) if on_members <= position => Err(missing(needed, position - on_members)),
            Some(_) => {
                Err(StoreError::Duplicate { what: format!("the account group {}", group.id) })
            }
        }
    }

    /// Lets a write happen only if these accounts are there: a guard for each.
    async fn need(
        &self,
        accounts: &[&AccountId],
        write: &mut GuardedWrite,
    ) -> Result<(), StoreError> {
        let repository = RedisAccounts { shared: Arc::clone(&self.shared) };
        for account in accounts {
            let place = repository.place_of(account).await?;
            let place = place.ok_or_else(|| missing(&[account], 0))?;
            write.if_has(place, accounts::form::ID);
        }
        Ok(())
    }
}

#[async_trait]
impl AccountGroupRepository for RedisAccountGroups {
    async fn create(&self, group: &AccountGroup) -> Result<(), StoreError> {
        let members: Vec<_> = group.members.iter().collect();
        self.add(group, &members).await
    }

    async fn import(&self, group: &AccountGroup) -> Result<(), StoreError> {
        self.add(group, &[]).await
    }

    async fn get(&self, id: &AccountGroupId) -> Result<Option<AccountGroup>, StoreError> {
        Ok(self.find(id).await?.map(|(_, group)| group))
    }

    async fn list(&self) -> Result<Vec<AccountGroup>, StoreError> {
        let stored = all(&self.shared).await?;
        let mut groups: Vec<_> = stored.iter().filter_map(StoredGroup::parse).collect();
        groups.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(groups)
    }

    async fn update(&self, group: &AccountGroup) -> Result<Update, StoreError> {
        let keyspace = &self.shared.keyspace;
        for _ in 0..ATTEMPTS {
            let Some((stored, old)) = self.find(&group.id).await? else {
                return Ok(Update::Absent);
            };
            if old.revision != group.revision {
                return Ok(Update::Stale { current: old.revision });
            }
            let mut write = GuardedWrite::default();
            stored.guard(keyspace, &mut write);
            let revision = old.revision.saturating_add(1);
            let new = AccountGroup { created_at: old.created_at, ..group.clone() };
            let mut fields = changed(&fields(&old), fields(&new));
            fields.push((REVISION, revision.to_string()));
            write.set_fields(&keyspace.account_group(&stored.id), &fields);
            let members = keyspace.account_group_members(&stored.id);
            let joined: Vec<_> = new.members.difference(&old.members).collect();
            let on_members = write.guard_count();
            self.need(&joined, &mut write).await?;
            let moves = [
                ("SADD", new.members.difference(&old.members)),
                ("SREM", old.members.difference(&new.members)),
            ];
            for (command, accounts) in moves {
                for account in accounts {
                    write.write(command, &members, [account.as_str()]);
                    let groups = stored.groups_of(keyspace, account.as_str());
                    write.write(command, groups, [stored.id.as_str()]);
                }
            }
            write.write("INCR", keyspace.account_version(), [""; 0]);
            match write.run(&self.shared).await? {
                None => return Ok(Update::Done { revision }),
                Some(position) if on_members <= position => {
                    return Err(missing(&joined, position - on_members));
                }
                Some(_) => {}
            }
        }
        Err(fault::contended(format!("account group {}", group.id)))
    }

    async fn delete(&self, id: &AccountGroupId, revision: u64) -> Result<GroupRemoval, StoreError> {
        let what = format!("account group {id}");
        group_removal::remove(&self.shared, what, || self.removal(id, revision)).await
    }
}

/// The fields that an operator may change.
fn fields(group: &AccountGroup) -> Vec<(&'static str, String)> {
    let updated_at: Timestamp = group.updated_at.unwrap_or(group.created_at);
    vec![
        ("name", group.name.clone()),
        ("description", group.description.clone()),
        ("updatedAt", updated_at.to_string()),
    ]
}

/// The account at this position is not there.
fn missing(accounts: &[&AccountId], position: usize) -> StoreError {
    let id = accounts.get(position).map_or("", |account| account.as_str());
    StoreError::Missing { what: format!("account {id}") }
}

/// v1's word for a platform.
fn platform_text(platform: Platform) -> &'static str {
    match platform {
        Platform::ClaudeConsole => "claude",
        Platform::Codex => "openai",
    }
}

#[cfg(test)]
mod tests;
