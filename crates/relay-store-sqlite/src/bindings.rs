//! Bindings of conversations that are in use, in memory: a request of one needs no look at the file.

use std::collections::HashMap;

use relay_domain::AffinityKey;
use relay_store::{Binding, Rebind};

/// How many bindings a generation has. Two are kept: at most about six megabytes, as they come into use.
const GENERATION: usize = 16_384;

/// Nothing is known of a conversation.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Unknown {
    /// When that was: to be given back with what the file says.
    pub(crate) epoch: u64,
}

/// A bounded copy of the bindings. An entry that is not asked for while [`GENERATION`] others are is
/// forgotten, and read from the file when it is asked for again.
#[derive(Default)]
pub(crate) struct Bindings {
    recent: HashMap<AffinityKey, Option<Binding>>,
    older: HashMap<AffinityKey, Option<Binding>>,
    /// Raised whenever a binding is written: what was read from the file before is not to be believed.
    epoch: u64,
}

impl Bindings {
    /// The binding of a conversation, or that it has none, as far as memory has it.
    ///
    /// # Errors
    ///
    /// [`Unknown`] if the file has to be asked.
    pub(crate) fn get(&mut self, affinity: &AffinityKey) -> Result<Option<Binding>, Unknown> {
        if let Some(known) = self.recent.get(affinity) {
            return Ok(known.clone());
        }
        let known = self.older.remove(affinity).ok_or(Unknown { epoch: self.epoch })?;
        self.keep(affinity.clone(), known.clone());
        Ok(known)
    }

    /// Keeps what was read from the file in `epoch`.
    pub(crate) fn remember(
        &mut self,
        affinity: &AffinityKey,
        binding: Option<Binding>,
        epoch: u64,
    ) {
        if epoch == self.epoch {
            self.keep(affinity.clone(), binding);
        }
    }

    /// A binding was committed.
    pub(crate) fn written(&mut self, bind: Rebind) {
        self.epoch += 1;
        self.keep(bind.affinity, Some(bind.binding));
    }

    /// Whether a binding was committed is not known: the file has to be asked.
    pub(crate) fn forget(&mut self, affinity: &AffinityKey) {
        self.epoch += 1;
        self.recent.remove(affinity);
        self.older.remove(affinity);
    }

    fn keep(&mut self, affinity: AffinityKey, binding: Option<Binding>) {
        if GENERATION <= self.recent.len() {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(affinity, binding);
    }
}

#[cfg(test)]
mod tests {
    use relay_domain::{AccountId, Timestamp};

    use super::*;

    fn affinity(number: usize) -> AffinityKey {
        AffinityKey::try_from(format!("{number:x}")).unwrap()
    }

    fn bind(number: usize, account: &str) -> Rebind {
        let account = AccountId::try_from(account).unwrap();
        let binding = Binding { account, until: Timestamp::EPOCH };
        Rebind { affinity: affinity(number), binding }
    }

    #[test]
    fn what_is_read_while_another_is_written_is_not_believed() {
        let mut bindings = Bindings::default();
        let Err(Unknown { epoch }) = bindings.get(&affinity(1)) else { panic!("nothing is known") };
        bindings.written(bind(1, "new"));
        bindings.remember(&affinity(1), Some(bind(1, "old").binding), epoch);
        assert_eq!(bindings.get(&affinity(1)), Ok(Some(bind(1, "new").binding)));
        bindings.remember(&affinity(2), None, 1);
        assert_eq!(bindings.get(&affinity(2)), Ok(None));
        assert_eq!(bindings.get(&affinity(3)), Err(Unknown { epoch: 1 }));
    }

    #[test]
    fn what_is_in_use_stays_and_the_rest_is_bounded() {
        let mut bindings = Bindings::default();
        for number in 0..10 * GENERATION {
            bindings.written(bind(number, "a"));
            assert!(bindings.get(&affinity(0)).is_ok(), "after {number}");
        }
        assert!(bindings.recent.len() + bindings.older.len() <= 2 * GENERATION);
        assert!(bindings.get(&affinity(1)).is_err());
    }
}
