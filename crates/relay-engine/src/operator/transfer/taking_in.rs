//! Taking in entries: one by one what an operator has made, many at once what was counted.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use relay_domain::{AuditEntry, EventId, Platform, RecordedEvent, RequestRecord};
use relay_store::{
    AuditQuery, Counted, EventQuery, LimitFacts, Rebind, SettingsChange, SettingsName, StoreError,
    StoredSegment,
};

use super::entry::Entry;
use super::import::ImportReport;
use super::{Section, TransferError};
use crate::operator::Operator;

/// How many are taken in at once of what there is much of.
const AT_ONCE: usize = 500;
/// The same for segments of statistics, which are large.
const SEGMENTS_AT_ONCE: usize = 32;

/// An import under way.
pub(super) struct TakingIn<'a> {
    operator: &'a Operator,
    report: ImportReport,
    counters: Vec<Counted>,
    records: Vec<RequestRecord>,
    limits: Vec<LimitFacts>,
    bindings: Vec<(Platform, Rebind)>,
    segments: Vec<StoredSegment>,
    audit: Vec<AuditEntry>,
    /// Entries of the trail that are new to one that there was.
    new_audit: Vec<AuditEntry>,
    events: Vec<RecordedEvent>,
    /// Known from the first entry of the trail on.
    trail: Option<Trail>,
    /// The same for events.
    known_events: Option<HashSet<EventId>>,
}

/// How the trail of changes is taken in.
enum Trail {
    /// There was none: entries keep their numbers.
    Empty,
    /// There is one, with these entries, each by a hash of all but its number. What is new to it is
    /// appended under new numbers.
    Known(BTreeSet<u64>),
}

impl<'a> TakingIn<'a> {
    pub(super) fn new(operator: &'a Operator) -> Self {
        Self {
            operator,
            report: ImportReport::default(),
            counters: Vec::new(),
            records: Vec::new(),
            limits: Vec::new(),
            bindings: Vec::new(),
            segments: Vec::new(),
            audit: Vec::new(),
            new_audit: Vec::new(),
            events: Vec::new(),
            trail: None,
            known_events: None,
        }
    }

    /// Takes in an entry, or keeps it for later; fails with `unknown` if nothing can be made of it.
    pub(super) async fn take(
        &mut self,
        entry: Entry,
        unknown: TransferError,
    ) -> Result<(), TransferError> {
        let stores = &self.operator.stores;
        match entry {
            Entry::Head(_) => return Err(unknown),
            Entry::Login(login) => {
                let added = stores.admin.initialise(&login.into()).await?;
                self.report.note(Section::Login, usize::from(added), 1);
            }
            Entry::Account(form) => {
                let account = self.operator.sealed(*form).await?;
                self.note_created(Section::Account, stores.accounts.create(&account).await)?;
            }
            Entry::AccountGroup(form) => {
                let created = stores.account_groups.import(&form.into()).await;
                self.note_created(Section::AccountGroup, created)?;
            }
            Entry::Group(form) => {
                self.note_created(Section::Group, stores.groups.create(&form.into()).await)?;
            }
            Entry::Key(form) => {
                let key = form.into_key().ok_or(unknown)?;
                self.note_created(Section::Key, stores.keys.import(&key).await)?;
            }
            Entry::Token(form) => {
                let token = form.into_token().ok_or(unknown)?;
                self.note_created(Section::Token, stores.admin_tokens.create(&token).await)?;
            }
            Entry::Settings(form) => {
                let (name, document) = form.into_document().ok_or(unknown)?;
                self.set(name, document).await?;
            }
            Entry::Counter(form) => self.counters.push(form.into_counted().ok_or(unknown)?),
            Entry::Record(form) => self.records.push(RequestRecord::from(*form)),
            Entry::Limit(form) => self.limits.push(form.into()),
            Entry::Binding(form) => self.bindings.push(form.into_bound()),
            Entry::Segment(form) => self.segments.push(form.into_segment().ok_or(unknown)?),
            Entry::Progress(form) => {
                let progress = form.into_progress().ok_or(unknown)?;
                self.flush(1).await?;
                let begun = self.operator.stores.archive.begin_statistics(&progress).await?;
                self.report.note(Section::Statistics, usize::from(begun), 1);
            }
            Entry::Audit(entry) => self.audit.push(*entry),
            Entry::Event(event) => self.events.push(*event),
        }
        self.flush(AT_ONCE).await
    }

    /// Takes in what is left.
    pub(super) async fn finish(&mut self) -> Result<(), TransferError> {
        self.flush(1).await?;
        self.append_trail().await
    }

    /// What became of what was taken in until now.
    pub(super) fn report(self) -> ImportReport {
        self.report
    }

