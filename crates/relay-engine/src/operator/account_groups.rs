//! Groups of accounts, to which keys can be bound.

use std::collections::BTreeSet;

use relay_domain::{AccountGroup, AccountGroupId, AccountId, Actor, Platform};
use relay_store::{GroupRemoval, StoreError, Update};

use super::audit::Change;
use super::error::{check_revision, contended};
use super::{ATTEMPTS, Operator, OperatorError, check_description, check_name, fresh_id, snapshot};

/// A group of accounts to be made.
#[derive(Clone, Debug)]
pub struct NewAccountGroup {
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// Whose accounts it is of.
    pub platform: Platform,
    /// What the operator notes about it, up to 500 characters.
    pub description: String,
    /// Its accounts.
    pub members: BTreeSet<AccountId>,
}

/// What is to be done to a group. What no operator may change is put back afterwards.
pub type AccountGroupEdit<'a> = dyn Fn(&mut AccountGroup) + Send + Sync + 'a;

impl Operator {
    /// Makes a group of accounts.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] with the first field that is wrong, or the store's.
    pub async fn create_account_group(
        &self,
        actor: &Actor,
        new: NewAccountGroup,
    ) -> Result<AccountGroup, OperatorError> {
        let group = AccountGroup {
            id: fresh_id::account_group_id(),
            name: new.name,
            platform: new.platform,
            description: new.description,
            members: new.members,
            created_at: self.clock.now(),
            updated_at: None,
            revision: 0,
        };
        self.check_account_group(None, &group).await?;
        if let Err(error) = self.stores.account_groups.create(&group).await {
            // An account that went since it was looked at is answered for like one that never was.
            if let StoreError::Missing { .. } = error {
                self.check_account_group(None, &group).await?;
            }
            return Err(error.into());
        }
        self.note_account_group(actor, "account_group.create", None, Some(&group)).await;
        Ok(group)
    }

    /// Every group of accounts, by name.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn account_groups(&self) -> Result<Vec<AccountGroup>, OperatorError> {
        Ok(self.stores.account_groups.list().await?)
    }

    /// The group of accounts with this id.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], or the store's.
    pub async fn account_group(&self, id: &AccountGroupId) -> Result<AccountGroup, OperatorError> {
        let found = self.stores.account_groups.get(id).await?;
        found.ok_or(OperatorError::NotFound("Account group"))
    }

    /// Changes a group of accounts. `expected`: only if its revision still is that.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], [`OperatorError::Stale`], [`OperatorError::Invalid`] with the first
    /// field that is wrong, or the store's.
    pub async fn update_account_group(
        &self,
        actor: &Actor,
        id: &AccountGroupId,
        expected: Option<u64>,
        edit: &AccountGroupEdit<'_>,
    ) -> Result<AccountGroup, OperatorError> {
        for _ in 0..ATTEMPTS {
            let old = self.account_group_at(id, expected).await?;
            let mut new = old.clone();
            edit(&mut new);
            let mut new = AccountGroup {
                id: old.id.clone(),
                platform: old.platform,
                created_at: old.created_at,
                updated_at: old.updated_at,
                revision: old.revision,
                ..new
            };
            if new == old {
                return Ok(old);
            }
            self.check_account_group(Some(&old), &new).await?;
            new.updated_at = Some(self.clock.now());
            let update = match self.stores.account_groups.update(&new).await {
                // A new member went since it was looked at: who looks again refuses it.
                Err(StoreError::Missing { .. }) => continue,
                update => update?,
            };
            match update {
                Update::Done { revision } => {
                    new.revision = revision;
                    self.note_account_group(actor, "account_group.update", Some(&old), Some(&new))
                        .await;
                    return Ok(new);
                }
                Update::Absent => return Err(OperatorError::NotFound("Account group")),
                Update::Stale { current } if expected.is_some() => {
                    return Err(OperatorError::Stale { current });
                }
                Update::Stale { .. } => {}
            }
        }
        Err(contended("the account group"))
    }

    /// Removes a group of accounts that no key is bound to. Deleted keys do not count: one that is restored
    /// is refused until it is bound otherwise.
    ///
    /// # Errors
    ///
    /// [`OperatorError::KeysBound`] if keys are, or as [`update_account_group`](Self::update_account_group).
    pub async fn delete_account_group(
        &self,
        actor: &Actor,
        id: &AccountGroupId,
        expected: Option<u64>,
    ) -> Result<(), OperatorError> {
        for _ in 0..ATTEMPTS {
            let old = self.account_group_at(id, expected).await?;
            match self.stores.account_groups.delete(id, old.revision).await? {
                GroupRemoval::Done => {
                    self.note_account_group(actor, "account_group.delete", Some(&old), None).await;
                    return Ok(());
                }
                GroupRemoval::Absent => {
                    return Err(OperatorError::NotFound("Account group"));
                }
                GroupRemoval::InUse { keys } => {
                    return Err(OperatorError::KeysBound { keys });
                }
                GroupRemoval::Stale { current } if expected.is_some() => {
                    return Err(OperatorError::Stale { current });
                }
                GroupRemoval::Stale { .. } => {}
            }
        }
        Err(contended("the account group"))
    }

    async fn account_group_at(
        &self,
        id: &AccountGroupId,
        expected: Option<u64>,
    ) -> Result<AccountGroup, OperatorError> {
        let group = self.account_group(id).await?;
        check_revision(expected, group.revision)?;
        Ok(group)
    }

    /// Whether a group can be as it is asked for. A member that it had is not held against it: v1 has some
    /// that Relay does not know.
    async fn check_account_group(
        &self,
        old: Option<&AccountGroup>,
        new: &AccountGroup,
    ) -> Result<(), OperatorError> {
        check_name("name", &new.name, 100, "must have 1 to 100 characters")?;
        check_description(&new.description)?;
        for member in &new.members {
            if old.is_some_and(|old| old.members.contains(member)) {
                continue;
            }
            let account = self.stores.accounts.get(member).await?;
            if account.is_none_or(|account| account.platform != new.platform) {
                let why = "must be ids of accounts of its platform";
                return Err(OperatorError::Invalid { field: "accountIds", why });
            }
        }
        Ok(())
    }

    /// Notes that `account` was removed, and left `group` thereby.
    pub(super) async fn note_left_group(
        &self,
        actor: &Actor,
        group: AccountGroup,
        account: &AccountId,
    ) {
        let mut left = AccountGroup { revision: group.revision + 1, ..group.clone() };
        left.members.remove(account);
        self.note_account_group(actor, "account_group.update", Some(&group), Some(&left)).await;
    }

    async fn note_account_group(
        &self,
        actor: &Actor,
        action: &'static str,
        before: Option<&AccountGroup>,
        after: Option<&AccountGroup>,
    ) {
        let id = after.or(before).map(|group| group.id.to_string()).unwrap_or_default();
        let (before, after) =
            (before.map(snapshot::account_group), after.map(snapshot::account_group));
        let change = Change { action, kind: "account_group", id, before, after };
        self.note(actor, change).await;
    }
}

#[cfg(test)]
mod tests;
