//! Every name in Redis, made in one place.
//!
//! Names that v1 knows are v1's, so that a v1 that comes back finds its data; what v1 has no name for
//! lives under a prefix of Relay's own. Scripts get names as KEYS and make none: a layout with hash tags
//! for Redis Cluster is a second `Keyspace`, not a rewrite.

mod counter_names;
mod kept;
mod usage;

use relay_domain::{AffinityKey, Period, Platform, RequestId};
use relay_store::statistics::SegmentName;
use relay_store::{Line, SettingsName, WaitsTo};

pub(crate) use self::usage::Index;

/// The names of one store.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    own: String,
}

/// The places in which accounts are found. v1 and v2 keep Codex accounts in different ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AccountFamily {
    /// `claude_console_account`, of v1 and v2.
    ClaudeConsole,
    /// `openai_responses_account`, v1's Codex accounts; new ones go here.
    OpenaiResponses,
    /// `codex_account`, v2's.
    Codex,
}

impl AccountFamily {
    /// Every family.
    pub(crate) const ALL: [Self; 3] = [Self::ClaudeConsole, Self::OpenaiResponses, Self::Codex];

    /// The family into which a new account of a platform goes.
    pub(crate) fn of_new(platform: Platform) -> Self {
        match platform {
            Platform::ClaudeConsole => Self::ClaudeConsole,
            Platform::Codex => Self::OpenaiResponses,
        }
    }

    /// The families in which an account of a platform may be.
    pub(crate) fn of_platform(platform: Platform) -> &'static [Self] {
        match platform {
            Platform::ClaudeConsole => &[Self::ClaudeConsole],
            Platform::Codex => &[Self::OpenaiResponses, Self::Codex],
        }
    }

    /// What a binding to one of its accounts calls them.
    pub(crate) fn sticky_kind(self) -> &'static str {
        match self {
            Self::ClaudeConsole => "claude-console",
            Self::OpenaiResponses => "openai-responses",
            Self::Codex => "codex",
        }
    }

    /// The platform of its accounts.
    pub(crate) fn platform(self) -> Platform {
        match self {
            Self::ClaudeConsole => Platform::ClaudeConsole,
            Self::OpenaiResponses | Self::Codex => Platform::Codex,
        }
    }

    /// What its names begin with.
    pub(crate) fn stem(self) -> &'static str {
        match self {
            Self::ClaudeConsole => "claude_console_account",
            Self::OpenaiResponses => "openai_responses_account",
            Self::Codex => "codex_account",
        }
    }
}

#[expect(clippy::unused_self, reason = "a layout with hash tags makes every name from its state")]
impl Keyspace {
    /// The names of a store whose own names begin with `own`, such as `relay:`.
    pub(crate) fn new(own: &str) -> Self {
        Self { own: own.to_owned() }
    }

    /// Written to find out whether anything can be. Gone a minute later.
    pub(crate) fn readiness(&self) -> String {
        format!("{}readiness", self.own)
    }

    // Versions.

    pub(crate) fn key_version(&self) -> String {
        format!("{}version:keys", self.own)
    }

    pub(crate) fn account_version(&self) -> String {
        format!("{}version:accounts", self.own)
    }

    // Requests.

    pub(crate) fn hold(&self, request: RequestId) -> String {
        format!("{}hold:{request}", self.own)
    }

    /// Every hold by the end of its lease.
    pub(crate) fn holds(&self) -> String {
        format!("{}holds", self.own)
    }

    /// The requests that wait in a line by the end of their places.
    pub(crate) fn waiting(&self, line: &Line) -> String {
        let to = match line.to {
            WaitsTo::BeLetIn => "let_in",
            WaitsTo::BeServed => "served",
        };
        format!("{}waiting:{to}:{}", self.own, line.key)
    }

    /// Every kept record by request id.
    pub(crate) fn records(&self) -> String {
        format!("{}records", self.own)
    }

    /// The ids of kept records by arrival.
    pub(crate) fn record_index(&self) -> String {
        format!("{}records:index", self.own)
    }

    /// v1's sticky session. Its two schedulers have one name each.
    pub(crate) fn binding(&self, platform: Platform, affinity: &AffinityKey) -> String {
        match platform {
            Platform::ClaudeConsole => format!("unified_claude_session_mapping:{affinity}"),
            Platform::Codex => format!("unified_openai_session_mapping:{affinity}"),
        }
    }

