//! Bindings of conversations that are in use, in memory: a request of one needs no look at the file.

use relay_domain::AffinityKey;
use relay_store::{Binding, Rebind};

use crate::recent::Recent;

/// How many bindings a generation has. Two are kept: at most about six megabytes, as they come into use.
const GENERATION: usize = 16_384;

/// Nothing is known of a conversation.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Unknown {
    /// When that was: to be given back with what the file says.
    pub(crate) epoch: u64,
}

/// A bounded copy of the bindings. One that has been forgotten is read from the file when it is asked for
/// again.
pub(crate) struct Bindings {
    known: Recent<AffinityKey, Option<Binding>>,
    /// Raised whenever a binding is written: what was read from the file before is not to be believed.
    epoch: u64,
}

impl Default for Bindings {
    fn default() -> Self {
        Self { known: Recent::new(GENERATION), epoch: 0 }
    }
}

impl Bindings {
    /// The binding of a conversation, or that it has none, as far as memory has it.
    ///
    /// # Errors
    ///
    /// [`Unknown`] if the file has to be asked.
    pub(crate) fn get(&mut self, affinity: &AffinityKey) -> Result<Option<Binding>, Unknown> {
        self.known.get(affinity).map(|known| known.clone()).ok_or(Unknown { epoch: self.epoch })
    }

    /// Keeps what was read from the file in `epoch`.
    pub(crate) fn remember(
        &mut self,
        affinity: &AffinityKey,
        binding: Option<Binding>,
        epoch: u64,
    ) {
        if epoch == self.epoch {
            self.known.insert(affinity.clone(), binding);
        }
    }

    /// A binding was committed.
    pub(crate) fn written(&mut self, bind: Rebind) {
        self.epoch += 1;
        self.known.insert(bind.affinity, Some(bind.binding));
    }

    /// Whether a binding was committed is not known: the file has to be asked.
    pub(crate) fn forget(&mut self, affinity: &AffinityKey) {
        self.epoch += 1;
        self.known.forget(affinity);
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
}
