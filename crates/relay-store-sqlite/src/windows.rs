//! Rate windows that are open, in memory, all of them. What has changed is written with the next commit, so
//! that a restart forgets at most the requests of the last moments.

use std::collections::{HashMap, HashSet};

use relay_domain::{LimitScope, NanoUsd, Timestamp};

/// A rate window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Window {
    pub(crate) opened_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    pub(crate) cost: NanoUsd,
}

/// The windows that are open.
#[derive(Default)]
pub(crate) struct Windows {
    open: HashMap<LimitScope, Window>,
    /// Those of which the file does not know everything yet.
    changed: HashSet<LimitScope>,
}

impl Windows {
    /// The windows that the file has.
    pub(crate) fn new(open: HashMap<LimitScope, Window>) -> Self {
        Self { open, changed: HashSet::new() }
    }

    /// The window of `scope` that is open at `now`, if windows of it are so long.
    pub(crate) fn get(&self, scope: &LimitScope, length: u64, now: Timestamp) -> Option<&Window> {
        self.open.get(scope).filter(|window| now < end_of(window.opened_at, length))
    }

    /// Counts a request, in a window that it opens if none is open. Returns when that was opened.
    pub(crate) fn count_request(
        &mut self,
        scope: &LimitScope,
        length: u64,
        now: Timestamp,
    ) -> Timestamp {
        let open = self.get(scope, length, now).copied();
        let window = open.unwrap_or(Window {
            opened_at: now,
            ends_at: now,
            requests: 0,
            tokens: 0,
            cost: NanoUsd::ZERO,
        });
        let ends_at = end_of(window.opened_at, length);
        let requests = window.requests.saturating_add(1);
        self.open.insert(scope.clone(), Window { ends_at, requests, ..window });
        self.changed.insert(scope.clone());
        window.opened_at
    }

    /// Takes back the count of a request in the window that was opened at this moment.
    pub(crate) fn uncount_request(&mut self, scope: &LimitScope, opened_at: Timestamp) {
        if let Some(window) = self.opened_at(scope, opened_at) {
            window.requests = window.requests.saturating_sub(1);
            self.changed.insert(scope.clone());
        }
    }

    /// Counts a request again whose count in that window was taken back.
    pub(crate) fn count_again(&mut self, scope: &LimitScope, opened_at: Timestamp) {
        if let Some(window) = self.opened_at(scope, opened_at) {
            window.requests = window.requests.saturating_add(1);
            self.changed.insert(scope.clone());
        }
    }

    fn opened_at(&mut self, scope: &LimitScope, at: Timestamp) -> Option<&mut Window> {
        self.open.get_mut(scope).filter(|window| window.opened_at == at)
    }

    /// Whether what ends at `now` counts in a window of `scope`.
    pub(crate) fn counts(&self, scope: &LimitScope, now: Timestamp) -> bool {
        self.open.get(scope).is_some_and(|window| now < window.ends_at)
    }

    /// Counts what a request came to. The file has it already.
    pub(crate) fn add(&mut self, scope: &LimitScope, tokens: u64, cost: NanoUsd, now: Timestamp) {
        if let Some(window) = self.open.get_mut(scope).filter(|window| now < window.ends_at) {
            window.tokens = window.tokens.saturating_add(tokens);
            window.cost = window.cost + cost;
        }
    }

    /// The file has this window, which memory does not know.
    pub(crate) fn opened(&mut self, scope: LimitScope, window: Window) {
        self.open.insert(scope, window);
    }

    /// Closes the window of `scope`. The file has none any more.
    pub(crate) fn close(&mut self, scope: &LimitScope) {
        self.open.remove(scope);
        self.changed.remove(scope);
    }

    /// The file has more of a window than memory knows.
    pub(crate) fn correct(&mut self, scope: &LimitScope, stored: &Window) {
        if let Some(window) = self.open.get_mut(scope)
            && window.opened_at == stored.opened_at
        {
            (window.tokens, window.cost) = (stored.tokens, stored.cost);
        }
    }

    /// Forgets windows that have ended.
    pub(crate) fn drop_ended(&mut self, now: Timestamp) {
        self.open.retain(|_, window| now < window.ends_at);
        self.changed.retain(|scope| self.open.contains_key(scope));
    }

    /// Whether there is anything that the file does not know.
    pub(crate) fn have_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What is to be written with the next commit.
    pub(crate) fn take_changed(&mut self) -> Vec<(LimitScope, Window)> {
        let changed = self.changed.drain();
        changed.filter_map(|scope| Some((scope.clone(), *self.open.get(&scope)?))).collect()
    }

    /// It was not written.
    pub(crate) fn not_written(&mut self, scopes: impl Iterator<Item = LimitScope>) {
        self.changed.extend(scopes);
    }
}

fn end_of(opened_at: Timestamp, length: u64) -> Timestamp {
    Timestamp::from_millis(opened_at.as_millis().saturating_add(length))
}
