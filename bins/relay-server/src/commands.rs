//! The commands beside serving. They work on the store, with the server running or not.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod adopt;
pub(crate) mod config;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod key;
mod passphrase;
pub(crate) mod release;
pub(crate) mod reprice;
pub(crate) mod sandbox;

use relay_engine::operator::OperatorError;

use crate::cli::Cli;

/// Why `what` an operator asked for was not done. A value that cannot be is wrong usage.
fn refused(error: OperatorError, what: &'static str) -> anyhow::Error {
    if let OperatorError::Invalid { .. } = error {
        return Cli::misused(&format!("{what}: {error}")).into();
    }
    anyhow::Error::from(error).context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_is_wrong_usage_and_a_failure_is_none() {
        let invalid = OperatorError::Invalid { field: "name", why: "must be one" };
        let told = refused(invalid, "nothing was made");
        let misuse = told.downcast_ref::<clap::Error>().unwrap();
        assert!(misuse.to_string().contains("nothing was made: name must be one"), "{misuse}");
        assert!(!refused(OperatorError::NotDeleted, "nothing was made").is::<clap::Error>());
    }
}
