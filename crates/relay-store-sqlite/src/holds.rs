//! The requests that are in, in memory: what decides who may come in.
//!
//! The serving process alone owns them, so a decision waits for nothing. They are in the file too, so
//! that another process can settle them should this one die, and weighs them until it does; see
//! [`crate::batch`].

use std::collections::HashMap;

use relay_domain::{
    AccountId, GroupId, KeyId, LimitPeriod, LimitPeriodKind, LimitScope, LimitState, Limits,
    ModelName, PeriodStarts, Platform, RequestId, Timestamp,
};
use relay_store::{
    AdmitRequest, Assignment, Crossing, Denial, Estimate, Extension, HoldAnswer, Orphan, Progress,
    Settlement,
};

use crate::in_flight::Weight;
use crate::limit_book::LimitBook;
use crate::spent::Unread;

/// A request that is in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Hold {
    pub(crate) key: KeyId,
    pub(crate) group: Option<GroupId>,
    pub(crate) platform: Platform,
    pub(crate) model: ModelName,
    /// Whether a Claude model may answer.
    pub(crate) may_be_claude: bool,
    pub(crate) stream: bool,
    pub(crate) started_at: Timestamp,
    pub(crate) lease_until: Timestamp,
    pub(crate) progress: Option<Progress>,
    pub(crate) estimate: Estimate,
    pub(crate) assigned: Option<Assigned>,
}

/// The account that a request was given to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Assigned {
    pub(crate) account: AccountId,
    /// When its day begins, in minutes after midnight.
    pub(crate) day_minute: u16,
}

impl Hold {
    /// Whose limits it weighs on.
    fn scopes(&self) -> impl Iterator<Item = LimitScope> + use<> {
        let account = self.assigned.as_ref().map(|assigned| assigned.account.clone());
        [
            Some(LimitScope::Key(self.key.clone())),
            self.group.clone().map(LimitScope::Group),
            account.map(LimitScope::Account),
        ]
        .into_iter()
        .flatten()
    }

    fn weight(&self) -> Weight {
        Weight { estimate: self.estimate, is_claude: self.may_be_claude }
    }

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
    /// When the windows were opened in which it is counted.
    counted: Vec<(LimitScope, Timestamp)>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Stage {
    /// It runs.
    Running,
    /// Its settlement is queued: it takes no slot any more. What it may have cost weighs until that is
    /// committed, for until then what it did cost does not.
    Ended,
    /// Its settlement is in the batch that is being written.
    Settling,
}

/// What became of a settlement that was taken to be written.
pub(crate) enum Taken {
    /// The hold is removed by this one.
    First {
        /// Whether the file has the hold.
        stored: bool,
        /// The account's day that it counts in, if that does not begin on the hour.
        own_day: Option<(AccountId, LimitPeriod)>,
    },
    /// Another one of the same batch removes it.
    Again,
    /// There is no such hold.
    Late,
}

/// What became of a request that wanted in.
pub(crate) struct Admitted {
    /// How the limits of its key stand, or the one that keeps it out.
    pub(crate) decision: Result<Vec<LimitState>, Denial>,
    /// The file has a hold that is now void.
    pub(crate) is_void: bool,
}

/// The requests that are in, and how the limits stand with them.
pub(crate) struct Holds {
    held: HashMap<RequestId, Held>,
    pub(crate) book: LimitBook,
}

impl Holds {
    /// Nobody is in.
    pub(crate) fn new(book: LimitBook) -> Self {
        Self { held: HashMap::new(), book }
    }

    /// A hold that a dead process left in the file. It takes no slot, since nothing runs; until its lease
    /// ends it can still be settled by whoever knows how it ended, and until then it weighs on budgets.
    pub(crate) fn restore(&mut self, request: RequestId, hold: Hold) {
        for scope in hold.scopes() {
            self.book.in_flight.add(&scope, &hold.weight());
        }
        let counted = Vec::new();
        self.held.insert(request, Held { hold, stored: true, stage: Stage::Running, counted });
    }

