//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use relay_domain::{Calendar, KeyId, ModelName, Platform, Priority, Timestamp};
use relay_store::statistics::Hour;

/// The relay between AI coding clients and their model providers.
#[derive(Debug, Parser)]
#[command(name = "relay-server", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

impl Cli {
    /// Wrong usage that only the configuration shows, told like what is wrong with the words themselves.
    pub(crate) fn misused(why: &str) -> clap::Error {
        Self::command().error(ErrorKind::ValueValidation, why)
    }
}

/// What to do. Without a word Relay serves.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve clients (the default)
    Serve,
    /// Show a whole conversation through Relay on this machine; needs no provider and keeps nothing
    Demo(DemoArgs),
    /// Run the built-in upstream that stands in for a provider
    Sandbox(SandboxArgs),
    /// Add and list upstream accounts
    #[command(subcommand)]
    Account(AccountCommand),
    /// Create and list API keys for clients
    #[command(subcommand)]
    Key(KeyCommand),
    /// The administrator's login
    #[command(subcommand)]
    Admin(AdminCommand),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at what a v1 or v2 left in Redis, and make v1's indexes right
    Adopt(AdoptArgs),
    /// Make way in Redis for a v2 that comes back; stop Relay first
    Release,
    /// Write everything that the store holds into one file that a passphrase opens
    Export(ExportArgs),
    /// Take in what such a file holds
    Import(ImportArgs),
    /// Recompute what past requests cost by the present prices, and show what would change
    Reprice(RepriceArgs),
    #[command(about = "Print the OpenAPI document of the admin API")]
    Openapi,
}

/// How to show it.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DemoArgs {
    /// Exit after the conversation: zero if all went well
    #[arg(long)]
    pub(crate) once: bool,
}

/// How the built-in upstream runs.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct SandboxArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4010", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Do not record requests
    #[arg(long)]
    pub(crate) no_record: bool,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Add an upstream account
    Add(Box<AccountArgs>),
    /// List the upstream accounts
    List(ListArgs),
}

/// A new account.
#[derive(Args, Debug)]
pub(crate) struct AccountArgs {
    /// What to call it
    #[arg(long)]
    pub(crate) name: String,
    /// The base URL of the provider: scheme and host
    #[arg(long)]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) credential: CredentialArgs,
    /// 1 to 100; accounts with a smaller number are tried first
    #[arg(long, value_parser = priority, default_value = "50")]
    pub(crate) priority: Priority,
    /// A model that it serves, and its name there; may be given several times. None: every model
    #[arg(long = "model", value_parser = model, value_name = "MODEL[=NAME-THERE]")]
    pub(crate) models: Vec<(String, String)>,
    /// Reach it through this proxy: http, https or socks5, with name:password@ if it asks for them
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    #[arg(long, help = "claude-console (Anthropic Messages) or codex (OpenAI Responses)", value_parser = platform, default_value = "claude-console")]
    pub(crate) platform: Platform,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the provider's key comes from.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct CredentialArgs {
    /// The provider's key. Others on this machine may see it while the command runs
    #[arg(long)]
    key: Option<String>,
    /// Read the provider's key from standard input
    #[arg(long)]
    key_stdin: bool,
}

impl std::fmt::Debug for CredentialArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialArgs(..)")
    }
}

impl CredentialArgs {
    /// The key on the command line; `None`: it comes on standard input.
    pub(crate) fn into_given(self) -> Option<String> {
        self.key.filter(|_| !self.key_stdin)
    }
}

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create an API key and print it, this once
    Create(KeyArgs),
    /// List the API keys
    List(ListArgs),
}

/// A new API key.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    /// What to call it
    #[arg(long)]
    pub(crate) name: String,
    /// How many requests it may have in flight at once; without it, any number
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: Option<u32>,
    /// When it ends: a date (2027-01-31T00:00:00Z) or a time from now (30d, 12h); without it, never
    #[arg(long, value_parser = expires, value_name = "WHEN")]
    pub(crate) expires: Option<Expires>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expires {
    /// At a fixed moment.
    At(Timestamp),
    /// So long from now.
    In(Duration),
}

/// How to list.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with the administrator's login.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Make up a new password, print it, and end all sessions
    ResetPassword,
}

/// How to adopt.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct AdoptArgs {
    /// Change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where to export to.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The file to write; it must not be there yet
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// What to import.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file to read
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Add to a store that holds something already; what is there stays as it is
    #[arg(long)]
    pub(crate) merge: bool,
}

