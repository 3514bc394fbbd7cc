//! Models that were used and have no price: said once each, not with every request.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use relay_domain::ModelName;

/// Names remembered at most; clients choose them, so there is a bound.
const MAX_NAMES: usize = 1_000;

/// The models of this process that had no price.
#[derive(Debug, Default)]
pub(crate) struct UnpricedModels(Mutex<HashSet<ModelName>>);

impl UnpricedModels {
    /// Whether this is the first time that `model` is found to have no price.
    pub(crate) fn is_news(&self, model: &ModelName) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < MAX_NAMES && known.insert(model.clone())
    }
}
