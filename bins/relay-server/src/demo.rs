//! `demo`: a whole conversation through Relay, on this machine, with nothing configured.
//!
//! Everything is real but the provider: the store is the embedded one in a temporary folder, the account
//! and the key are made as an operator makes them, and the request goes over HTTP to Relay and on to the
//! built-in sandbox. The environment and `relay.toml` play no part.

mod conversation;
mod report;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use relay_domain::{Actor, Platform};
use relay_engine::operator::{NewAccount, NewKey};
use relay_sandbox::{Sandbox, Script, Step};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use crate::cli::DemoArgs;
use crate::config::{Config, Environment, FileChoice};
use crate::installation::{Access, Installation};
use crate::serve::{self, Server, Signals};
use crate::terminal::{print, say};

/// The sandbox's name for the account that the demo makes.
const UPSTREAM_KEY: &str = "sk-sandbox-demo";
/// Slow enough to be seen.
const DELTA_MS: u64 = 20;
const DELTAS: usize = 48;
const ANSWER: &str = "Hello from the sandbox. Your request went through all of Relay: the key was recognised, a \
    slot was taken, an account was chosen, and these words come back as the upstream sends them, byte for byte. \
    你好，世界！ Accents (café), symbols (→) and emoji (🚀) arrive whole. ";

/// What the demo has set up.
struct Stage {
    address: SocketAddr,
    key: SecretString,
}

/// Shows the conversation; unless it is to be shown once, stays up for more.
///
/// # Errors
///
/// Fails if anything on the way does.
pub(crate) fn run(arguments: DemoArgs) -> Result<()> {
    let folder =
        tempfile::Builder::new().prefix("relay-demo-").tempdir().context("no temporary folder")?;
    let data_dir = folder.path().to_str().context("the temporary folder's name is not Unicode")?;
    let environment = Environment::from([
        ("RELAY_DATA_DIR", data_dir),
        ("RELAY_STORE", "sqlite"),
        ("PORT", "0"),
        ("RELAY_WORKERS", "1"),
        ("RELAY_SHUTDOWN_SECONDS", "5"),
        ("LOG_LEVEL", "warn"),
    ]);
    let config = Config::load(&environment, FileChoice::Ignored)?;
    crate::logging::start(&config.sections.log)?;
    crate::runtime()?.block_on(play(arguments, &config))
}

async fn play(arguments: DemoArgs, config: &Config) -> Result<()> {
    let sandbox =
        Sandbox::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.context("no free port")?;
    let slowly = Step::new().text(ANSWER).deltas(DELTAS).delta_ms(DELTA_MS);
    sandbox
        .handle()
        .set_script(UPSTREAM_KEY, Script::new([slowly]).then_default())
        .context("the sandbox's script")?;

    let installation = Installation::open(config, Access::Serve).await?;
    let upstream = format!("http://{}", sandbox.local_addr());
    let account = NewAccount {
        name: Some("sandbox".to_owned()),
        ..NewAccount::new(Platform::ClaudeConsole, &upstream, UPSTREAM_KEY.into())
    };
    installation
        .operator
        .create_account(&Actor::shell(), account)
        .await
        .context("the account was not added")?;
    let key = NewKey { name: Some("demo".to_owned()), ..NewKey::default() };
    let (_, key) = installation
        .operator
        .create_key(&Actor::shell(), key)
        .await
        .context("the key was not created")?;

    let server = Server::prepare(config, &installation, serve::bind(config)?).await?;
    let lifecycle = server.lifecycle();
    let stage = Stage { address: server.address(), key };
    say(format!(
        "Relay is up on http://{}, with a built-in upstream on {upstream}.\n",
        stage.address
    ));

    let signals = Signals::new()?;
    let provider = CancellationToken::new();
    let serving = async {
        let ended = server.run(signals).await;
        provider.cancel();
        ended
    };
    let showing = async {
        let shown = show(&stage, &installation).await;
        if shown.is_err() || arguments.once {
            lifecycle.stop();
        } else {
            invite(&stage);
            lifecycle.stopping().await;
        }
        shown
    };
    let (ended, shown, ()) = tokio::join!(serving, showing, sandbox.serve(provider.clone()));
    shown.and(ended)
}

/// The conversation and what Relay has recorded of it.
async fn show(stage: &Stage, installation: &Installation) -> Result<()> {
    let request = conversation::hold(stage.address, &stage.key).await?;
    let record = report::await_record(&installation.stores, request).await?;
    report::print_record(&record, installation).await
}

/// How to go on.
fn invite(stage: &Stage) {
    let Stage { address, key } = stage;
    let key = key.expose_secret();
    say(
        "\nRelay stays up (Ctrl-C ends it). Paste one of these into another terminal: Claude Code, Python, curl.\n",
    );
    print(format!("ANTHROPIC_BASE_URL=http://{address} ANTHROPIC_AUTH_TOKEN={key} claude"));
    print(format!(
        "python3 -c 'import anthropic; print(anthropic.Anthropic(base_url=\"http://{address}\", api_key=\"{key}\")\
         .messages.create(model=\"{model}\", max_tokens=256, messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}])\
         .content[0].text)'",
        model = conversation::MODEL
    ));
    print(format!(
        "curl -N http://{address}/v1/messages -H 'x-api-key: {key}' -H 'anthropic-version: 2023-06-01' \
         -H 'content-type: application/json' -d '{{\"model\":\"{model}\",\"max_tokens\":256,\"stream\":true,\
         \"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'",
        model = conversation::MODEL
    ));
}
