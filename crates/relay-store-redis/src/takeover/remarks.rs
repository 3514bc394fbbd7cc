//! What an operator should know of API keys that are served, or not, otherwise than their predecessor did.

use relay_domain::{ApiKey, Calendar};

use super::Survey;
use crate::hash::Hash;
use crate::keys::form;

/// API keys of which the same is to be said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Remark {
    /// How many there are.
    pub keys: usize,
    /// The first of them, at most [`NAMED`](Self::NAMED): their ids, and what it is about.
    pub first: Vec<(String, String)>,
}

impl Remark {
    /// How many keys are named.
    pub const NAMED: usize = 50;

    fn add(&mut self, key: &ApiKey, about: &str) {
        self.keys += 1;
        if self.first.len() < Self::NAMED {
            self.first.push((key.id.to_string(), about.to_owned()));
        }
    }
}

/// Looks at a key that is not deleted, which was read from `hash`.
pub(super) fn look(survey: &mut Survey, key: &ApiKey, hash: &Hash, calendar: Calendar) {
    if let Some(text) = form::unreadable_end(hash, calendar) {
        survey.unreadable_ends.add(key, text);
    }
}
