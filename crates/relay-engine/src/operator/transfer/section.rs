//! The sections of the file, by which its entries are counted.

/// What an entry is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Section {
    /// The administrator's login: one or none.
    Login,
    /// An upstream account.
    Account,
    /// A group of accounts.
    AccountGroup,
    /// A group of API keys.
    Group,
    /// An API key.
    Key,
    /// A token of automation.
    Token,
    /// A document of settings.
    Settings,
    /// What a scope used in a period.
    Counter,
    /// The record of a request.
    Record,
    /// What is known of someone's limits that no counter tells.
    Limit,
    /// A conversation that is bound to an account.
    Binding,
    /// A segment of the statistics, or how far they were made.
    Statistics,
    /// An entry of the trail of changes.
    Audit,
    /// What an operator should hear of.
    Event,
}

impl Section {
    /// Every section, in the order of the file.
    pub const ALL: [Self; 14] = [
        Self::Login,
        Self::Account,
        Self::AccountGroup,
        Self::Group,
        Self::Key,
        Self::Token,
        Self::Settings,
        Self::Counter,
        Self::Record,
        Self::Limit,
        Self::Binding,
        Self::Statistics,
        Self::Audit,
        Self::Event,
    ];

    /// What its entries are called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Account => "accounts",
            Self::AccountGroup => "account groups",
            Self::Group => "groups",
            Self::Key => "API keys",
            Self::Token => "admin tokens",
            Self::Settings => "settings",
            Self::Counter => "counters",
            Self::Record => "records",
            Self::Limit => "limits in use",
            Self::Binding => "conversations",
            Self::Statistics => "statistics",
            Self::Audit => "audit trail",
            Self::Event => "events",
        }
    }
}