    fn note_created(
        &mut self,
        section: Section,
        created: Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match created {
            Ok(()) => self.report.note(section, 1, 1),
            Err(StoreError::Duplicate { .. }) => self.report.note(section, 0, 1),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn set(&mut self, name: SettingsName, next: String) -> Result<(), TransferError> {
        let change = SettingsChange { name, expected: None, next };
        let added = self.operator.stores.settings.replace(&change).await?;
        self.report.note(Section::Settings, usize::from(added), 1);
        Ok(())
    }

    /// Takes in what has gathered, of each section that has gathered so many.
    async fn flush(&mut self, at_least: usize) -> Result<(), TransferError> {
        let now = self.operator.clock.now();
        let archive = &self.operator.stores.archive;
        if at_least <= self.counters.len() {
            let added = archive.add_counters(&self.counters).await?;
            self.report.note(Section::Counter, added, self.counters.len());
            self.counters.clear();
        }
        if at_least <= self.records.len() {
            let added = archive.add_records(&self.records).await?;
            self.report.note(Section::Record, added, self.records.len());
            self.records.clear();
        }
        if at_least <= self.limits.len() {
            let added = archive.add_limits(&self.limits, now).await?;
            self.report.note(Section::Limit, added, self.limits.len());
            self.limits.clear();
        }
        if at_least <= self.bindings.len() {
            let added = archive.add_bindings(&self.bindings, now).await?;
            self.report.note(Section::Binding, added, self.bindings.len());
            self.bindings.clear();
        }
        if at_least.min(SEGMENTS_AT_ONCE) <= self.segments.len() {
            let added = archive.add_segments(&self.segments).await?;
            self.report.note(Section::Statistics, added, self.segments.len());
            self.segments.clear();
        }
        if at_least <= self.audit.len() {
            self.add_audit().await?;
        }
        if at_least <= self.events.len() {
            self.add_events().await?;
        }
        Ok(())
    }

    /// Takes in entries of the trail; where there is one already, those that it has not stay until the end.
    async fn add_audit(&mut self) -> Result<(), TransferError> {
        let trail = match self.trail.take() {
            Some(trail) => trail,
            None => self.own_trail().await?,
        };
        match &trail {
            Trail::Empty => {
                let added = self.operator.stores.archive.add_audit(&self.audit).await?;
                self.report.note(Section::Audit, added, self.audit.len());
                self.audit.clear();
            }
            Trail::Known(known) => {
                let (looked_at, before) = (self.audit.len(), self.new_audit.len());
                let entries = self.audit.drain(..);
                self.new_audit.extend(entries.filter(|entry| !known.contains(&hash_of(entry))));
                let new = self.new_audit.len() - before;
                self.report.note(Section::Audit, 0, looked_at - new);
            }
        }
        self.trail = Some(trail);
        Ok(())
    }

    /// Appends what is new to a trail that there was, the oldest first.
    async fn append_trail(&mut self) -> Result<(), TransferError> {
        self.new_audit.sort_by_key(|entry| entry.seq);
        for entry in self.new_audit.drain(..) {
            self.operator.stores.audit.append(&entry).await?;
            self.report.note(Section::Audit, 1, 1);
        }
        Ok(())
    }

    async fn own_trail(&self) -> Result<Trail, StoreError> {
        let mut known = BTreeSet::new();
        let mut query = AuditQuery { limit: AT_ONCE, ..AuditQuery::default() };
        loop {
            let page = self.operator.stores.audit.page(&query).await?;
            known.extend(page.entries.iter().map(hash_of));
            query.before = page.next;
            if query.before.is_none() {
                break;
            }
        }
        Ok(if known.is_empty() { Trail::Empty } else { Trail::Known(known) })
    }

    async fn add_events(&mut self) -> Result<(), TransferError> {
        let events = &self.operator.stores.events;
        let mut known = match self.known_events.take() {
            Some(known) => known,
            None => self.own_events().await?,
        };
        let before = self.events.len();
        self.events.retain(|event| known.insert(event.id));
        if !self.events.is_empty() {
            events.append(&self.events).await?;
        }
        self.report.note(Section::Event, self.events.len(), before);
        self.events.clear();
        self.known_events = Some(known);
        Ok(())
    }

    async fn own_events(&self) -> Result<HashSet<EventId>, StoreError> {
        let mut known = HashSet::new();
        let mut query = EventQuery { limit: AT_ONCE, ..EventQuery::default() };
        loop {
            let page = self.operator.stores.events.page(&query).await?;
            known.extend(page.events.iter().map(|event| event.id));
            query.before = page.next;
            if query.before.is_none() {
                return Ok(known);
            }
        }
    }
}

/// A hash of all but the number: an entry that was imported twice has two.
fn hash_of(entry: &AuditEntry) -> u64 {
    let AuditEntry { seq: _, at, actor, action, target_kind, target_id, before, after } = entry;
    let mut hasher = DefaultHasher::new();
    (at, &actor.name, &actor.request_id, action, target_kind, target_id).hash(&mut hasher);
    (before, after).hash(&mut hasher);
    hasher.finish()
}
