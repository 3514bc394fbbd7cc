//! `sandbox`: the built-in upstream by itself.

use anyhow::{Context as _, Result};
use relay_sandbox::Sandbox;
use tokio_util::sync::CancellationToken;

use crate::cli::SandboxArgs;
use crate::terminal::print;

/// Serves the sandbox until it is interrupted.
///
/// # Errors
///
/// Fails if the address cannot be used.
pub(crate) async fn run(arguments: SandboxArgs) -> Result<()> {
    let SandboxArgs { listen, no_record } = arguments;
    let in_use = || format!("cannot listen on {listen}; choose another address with --listen");
    let mut sandbox = Sandbox::bind(listen).await.with_context(in_use)?;
    if no_record {
        sandbox = sandbox.without_recording();
    }
    print(format!("Sandbox on http://{}", sandbox.local_addr()));
    // A sandbox has nothing to lose: a signal ends the process.
    sandbox.serve(CancellationToken::new()).await;
    Ok(())
}
