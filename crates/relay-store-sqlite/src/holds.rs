//! The requests that are in, in memory: what decides who may come in.
//!
//! The serving process alone owns them, so a decision waits for nothing. They are in the file too, so
//! that another process can settle them should this one die; see [`crate::batch`].

use std::collections::{BTreeSet, HashMap};

use relay_domain::{
    GroupId, KeyId, LimitKind, LimitScope, ModelName, Platform, RequestId, Timestamp,
};
use relay_store::{AdmitRequest, Denial, Orphan, Progress, Settlement};

/// A request that is in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hold {
    pub(crate) key: KeyId,
    pub(crate) group: Option<GroupId>,
    pub(crate) platform: Platform,
    pub(crate) model: ModelName,
    pub(crate) stream: bool,
    pub(crate) started_at: Timestamp,
    pub(crate) lease_until: Timestamp,
    pub(crate) progress: Option<Progress>,
}

impl Hold {
    /// The end of a request whose process has died, at `now`.
    fn orphaned(self, request: RequestId, now: Timestamp) -> Settlement {
        let orphan = Orphan {
            request,
            key: self.key,
            group: self.group,
            platform: self.platform,
            model: self.model,
            stream: self.stream,
            started_at: self.started_at,
            progress: self.progress,
        };
        Settlement::orphaned(orphan, now)
    }
}

struct Held {
    hold: Hold,
    /// Whether the file may have it.
    stored: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Stage {
    /// It runs.
    Running,
    /// Its settlement is queued: it takes no slot any more.
    Ended,
    /// Its settlement is in the batch that is being written.
    Settling,
}

/// What became of a settlement that was taken to be written.
pub(crate) enum Taken {
    /// The hold is removed by this one; `stored`: from the file too.
    First {
        /// Whether the file has the hold.
        stored: bool,
    },
    /// Another one of the same batch removes it.
    Again,
    /// There is no such hold.
    Late,
}

/// The requests that are in.
#[derive(Default)]
pub(crate) struct Holds {
    held: HashMap<RequestId, Held>,
    /// Of each key the leases that count, by their end.
    leases: HashMap<KeyId, BTreeSet<(Timestamp, RequestId)>>,
}

impl Holds {
    /// A hold that a dead process left in the file. It takes no slot, since nothing runs; until its lease
    /// ends it can still be settled by whoever knows how it ended.
    pub(crate) fn restore(&mut self, request: RequestId, hold: Hold) {
        self.held.insert(request, Held { hold, stored: true, stage: Stage::Running });
    }

    /// Lets a request in, or says which limit keeps it out. One that asks again is one request: what it
    /// held before counts no more, whatever the answer.
    ///
    /// Returns, beside the answer, whether the file has a hold that is now void.
    pub(crate) fn admit(&mut self, request: &AdmitRequest) -> (Result<(), Denial>, bool) {
        let before = self.held.remove(&request.request);
        if let Some(before) = &before {
            self.end_lease(&before.hold.key, before.hold.lease_until, request.request);
        }
        let stored = before.is_some_and(|before| before.stored);
        if let Some(limit) = request.limits.concurrency {
            let used = self.running(&request.key, request.now);
            if u64::from(limit) <= used {
                let denial = Denial {
                    scope: LimitScope::Key(request.key.clone()),
                    limit: LimitKind::Concurrency,
                    used,
                    allowed: u64::from(limit),
                    resets_at: None,
                };
                return (Err(denial), stored);
            }
        }
        let hold = Hold {
            key: request.key.clone(),
            group: request.group.as_ref().map(|(id, _)| id.clone()),
            platform: request.platform,
            model: request.model.clone(),
            stream: request.stream,
            started_at: request.now,
            lease_until: request.lease_until,
            progress: None,
        };
        self.lease(&request.key, request.lease_until, request.request);
        self.held.insert(request.request, Held { hold, stored, stage: Stage::Running });
        (Ok(()), false)
    }