/// What to recompute.
#[derive(Args, Debug)]
pub(crate) struct RepriceArgs {
    /// The first day (2026-11-01, in the operator's calendar), or a moment (2026-11-01T08:00:00Z)
    #[arg(long, value_parser = edge, value_name = "WHEN")]
    pub(crate) from: Edge,
    /// The last day, or the moment before which requests arrived
    #[arg(long, value_parser = edge, value_name = "WHEN")]
    pub(crate) to: Edge,
    /// Only requests of this model, asked for or served
    #[arg(long, value_parser = model_name)]
    pub(crate) model: Option<ModelName>,
    /// Only requests of the API key with this id
    #[arg(long, value_parser = key_id, value_name = "ID")]
    pub(crate) key: Option<KeyId>,
    /// Only requests that have no price so far
    #[arg(long)]
    pub(crate) only_unpriced: bool,
    /// Write it; an embedded store must not be served meanwhile
    #[arg(long)]
    pub(crate) apply: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a range begins or ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Edge {
    /// With a day of the operator's calendar, whose first hour this is.
    Day(Hour),
    /// At a moment.
    Moment(Timestamp),
}

/// Where the passphrase comes from.
#[derive(Args, Debug)]
pub(crate) struct PassphraseArgs {
    /// Read the passphrase from the first line of this file instead of standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every effective value and where it came from; secrets are hidden
    Show(ListArgs),
    /// Say all that is wrong with the configuration, without starting
    Check(CheckArgs),
}

/// How to check.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Fail for warnings too
    #[arg(long)]
    pub(crate) strict: bool,
}

fn priority(text: &str) -> Result<Priority, String> {
    let number: u8 = text.parse().map_err(|_| "a priority is a number from 1 to 100".to_owned())?;
    Priority::try_from(number).map_err(str::to_owned)
}

fn platform(text: &str) -> Result<Platform, String> {
    [Platform::ClaudeConsole, Platform::Codex]
        .into_iter()
        .find(|platform| platform.as_str() == text)
        .ok_or_else(|| "expected claude-console or codex".to_owned())
}

fn model(text: &str) -> Result<(String, String), String> {
    let (model, there) = text.split_once('=').unwrap_or((text, text));
    if model.is_empty() || there.is_empty() {
        return Err("expected a model's name, or MODEL=NAME-THERE".to_owned());
    }
    Ok((model.to_owned(), there.to_owned()))
}

fn model_name(text: &str) -> Result<ModelName, String> {
    ModelName::try_from(text).map_err(|error| error.to_string())
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::try_from(text).map_err(|error| error.to_string())
}

fn edge(text: &str) -> Result<Edge, String> {
    if let Some(moment) = Timestamp::parse_rfc3339(text) {
        return Ok(Edge::Moment(moment));
    }
    let as_if_utc = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"));
    let day = as_if_utc.filter(|_| text.len() == 10).map(|day| Hour::of(Calendar::UTC, day));
    day.map(Edge::Day).ok_or_else(|| {
        "expected a day such as 2026-11-23, or a moment such as 2026-11-23T08:00:00Z".to_owned()
    })
}

fn expires(text: &str) -> Result<Expires, String> {
    if let Some(moment) = Timestamp::parse_rfc3339(text) {
        return Ok(Expires::At(moment));
    }
    let units: [(char, u64); 3] = [('d', 86_400), ('h', 3_600), ('m', 60)];
    let span = units.into_iter().find_map(|(unit, seconds)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs)
    });
    span.map(Expires::In).ok_or_else(|| {
        "expected a moment such as 2027-01-31T00:00:00Z, or 30d, 12h, 90m".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("relay-server").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert!(parse("").unwrap().command.is_none(), "serving needs no word");
    }

    #[test]
    fn what_the_manual_says_is_understood() {
        let lines = [
            "serve",
            "demo",
            "demo --once",
            "sandbox --listen 127.0.0.1:0 --no-record",
            "account add --name a --url https://api.anthropic.com --key sk",
            "account add --name a --url u --key-stdin --priority 1 --model a=b --model c --proxy socks5://p:1 --json",
            "account list --json",
            "key create --name k --concurrency 3 --expires 30d --json",
            "key list",
            "admin reset-password",
            "config show --json",
            "config check --strict --json",
            "adopt --dry-run --json",
            "release",
            "export relay.export --passphrase-file p",
            "import relay.export --merge",
            "reprice --from 2026-11-01 --to 2026-11-05",
            "reprice --from 2026-11-01T08:00:00Z --to 2026-11-05 --model m --key k --only-unpriced --apply --json",
            "openapi",
        ];
        for line in lines {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let lines = [
            "fly",
            "account add --name a --url u",
            "account add --name a --url u --key k --key-stdin",
            "account add --name a --url u --key k --priority 0",
            "account add --name a --url u --key k --model =x",
            "account add --name a --url u --key k --platform gemini",
            "key create",
            "key create --name k --concurrency 0",
            "key create --name k --expires soon",
            "key create --name k --expires 0d",
            "sandbox --listen nowhere",
            "export",
            "import",
            "reprice --from 2026-11-01",
            "reprice --from yesterday --to 2026-11-05",
            "reprice --from 2026-11-31 --to 2026-12-05",
        ];
        for line in lines {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn models_and_ends_are_read() {
        assert_eq!(model("a"), Ok(("a".to_owned(), "a".to_owned())));
        assert_eq!(model("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(expires("2d"), Ok(Expires::In(Duration::from_hours(48))));
        let moment = Timestamp::parse_rfc3339("2027-01-31T00:00:00Z").unwrap();
        assert_eq!(expires("2027-01-31T00:00:00Z"), Ok(Expires::At(moment)));
    }

    #[test]
    fn a_presented_secret_is_not_printed() {
        let cli = parse("account add --name a --url u --key hidden").unwrap();
        assert!(!format!("{cli:?}").contains("hidden"));
    }
}
