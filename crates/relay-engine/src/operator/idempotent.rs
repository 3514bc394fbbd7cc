//! Doing once what is asked twice: a client that got no answer may ask again with the same key.

use std::sync::Arc;

use relay_crypto::LegacySalt;
use relay_store::Claim;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Operator, OperatorError};

impl Operator {
    /// Does `work` and keeps its answer, unless it was done before: then that answer is given again.
    /// `name` is made of who asks and of the client's key, `fingerprint` of what is asked. The answer may
    /// hold a secret: it is kept sealed. Work that fails is forgotten, and may be tried again.
    ///
    /// # Errors
    ///
    /// [`OperatorError::KeyReused`] if the key came with another request before,
    /// [`OperatorError::InProgress`] if the same is being done, those of `work`, or the store's.
    pub async fn once<E: From<OperatorError>>(
        &self,
        name: &str,
        fingerprint: &str,
        work: impl Future<Output = Result<SecretString, E>>,
    ) -> Result<SecretString, E> {
        let answers = &self.stores.idempotency;
        let claim = answers.claim(name, fingerprint, self.clock.now()).await;
        match claim.map_err(OperatorError::from)? {
            Claim::Ours => {}
            Claim::InProgress => return Err(OperatorError::InProgress.into()),
            Claim::OtherRequest => return Err(OperatorError::KeyReused.into()),
            Claim::Answered(sealed) => return Ok(self.open_answer(sealed).await?),
        }
        let answer = match work.await {
            Ok(answer) => answer,
            Err(error) => {
                if let Err(error) = answers.release(name).await {
                    tracing::warn!(%error, "a failed request holds its key for a while");
                }
                return Err(error);
            }
        };
        let sealed = self.seal(answer.clone(), LegacySalt::Console).await?;
        let kept = answers.answer(name, fingerprint, sealed.as_stored(), self.clock.now()).await;
        if let Err(error) = kept {
            // It was done: whoever asked learns it now, and would be refused for a while if they ask again.
            tracing::error!(%error, "an answer could not be kept");
        }
        Ok(answer)
    }

    async fn open_answer(&self, sealed: String) -> Result<SecretString, OperatorError> {
        let keyring = Arc::clone(&self.keyring);
        let opened = self.heavy(move || keyring.open(&sealed, LegacySalt::Console)).await?;
        Ok(SecretString::from(opened.expose_secret()))
    }
}

#[cfg(test)]
mod tests;
