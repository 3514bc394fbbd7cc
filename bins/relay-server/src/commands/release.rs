//! `release`.

use anyhow::{Context as _, Result, bail};

use crate::config::Config;
use crate::installation::{Access, Installation};
use crate::terminal::print;

/// Takes away what a v2 that comes back cannot read.
///
/// # Errors
///
/// Fails if the store is no Redis, or fails.
pub(crate) async fn run(config: &Config) -> Result<()> {
    let installation = Installation::open(config, Access::Administer).await?;
    let Some(redis) = &installation.redis else {
        bail!("only Redis can be left to a v2; this store is {}", installation.store_place);
    };
    let removed = redis.release_to_v2().await.context("Redis failed")?;
    print(format!("Removed {removed} names from {}: v2 can start.", installation.store_place));
    Ok(())
}
