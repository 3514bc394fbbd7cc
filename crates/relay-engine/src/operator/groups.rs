//! Groups of API keys.

use relay_domain::{Actor, GroupId, KeyGroup, LimitScope, Limits, WindowCaps};
use relay_store::{GroupRemoval, Update};

use super::audit::Change;
use super::error::{check_revision, contended};
use super::{
    ATTEMPTS, Operator, OperatorError, check_description, check_name, fresh_id, limits, snapshot,
};

/// A group of API keys to be made.
#[derive(Clone, Debug, Default)]
pub struct NewGroup {
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// What the operator notes about it, up to 500 characters.
    pub description: String,
    /// What its keys may spend together, and how fast. A number of zero means no limit.
    pub limits: Limits,
}

/// What is to be done to a group. What no operator may change is put back afterwards.
pub type GroupEdit<'a> = dyn Fn(&mut KeyGroup) + Send + Sync + 'a;

impl Operator {
    /// Makes a group.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] with the first field that is wrong, or the store's.
    pub async fn create_group(
        &self,
        actor: &Actor,
        new: NewGroup,
    ) -> Result<KeyGroup, OperatorError> {
        let group = KeyGroup {
            id: fresh_id::group_id(),
            name: new.name,
            description: new.description,
            limits: limits::without_zeros(new.limits),
            created_at: self.clock.now(),
            updated_at: None,
            revision: 0,
        };
        check(&group)?;
        self.stores.groups.create(&group).await?;
        let (id, after) = (group.id.to_string(), Some(snapshot::group(&group)));
        let change = Change { action: "group.create", kind: "group", id, before: None, after };
        self.note(actor, change).await;
        Ok(group)
    }

    /// Every group, by name.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn groups(&self) -> Result<Vec<KeyGroup>, OperatorError> {
        Ok(self.stores.groups.list().await?)
    }

    /// The group with this id.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], or the store's.
    pub async fn group(&self, id: &GroupId) -> Result<KeyGroup, OperatorError> {
        self.stores.groups.get(id).await?.ok_or(OperatorError::NotFound("Group"))
    }

    /// Changes a group. `expected`: only if its revision still is that.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], [`OperatorError::Stale`], [`OperatorError::Invalid`] with the first
    /// field that is wrong, or the store's.
    pub async fn update_group(
        &self,
        actor: &Actor,
        id: &GroupId,
        expected: Option<u64>,
        edit: &GroupEdit<'_>,
    ) -> Result<KeyGroup, OperatorError> {
        for _ in 0..ATTEMPTS {
            let old = self.group_at(id, expected).await?;
            let mut new = old.clone();
            edit(&mut new);
            let mut new = KeyGroup {
                id: old.id.clone(),
                limits: limits::without_zeros(new.limits),
                created_at: old.created_at,
                updated_at: old.updated_at,
                revision: old.revision,
                ..new
            };
            if new == old {
                return Ok(old);
            }
            check(&new)?;
            new.updated_at = Some(self.clock.now());
            match self.stores.groups.update(&new).await? {
                Update::Done { revision } => {
                    new.revision = revision;
                    let (before, after) = (snapshot::group(&old), snapshot::group(&new));
                    let change = Change {
                        action: "group.update",
                        kind: "group",
                        id: id.to_string(),
                        before: Some(before),
                        after: Some(after),
                    };
                    self.note(actor, change).await;
                    return Ok(new);
                }
                Update::Absent => return Err(OperatorError::NotFound("Group")),
                Update::Stale { current } if expected.is_some() => {
                    return Err(OperatorError::Stale { current });
                }
                Update::Stale { .. } => {}
            }
        }
        Err(contended("the group"))
    }

    /// Removes a group that no key belongs to. Deleted keys do not count: one that is restored is refused
    /// until it is put elsewhere.
    ///
    /// # Errors
    ///
    /// [`OperatorError::KeysInGroup`] if keys do, or as [`update_group`](Self::update_group).
    pub async fn delete_group(
        &self,
        actor: &Actor,
        id: &GroupId,
        expected: Option<u64>,
    ) -> Result<(), OperatorError> {
        for _ in 0..ATTEMPTS {
            let old = self.group_at(id, expected).await?;
            match self.stores.groups.delete(id, old.revision).await? {
                GroupRemoval::Done => {
                    let change = Change {
                        action: "group.delete",
                        kind: "group",
                        id: id.to_string(),
                        before: Some(snapshot::group(&old)),
                        after: None,
                    };
                    self.note(actor, change).await;
                    return Ok(());
                }
                GroupRemoval::Absent => return Err(OperatorError::NotFound("Group")),
                GroupRemoval::InUse { keys } => return Err(OperatorError::KeysInGroup { keys }),
                GroupRemoval::Stale { current } if expected.is_some() => {
                    return Err(OperatorError::Stale { current });
                }
                GroupRemoval::Stale { .. } => {}
            }
        }
        Err(contended("the group"))
    }

    /// Starts every limit of a group anew. What requests in flight hold still weighs on them; statistics are not
    /// touched. `expected`: only if its revision still is that.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], [`OperatorError::Stale`], or the store's.
    pub async fn restart_group_limits(
        &self,
        actor: &Actor,
        id: &GroupId,
        expected: Option<u64>,
    ) -> Result<KeyGroup, OperatorError> {
        let group = self.group_at(id, expected).await?;
        self.restart_limits(actor, &LimitScope::Group(id.clone()), &group.limits).await?;
        Ok(group)
    }

    async fn group_at(
        &self,
        id: &GroupId,
        expected: Option<u64>,
    ) -> Result<KeyGroup, OperatorError> {
        let group = self.group(id).await?;
        check_revision(expected, group.revision)?;
        Ok(group)
    }
}

fn check(group: &KeyGroup) -> Result<(), OperatorError> {
    check_name("name", &group.name, 100, "must have 1 to 100 characters")?;
    check_description(&group.description)?;
    let cost = group.limits.window.and_then(|window| window.cost);
    limits::check(&group.limits, WindowCaps { cost, ..WindowCaps::default() })
}