    /// Extends a lease and keeps what is known. `false`: there is no such hold, or it has ended.
    pub(crate) fn checkpoint(
        &mut self,
        request: RequestId,
        lease_until: Timestamp,
        progress: Option<&Progress>,
    ) -> bool {
        let Some(held) = self.held.get_mut(&request).filter(|held| held.stage == Stage::Running)
        else {
            return false;
        };
        let (key, before) = (held.hold.key.clone(), held.hold.lease_until);
        held.hold.lease_until = lease_until;
        if let Some(progress) = progress {
            held.hold.progress = Some(progress.clone());
        }
        self.end_lease(&key, before, request);
        self.lease(&key, lease_until, request);
        true
    }

    /// Frees the slot of a request whose settlement is queued. `false`: there is no such hold.
    pub(crate) fn end(&mut self, request: RequestId) -> bool {
        let Some(held) = self.held.get_mut(&request) else { return false };
        if held.stage == Stage::Running {
            held.stage = Stage::Ended;
            let (key, lease_until) = (held.hold.key.clone(), held.hold.lease_until);
            self.end_lease(&key, lease_until, request);
        }
        true
    }

    /// Takes a hold into the batch that is about to be written.
    pub(crate) fn take(&mut self, request: RequestId) -> Taken {
        // A settlement that failed before may have given its slot back.
        if !self.end(request) {
            return Taken::Late;
        }
        match self.held.get_mut(&request) {
            None => Taken::Late,
            Some(held) if held.stage == Stage::Settling => Taken::Again,
            Some(held) => {
                held.stage = Stage::Settling;
                Taken::First { stored: held.stored }
            }
        }
    }

    /// The settlements of at most `max` requests whose lease has ended by `now`, taken into the batch
    /// that is about to be written. With each, whether the file has its hold.
    pub(crate) fn take_orphans(&mut self, now: Timestamp, max: usize) -> Vec<(Settlement, bool)> {
        let has_ended = |held: &Held| held.stage == Stage::Running && held.hold.lease_until <= now;
        let orphans = self.held.iter().filter(|(_, held)| has_ended(held));
        let orphans: Vec<_> =
            orphans.take(max).map(|(id, held)| (*id, held.hold.clone(), held.stored)).collect();
        for (request, ..) in &orphans {
            self.take(*request);
        }
        orphans.into_iter().map(|(id, hold, stored)| (hold.orphaned(id, now), stored)).collect()
    }

    /// The batch is committed: the request is gone.
    pub(crate) fn settled(&mut self, request: RequestId) {
        self.held.remove(&request);
    }

    /// The batch failed: the request is held as before. The file may have the hold all the same, for a
    /// commit that reports a failure may have happened.
    pub(crate) fn not_settled(&mut self, request: RequestId) {
        let Some(held) = self.held.get_mut(&request) else { return };
        held.stage = Stage::Running;
        held.stored = true;
        let (key, lease_until) = (held.hold.key.clone(), held.hold.lease_until);
        self.lease(&key, lease_until, request);
    }

    /// The hold of a request that still runs.
    pub(crate) fn to_store(&self, request: RequestId) -> Option<&Hold> {
        self.held.get(&request).filter(|held| held.stage == Stage::Running).map(|held| &held.hold)
    }

    /// The file has the hold, or may have it.
    pub(crate) fn stored(&mut self, request: RequestId) {
        if let Some(held) = self.held.get_mut(&request) {
            held.stored = true;
        }
    }

    /// How many of a key's leases hold at `now`.
    fn running(&mut self, key: &KeyId, now: Timestamp) -> u64 {
        let Some(leases) = self.leases.get_mut(key) else { return 0 };
        while leases.first().is_some_and(|(until, _)| *until <= now) {
            leases.pop_first();
        }
        u64::try_from(leases.len()).unwrap_or(u64::MAX)
    }

    fn lease(&mut self, key: &KeyId, until: Timestamp, request: RequestId) {
        match self.leases.get_mut(key) {
            Some(leases) => {
                leases.insert((until, request));
            }
            None => {
                self.leases.insert(key.clone(), BTreeSet::from([(until, request)]));
            }
        }
    }

    fn end_lease(&mut self, key: &KeyId, until: Timestamp, request: RequestId) {
        if let Some(leases) = self.leases.get_mut(key) {
            leases.remove(&(until, request));
            if leases.is_empty() {
                self.leases.remove(key);
            }
        }
    }
}