    /// What a scan for conversations' bindings asks for.
    pub(crate) fn binding_pattern(&self) -> &'static str {
        "unified_*_session_mapping:*"
    }

    /// The conversation in the name of a binding.
    pub(crate) fn affinity_of(&self, name: &str) -> Option<AffinityKey> {
        let text = name
            .strip_prefix("unified_claude_session_mapping:")
            .or_else(|| name.strip_prefix("unified_openai_session_mapping:"))?;
        AffinityKey::try_from(text).ok()
    }

    // API keys.

    pub(crate) fn key(&self, id: &str) -> String {
        format!("apikey:{id}")
    }

    /// Digest to id, of keys that are not deleted.
    pub(crate) fn key_digests(&self) -> &'static str {
        "apikey:hash_map"
    }

    /// v1's older form of the same, which restoring and regenerating still write.
    pub(crate) fn legacy_key_digest(&self, digest: &str) -> String {
        format!("apikey_hash:{digest}")
    }

    /// Digest to id, of deleted keys: v1 takes them out of its own map.
    pub(crate) fn deleted_key_digests(&self) -> String {
        format!("{}deleted_key_digests", self.own)
    }

    /// Digest to id, of secrets that were replaced and are good for a while. v1 would take one in its own
    /// map for good.
    pub(crate) fn retiring_key_digests(&self) -> String {
        format!("{}retiring_key_digests", self.own)
    }

    /// The ids of the keys that were changed last, the latest first.
    pub(crate) fn key_changes(&self) -> String {
        format!("{}key_changes", self.own)
    }

    /// v1's rankings of keys by their cost, which it makes anew every few minutes.
    pub(crate) fn cost_rankings(&self) -> [&'static str; 4] {
        ["cost_rank:today", "cost_rank:7days", "cost_rank:30days", "cost_rank:all"]
    }

    /// What is counted for a key and has no lifetime.
    pub(crate) fn key_totals(&self, id: &str) -> [String; 2] {
        [format!("usage:{id}"), format!("usage:cost:total:{id}")]
    }

    /// One of v1's users, whom Relay does not know.
    pub(crate) fn user(&self, id: &str) -> String {
        format!("user:{id}")
    }

    /// Groups of keys by id.
    pub(crate) fn key_groups(&self) -> String {
        format!("{}key_groups", self.own)
    }

    pub(crate) fn key_ids(&self) -> &'static str {
        "apikey:idx:all"
    }

    pub(crate) fn keys_by_creation(&self) -> &'static str {
        "apikey:idx:createdAt"
    }

    pub(crate) fn keys_by_use(&self) -> &'static str {
        "apikey:idx:lastUsedAt"
    }

    pub(crate) fn keys_by_name(&self) -> &'static str {
        "apikey:idx:name"
    }

    pub(crate) fn active_keys(&self) -> &'static str {
        "apikey:set:active"
    }

    pub(crate) fn deleted_keys(&self) -> &'static str {
        "apikey:set:deleted"
    }

    pub(crate) fn key_tag(&self, tag: &str) -> String {
        format!("apikey:tag:{tag}")
    }

    /// The tag in the name of a tag's set.
    pub(crate) fn tag_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix("apikey:tag:")
    }

    /// Says that v1's indexes are whole: v1 makes them anew at its start if it says anything else.
    pub(crate) fn key_index_version(&self) -> &'static str {
        "apikey:index:version"
    }

    pub(crate) fn key_tags(&self) -> &'static str {
        "apikey:tags:all"
    }

    /// Whether a name is that of one of v1's indexes of API keys.
    pub(crate) fn is_key_index(&self, name: &str) -> bool {
        let stems = ["apikey:idx:", "apikey:set:", "apikey:tag:", "apikey:tags:", "apikey:index:"];
        stems.iter().any(|stem| name.starts_with(stem))
    }

    /// What a scan for API keys asks for; [`key_id_of`](Self::key_id_of) sorts out what else it finds.
    pub(crate) fn key_pattern(&self) -> &'static str {
        "apikey:*"
    }

    /// The id in the name of an API key: `None` if it names something else (an index has two colons).
    pub(crate) fn key_id_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let id = name.strip_prefix("apikey:")?;
        (!id.is_empty() && !id.contains(':') && id != "hash_map").then_some(id)
    }

    // Accounts.

    pub(crate) fn account(&self, family: AccountFamily, id: &str) -> String {
        format!("{}:{id}", family.stem())
    }

    /// The ids of a family's accounts. v2 keeps none of its Codex accounts, and takes every name that
    /// begins like theirs for an account: theirs is Relay's own.
    pub(crate) fn account_ids(&self, family: AccountFamily) -> String {
        match family {
            AccountFamily::ClaudeConsole | AccountFamily::OpenaiResponses => {
                format!("{}:index", family.stem())
            }
            AccountFamily::Codex => format!("{}codex_accounts", self.own),
        }
    }

    /// v1's note that the family is empty, which would make it overlook a new account for an hour.
    pub(crate) fn no_accounts(&self, family: AccountFamily) -> String {
        format!("{}:empty", self.account_ids(family))
    }

    pub(crate) fn shared_accounts(&self, family: AccountFamily) -> String {
        format!("shared_{}s", family.stem())
    }

    /// The rest that v1 gives an account after trouble. It ends with the name.
    pub(crate) fn short_rest(&self, family: AccountFamily, id: &str) -> String {
        format!("temp_unavailable:{}:{id}", family.sticky_kind())
    }

    /// Whether a name is that of such a rest.
    pub(crate) fn is_short_rest(&self, name: &str) -> bool {
        let rest = name.strip_prefix("temp_unavailable:");
        let kind = rest.and_then(|rest| rest.split_once(':')).map(|(kind, _)| kind);
        AccountFamily::ALL.into_iter().any(|family| kind == Some(family.sticky_kind()))
    }

    pub(crate) fn account_pattern(&self, family: AccountFamily) -> String {
        format!("{}:*", family.stem())
    }

    /// The id in the name of an account of `family`: `None` if it names something else.
    pub(crate) fn account_id_of<'a>(
        &self,
        family: AccountFamily,
        name: &'a str,
    ) -> Option<&'a str> {
        let id = name.strip_prefix(family.stem())?.strip_prefix(':')?;
        (!id.is_empty() && !id.contains(':') && id != "index").then_some(id)
    }

    // Groups of accounts, which are v1's.

    /// The ids of all groups.
    pub(crate) fn account_group_ids(&self) -> &'static str {
        "account_groups"
    }

    pub(crate) fn account_group(&self, id: &str) -> String {
        format!("account_group:{id}")
    }

    /// The id in the name of a group.
    pub(crate) fn account_group_id_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix("account_group:").filter(|id| !id.is_empty())
    }

    pub(crate) fn account_group_members(&self, id: &str) -> String {
        format!("account_group_members:{id}")
    }

    /// The groups that an account is in, by v1's word for its platform.
    pub(crate) fn groups_of_account(&self, platform: &str, account: &str) -> String {
        format!("account_groups_reverse:{platform}:{account}")
    }

    /// Whether a name is that of an account's groups.
    pub(crate) fn is_groups_of_account(&self, name: &str) -> bool {
        name.strip_prefix("account_groups_reverse:").is_some_and(|rest| rest.contains(':'))
    }

    /// Whether a name is that of anything about groups of accounts.
    pub(crate) fn is_of_account_groups(&self, name: &str) -> bool {
        let stems = ["account_group:", "account_group_members:", "account_groups_reverse:"];
        name == self.account_group_ids() || stems.iter().any(|stem| name.starts_with(stem))
    }

    // What tells who was here.

    /// What only a v1 writes.
    pub(crate) fn marks_of_v1(&self) -> [&'static str; 3] {
        ["session:admin_credentials", "account_groups_reverse:migrated", "system:migrated:version"]
    }

    /// What a v1 writes, and Relay as v1 does.
    pub(crate) fn marks_of_v1_or_relay(&self) -> [&'static str; 2] {
        [self.key_index_version(), "usage:global:total"]
    }

    /// What only a v2 writes, beside its login.
    pub(crate) fn mark_of_v2(&self) -> String {
        self.shared_accounts(AccountFamily::Codex)
    }

    /// What only Relay writes, beside its login.
    pub(crate) fn marks_of_relay(&self) -> [String; 2] {
        [self.key_version(), self.account_version()]
    }

    /// Whether a name is that of a conversation's binding.
    pub(crate) fn is_binding(&self, name: &str) -> bool {
        name.starts_with("unified_claude_session_mapping:")
            || name.starts_with("unified_openai_session_mapping:")
    }

    /// Whether a name is Relay's own.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        name.starts_with(&self.own)
    }

    /// The name that an installation has given to the database.
    pub(crate) fn installation(&self) -> String {
        format!("{}installation", self.own)
    }

    // Statistics.

    /// What a scan for segments asks for.
    pub(crate) fn statistics_pattern(&self) -> String {
        format!("{}stats:*", self.own)
    }

    /// What the name of a segment says of which one it is.
    pub(crate) fn statistics_segment_text<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.own)?.strip_prefix("stats:")
    }

    /// How far segments have been made.
    pub(crate) fn statistics_state(&self) -> String {
        format!("{}stats:state", self.own)
    }

    /// What settlements have counted and no segment has yet.
    pub(crate) fn statistics_fresh(&self) -> String {
        format!("{}stats:fresh", self.own)
    }

    /// The parts of a segment.
    pub(crate) fn statistics_segment(&self, segment: SegmentName) -> String {
        format!("{}stats:{segment}", self.own)
    }

    /// What is to become a segment. The token tells apart who makes it.
    pub(crate) fn staged_segment(&self, segment: SegmentName, token: u64) -> String {
        format!("{}stats:staged:{token:016x}:{segment}", self.own)
    }

    // The operator.

    /// Tokens of automation by id.
    pub(crate) fn admin_tokens(&self) -> String {
        format!("{}admin_tokens", self.own)
    }

    /// Digest to id, of those tokens.
    pub(crate) fn admin_token_digests(&self) -> String {
        format!("{}admin_token_digests", self.own)
    }

    /// The trail of changes by number.
    pub(crate) fn audit(&self) -> String {
        format!("{}audit", self.own)
    }

    /// The number of the last entry.
    pub(crate) fn audit_sequence(&self) -> String {
        format!("{}audit:sequence", self.own)
    }

    /// What an operator should hear of.
    pub(crate) fn events(&self) -> String {
        format!("{}events", self.own)
    }

    /// Which models were told of on a day, where they are told of once a day.
    pub(crate) fn events_of_day(&self, kind: &str, day: Period) -> String {
        format!("{}events:{kind}:{day}", self.own)
    }

    /// An answer that is given again.
    pub(crate) fn idempotency(&self, name: &str) -> String {
        format!("{}idempotency:{name}", self.own)
    }

    /// v2's login.
    pub(crate) fn admin_credentials(&self) -> &'static str {
        "admin:credentials"
    }

    /// A document of settings.
    pub(crate) fn settings(&self, name: SettingsName) -> String {
        match name {
            SettingsName::ServiceRates => "system:service_rates".to_owned(),
            SettingsName::PriceOverrides => format!("{}settings:{}", self.own, name.as_str()),
        }
    }

    /// v1's, which lasts a day and is made anew from its `init.json` at every start of it.
    pub(crate) fn v1_admin_credentials(&self) -> &'static str {
        "session:admin_credentials"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: &str = "relay:";

    #[test]
    fn indexes_are_no_api_keys() {
        let keyspace = Keyspace::new(SPACE);
        let cases = [
            ("apikey:ed32293a-3b89-473b-ac89-d2287c65052b", true),
            ("apikey:564245ffbb9c1c6f", true),
            ("apikey:hash_map", false),
            ("apikey:idx:all", false),
            ("apikey:index:version", false),
            ("apikey:", false),
            ("apikey_hash:00", false),
        ];
        for (name, is_key) in cases {
            assert_eq!(keyspace.key_id_of(name).is_some(), is_key, "{name}");
        }
    }

    #[test]
    fn indexes_are_no_accounts() {
        let keyspace = Keyspace::new(SPACE);
        let cases = [
            (AccountFamily::ClaudeConsole, "claude_console_account:2826fefc97caa164", true),
            (AccountFamily::ClaudeConsole, "claude_console_account:index", false),
            (AccountFamily::ClaudeConsole, "claude_console_account:index:empty", false),
            (AccountFamily::ClaudeConsole, "codex_account:1", false),
            (AccountFamily::Codex, "codex_account:1", true),
            (AccountFamily::OpenaiResponses, "openai_responses_account:index", false),
        ];
        for (family, name, is_account) in cases {
            assert_eq!(keyspace.account_id_of(family, name).is_some(), is_account, "{name}");
        }
    }

    #[test]
    fn what_v1_has_no_name_for_has_our_prefix() {
        let keyspace = Keyspace::new("own:");
        let request = RequestId::new(relay_domain::Timestamp::EPOCH, 7);
        for name in [
            keyspace.key_version(),
            keyspace.account_version(),
            keyspace.hold(request),
            keyspace.holds(),
            keyspace
                .waiting(&Line { key: "k".to_owned().try_into().unwrap(), to: WaitsTo::BeServed }),
            keyspace.records(),
            keyspace.record_index(),
            keyspace.deleted_key_digests(),
            keyspace.retiring_key_digests(),
            keyspace.key_changes(),
            keyspace.key_groups(),
            keyspace.admin_tokens(),
            keyspace.admin_token_digests(),
            keyspace.audit(),
            keyspace.audit_sequence(),
            keyspace.events(),
            keyspace.events_of_day("kind", Period::Total),
            keyspace.idempotency("n"),
            keyspace.settings(SettingsName::PriceOverrides),
            keyspace.installation(),
        ] {
            assert!(name.starts_with("own:"), "{name}");
        }
    }
}
