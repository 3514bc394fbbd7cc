//! v1's groups of accounts: the set of them, and the sets by which an account finds its groups, compared with
//! the groups. Those of platforms that Relay does not serve are left alone.

use std::collections::{BTreeMap, BTreeSet};

use relay_domain::{AccountBinding, AccountGroup, ApiKey, Platform};
use relay_store::StoreError;

use super::{Survey, Wrongs};
use crate::account_groups::{self, StoredGroup};
use crate::guarded_write::GuardedWrite;
use crate::scan;
use crate::shared::Shared;

/// The groups, and what is to be done about the sets.
pub(super) struct GroupRepairs {
    /// Those of the platforms that Relay serves.
    groups: BTreeMap<String, (StoredGroup, AccountGroup)>,
    /// How many there are of others.
    others: usize,
    changes: Vec<Change>,
}

/// A change of a set that holds as long as the group is as it was read, or is not there.
struct Change {
    group: String,
    command: &'static str,
    set: String,
}

impl GroupRepairs {
    /// Compares the sets with the groups: their ids, and the names of all else about groups.
    pub(super) async fn of(
        shared: &Shared,
        (ids, names): (&[String], &[String]),
        wrongs: &mut Wrongs,
    ) -> Result<Self, StoreError> {
        let Shared { pool, keyspace, .. } = shared;
        let stored = account_groups::read(shared, ids).await?;
        let present: BTreeSet<String> = stored.iter().map(|group| group.id.clone()).collect();
        let groups = stored.into_iter().filter_map(|stored| {
            let group = stored.parse()?;
            Some((stored.id.clone(), (stored, group)))
        });
        let groups: BTreeMap<_, _> = groups.collect();
        let others = present.len() - groups.len();
        let mut found = Self { groups, others, changes: Vec::new() };

        let all = keyspace.account_group_ids();
        let listed: BTreeSet<String> = scan::members(pool, all).await?.into_iter().collect();
        let unlisted = found.groups.keys().filter(|id| !listed.contains(*id));
        let of_nothing = listed.difference(&present);
        let changes = unlisted.map(|id| ("SADD", id)).chain(of_nothing.map(|id| ("SREM", id)));
        found.changes.extend(changes.map(|(command, group)| Change {
            group: group.clone(),
            command,
            set: all.to_owned(),
        }));

        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, (stored, _)) in &found.groups {
            for member in &stored.members {
                let set = keyspace.groups_of_account(stored.platform(), member);
                wanted.entry(set).or_default().insert(id.clone());
            }
        }
        let sets: BTreeSet<String> = names
            .iter()
            .filter(|name| keyspace.is_groups_of_account(name))
            .chain(wanted.keys())
            .cloned()
            .collect();
        let sets: Vec<String> = sets.into_iter().collect();
        for (set, there) in sets.iter().zip(scan::sets(pool, &sets).await?) {
            let wanted = wanted.remove(set).unwrap_or_default();
            let missing = wanted.difference(&there).map(|id| ("SADD", id));
            // Those of other platforms are not Relay's to judge.
            let is_ours = |id: &&String| found.groups.contains_key(*id) || !present.contains(*id);
            let stale = there.difference(&wanted).filter(is_ours);
            for (command, group) in missing.chain(stale.map(|id| ("SREM", id))) {
                found.changes.push(Change { group: group.clone(), command, set: set.clone() });
            }
        }
        for change in &found.changes {
            if change.command == "SADD" {
                wrongs.missing(&change.set);
            } else {
                wrongs.stale(&change.set);
            }
        }
        Ok(found)
    }

    /// Tells how many groups there are, and which of `keys` are bound to one that is not there.
    pub(super) fn tell(&self, keys: &[ApiKey], survey: &mut Survey) {
        survey.account_groups = self.groups.len();
        if 0 < self.others {
            *survey.untouched.entry("account_group".to_owned()).or_default() += self.others;
        }
        for key in keys.iter().filter(|key| key.deleted.is_none()) {
            for platform in [Platform::ClaudeConsole, Platform::Codex] {
                let (group, is_there) = match key.binding(platform) {
                    AccountBinding::Pool | AccountBinding::Account(_) => continue,
                    AccountBinding::Unusable => ("", false),
                    AccountBinding::Group(id) => {
                        let found = self.groups.get(id.as_str());
                        let fits = found.is_some_and(|(_, group)| group.platform == platform);
                        (id.as_str(), fits)
                    }
                };
                survey.bound_to_groups += 1;
                if !is_there {
                    survey.bound_in_vain.push((key.id.to_string(), group.to_owned()));
                }
            }
        }
    }

    /// Makes the sets right.
    pub(super) async fn make(self, shared: &Shared) -> Result<(), StoreError> {
        let keyspace = &shared.keyspace;
        for Change { group, command, set } in self.changes {
            let mut write = GuardedWrite::default();
            match self.groups.get(&group) {
                Some((stored, _)) => stored.guard(keyspace, &mut write),
                None => write.if_absent(keyspace.account_group(&group)),
            }
            write.write(command, set, [group]);
            write.write("INCR", keyspace.account_version(), [""; 0]);
            write.run(shared).await?;
        }
        Ok(())
    }
}
