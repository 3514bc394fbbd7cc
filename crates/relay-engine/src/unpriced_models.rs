//! Models that were used and have no price: said now and then, not with every request. That an operator hears
//! of each once a day only, whichever instance saw it, is for the store to see to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use relay_domain::{ModelName, Timestamp};

/// Names remembered at most; clients choose them, so there is a bound.
const MAX_NAMES: usize = 1_000;
/// After this a model is said again: it may be another day by then.
const SAID_AGAIN_AFTER: Duration = Duration::from_mins(15);

/// The models of this process that had no price, and when that was last said.
#[derive(Debug, Default)]
pub(crate) struct UnpricedModels(Mutex<HashMap<ModelName, Timestamp>>);

impl UnpricedModels {
    /// Whether it is to be said that `model` has no price: it was not in the last minutes.
    pub(crate) fn is_due(&self, model: &ModelName, now: Timestamp) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Timestamp| now.since(*at) < SAID_AGAIN_AFTER;
        if said.get(model).is_some_and(is_recent) {
            return false;
        }
        if MAX_NAMES <= said.len() {
            said.retain(|_, at| is_recent(at));
        }
        let has_room = said.len() < MAX_NAMES;
        if has_room {
            said.insert(model.clone(), now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> ModelName {
        ModelName::try_from(name).unwrap()
    }

    #[test]
    fn a_model_is_said_again_after_a_while() {
        let (models, start) = (UnpricedModels::default(), Timestamp::from_millis(1_000_000));
        let late = start.plus(SAID_AGAIN_AFTER);
        let early = Timestamp::from_millis(late.as_millis() - 1);
        let cases =
            [("a", start, true), ("a", early, false), ("b", early, true), ("a", late, true)];
        for (name, now, expected) in cases {
            assert_eq!(models.is_due(&model(name), now), expected, "{name} at {now}");
        }
    }

    #[test]
    fn names_that_clients_make_up_are_forgotten_again() {
        let (models, start) = (UnpricedModels::default(), Timestamp::from_millis(1_000_000));
        for number in 0..MAX_NAMES {
            assert!(models.is_due(&model(&format!("m{number}")), start));
        }
        assert!(!models.is_due(&model("one-too-many"), start));
        assert!(models.is_due(&model("one-too-many"), start.plus(SAID_AGAIN_AFTER)));
        assert_eq!(models.0.lock().unwrap().len(), 1);
    }
}