    /// Lets a request in, or says which limit keeps it out. One that asks again is one request: what it
    /// held before counts no more, whatever the answer.
    ///
    /// # Errors
    ///
    /// [`Unread`] if the file has to be asked first; then nothing has happened.
    pub(crate) fn admit(&mut self, request: &AdmitRequest) -> Result<Admitted, Unread> {
        let AdmitRequest { request: id, model, estimate, now, lease_until, .. } = request;
        let (id, now, may_be_claude) = (*id, *now, request.may_be_claude);
        let key = (LimitScope::Key(request.key.clone()), request.limits);
        let group = request.group.clone().map(|(group, limits)| (LimitScope::Group(group), limits));
        let scopes = || std::iter::once(&key).chain(&group);
        for (scope, limits) in scopes() {
            self.book.spent.get(scope, limits, now)?;
        }
        let stored = self.withdraw(id);
        for (scope, limits) in scopes() {
            if let Some(denial) = self.book.denial((scope, limits), may_be_claude, estimate, now)? {
                return Ok(Admitted { decision: Err(denial), is_void: stored });
            }
        }
        let hold = Hold {
            key: request.key.clone(),
            group: request.group.as_ref().map(|(id, _)| id.clone()),
            platform: request.platform,
            model: model.clone(),
            may_be_claude,
            stream: request.stream,
            started_at: now,
            lease_until: *lease_until,
            progress: None,
            estimate: *estimate,
            assigned: None,
        };
        let weight = hold.weight();
        let mut counted = Vec::new();
        for (scope, limits) in scopes() {
            let opened = self.book.enter((scope, limits), id, *lease_until, &weight, now);
            counted.extend(opened.map(|opened| (scope.clone(), opened)));
        }
        self.held.insert(id, Held { hold, stored, stage: Stage::Running, counted });
        let standing = self.book.standing(&key.0, &key.1, now)?;
        Ok(Admitted { decision: Ok(standing), is_void: false })
    }

    /// Gives a request to an account, or says which limit of it is in the way.
    ///
    /// # Errors
    ///
    /// [`Unread`] if the file has to be asked first; then nothing has happened.
    pub(crate) fn assign(&mut self, assignment: &Assignment) -> Result<HoldAnswer, Unread> {
        let Assignment { request, account, limits, cost, now } = assignment;
        let scope = LimitScope::Account(account.clone());
        self.book.spent.get(&scope, limits, *now)?;
        let running = |held: &&mut Held| held.stage == Stage::Running;
        let Some(held) = self.held.get_mut(request).filter(running) else {
            return Ok(HoldAnswer::Gone);
        };
        let weight = held.hold.weight();
        if let Some(before) = held.hold.assigned.take() {
            let before = LimitScope::Account(before.account);
            self.book.in_flight.remove(&before, &weight);
            self.book.in_flight.end_lease(&before, held.hold.lease_until, *request);
        }
        // Whoever has it again has it once: it is not in its own way. Where else it was, it stays counted.
        let counted = held.counted.iter().position(|(counted, _)| *counted == scope);
        let counted = counted.map(|place| held.counted.swap_remove(place));
        if let Some((_, opened_at)) = counted {
            self.book.windows.uncount_request(&scope, opened_at);
        }
        let is_claude = held.hold.may_be_claude;
        let raised = Estimate { cost: held.hold.estimate.cost.max(*cost), ..held.hold.estimate };
        if let Some(denial) = self.book.denial((&scope, limits), is_claude, &raised, *now)? {
            if let Some((scope, opened_at)) = counted {
                self.book.windows.count_again(&scope, opened_at);
                held.counted.push((scope, opened_at));
            }
            return Ok(HoldAnswer::Denied(denial));
        }
        // The cost weighs on accounts alone.
        held.hold.estimate = raised;
        let (lease_until, weight) = (held.hold.lease_until, held.hold.weight());
        let opened = self.book.enter((&scope, limits), *request, lease_until, &weight, *now);
        held.counted.extend(opened.map(|opened| (scope, opened)));
        let day_minute = limits.starts.day_minute;
        held.hold.assigned = Some(Assigned { account: account.clone(), day_minute });
        Ok(HoldAnswer::Held)
    }

    /// Raises what a request holds, or says which limit is in the way.
    ///
    /// # Errors
    ///
    /// [`Unread`] if the file has to be asked first; then nothing has happened.
    pub(crate) fn extend(&mut self, extension: &Extension) -> Result<HoldAnswer, Unread> {
        let Extension { request, key, group, account, model, estimate, now } = extension;
        let running = |held: &&mut Held| held.stage == Stage::Running;
        let Some(held) = self.held.get_mut(request).filter(running) else {
            return Ok(HoldAnswer::Gone);
        };
        let (before, raised) = (held.hold.estimate, held.hold.estimate.raised_to(estimate));
        let limits_of = |scope: &LimitScope| -> Option<Limits> {
            match scope {
                LimitScope::Key(id) => (*id == key.0).then_some(key.1),
                LimitScope::Group(id) => group.as_ref().filter(|(of, _)| of == id).map(|of| of.1),
                LimitScope::Account(id) => {
                    account.as_ref().filter(|(of, _)| of == id).map(|of| of.1)
                }
            }
        };
        for scope in held.hold.scopes() {
            let Some(limits) = limits_of(&scope) else { continue };
            let raise = (&before, &raised);
            if let Some(denial) =
                self.book.raise_denial((&scope, &limits), model.is_claude(), raise, *now)?
            {
                return Ok(HoldAnswer::Denied(denial));
            }
        }
        let weight = held.hold.weight();
        held.hold.estimate = raised;
        for scope in held.hold.scopes() {
            self.book.in_flight.remove(&scope, &weight);
            self.book.in_flight.add(&scope, &held.hold.weight());
        }
        Ok(HoldAnswer::Held)
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
        let before = std::mem::replace(&mut held.hold.lease_until, lease_until);
        if let Some(progress) = progress {
            held.hold.progress = Some(progress.clone());
        }
        for scope in held.hold.scopes() {
            self.book.in_flight.end_lease(&scope, before, request);
            self.book.in_flight.lease(&scope, lease_until, request);
        }
        true
    }

    /// Frees the slots of a request whose settlement is queued. `false`: there is no such hold.
    pub(crate) fn end(&mut self, request: RequestId) -> bool {
        let Some(held) = self.held.get_mut(&request) else { return false };
        if held.stage == Stage::Running {
            held.stage = Stage::Ended;
            for scope in held.hold.scopes() {
                self.book.in_flight.end_lease(&scope, held.hold.lease_until, request);
            }
        }
        true
    }

    /// Takes the hold of a settlement into the batch that is about to be written.
    pub(crate) fn take(&mut self, settlement: &Settlement) -> Taken {
        let request = settlement.record.id;
        // A settlement that failed before may have given its slot back.
        if !self.end(request) {
            return Taken::Late;
        }
        match self.held.get_mut(&request) {
            None => Taken::Late,
            Some(held) if held.stage == Stage::Settling => Taken::Again,
            Some(held) => {
                held.stage = Stage::Settling;
                let own_day = own_day(&self.book, held.hold.assigned.as_ref(), settlement);
                Taken::First { stored: held.stored, own_day }
            }
        }
    }

    /// The settlements of at most `max` requests whose lease has ended by `now`, still to be taken.
    pub(crate) fn orphans(&self, now: Timestamp, max: usize) -> Vec<Settlement> {
        let has_ended = |held: &Held| held.stage == Stage::Running && held.hold.lease_until <= now;
        let orphans = self.held.iter().filter(|(_, held)| has_ended(held));
        orphans.take(max).map(|(id, held)| held.hold.clone().orphaned(*id, now)).collect()
    }

    /// The batch is committed: the request is gone, and what it came to is spent. Returns the thresholds
    /// that it has passed.
    pub(crate) fn settled(&mut self, settlement: &Settlement) -> Vec<Crossing> {
        self.remove(settlement.record.id);
        self.book.count(settlement)
    }

    /// The batch is committed and has found the request settled before, by a commit that reported a
    /// failure: the request is gone, and of what it came to the file knows more than memory.
    pub(crate) fn settled_before(&mut self, settlement: &Settlement) {
        // Of whom that one knew: an orphan's record may not tell its account.
        if let Some(held) = self.remove(settlement.record.id) {
            for scope in held.hold.scopes() {
                self.book.spent.forget(&scope);
            }
        }
        for (scope, _) in crate::limit_book::amounts(&settlement.record) {
            self.book.spent.forget(&scope);
        }
    }

    /// The batch failed: the request is held as before. The file may have the hold all the same, for a
    /// commit that reports a failure may have happened.
    pub(crate) fn not_settled(&mut self, request: RequestId) {
        let Some(held) = self.held.get_mut(&request) else { return };
        held.stage = Stage::Running;
        held.stored = true;
        for scope in held.hold.scopes() {
            self.book.in_flight.lease(&scope, held.hold.lease_until, request);
        }
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

    /// Takes out a request as if it had never come. Returns whether the file may have its hold.
    fn withdraw(&mut self, request: RequestId) -> bool {
        let Some(held) = self.remove(request) else { return false };
        for (scope, opened_at) in &held.counted {
            if !matches!(scope, LimitScope::Account(_)) {
                self.book.windows.uncount_request(scope, *opened_at);
            }
        }
        held.stored
    }

    fn remove(&mut self, request: RequestId) -> Option<Held> {
        let held = self.held.remove(&request)?;
        for scope in held.hold.scopes() {
            self.book.in_flight.end_lease(&scope, held.hold.lease_until, request);
            self.book.in_flight.remove(&scope, &held.hold.weight());
        }
        Some(held)
    }
}

/// The day of an account in which a settlement counts, if it does not begin on the hour: only then does it
/// not follow from the hours.
fn own_day(
    book: &LimitBook,
    assigned: Option<&Assigned>,
    settlement: &Settlement,
) -> Option<(AccountId, LimitPeriod)> {
    let assigned = assigned?;
    let serves = settlement.record.account.as_ref() == Some(&assigned.account);
    (serves && !assigned.day_minute.is_multiple_of(60)).then(|| {
        let starts = PeriodStarts { day_minute: assigned.day_minute, ..PeriodStarts::default() };
        let day = book.spent.calendar.limit_period(LimitPeriodKind::Day, starts, settlement.now);
        (assigned.account.clone(), day)
    })
}
