//! Which accounts may serve a key's requests.

use serde::{Deserialize, Serialize};

use crate::{AccountGroupId, AccountId, AccountKind};

/// What stands before the id of a group where v1 has the id of an account.
const GROUP: &str = "group:";

/// The accounts of a platform that may serve a key's requests. Nothing else ever does: a binding to what is
/// not there refuses them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub enum AccountBinding {
    /// Every shared account.
    #[default]
    Pool,
    /// This one.
    Account(AccountId),
    /// The members of this group, shared or not.
    Group(AccountGroupId),
    /// None: what is written there names neither an account nor a group.
    Unusable,
}

impl AccountBinding {
    /// Reads its text: nothing, the id of an account, or `group:` and the id of a group. What is none of that
    /// is unusable, and so never more than was meant.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::Pool;
        }
        let read = match text.strip_prefix(GROUP) {
            Some(group) => AccountGroupId::try_from(group).map(Self::Group),
            None => AccountId::try_from(text).map(Self::Account),
        };
        read.unwrap_or(Self::Unusable)
    }

    /// Its text, which reads back as it; `None`: the pool.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Pool => None,
            Self::Account(account) => Some(account.to_string()),
            Self::Group(group) => Some(format!("{GROUP}{group}")),
            Self::Unusable => Some(GROUP.to_owned()),
        }
    }

    /// Whether an account may serve: the one with this id, of this kind, that is in these groups.
    pub fn admits(&self, id: &AccountId, kind: AccountKind, groups: &[AccountGroupId]) -> bool {
        match self {
            Self::Pool => kind == AccountKind::Shared,
            Self::Account(account) => account == id,
            Self::Group(group) => groups.contains(group),
            Self::Unusable => false,
        }
    }

    /// The group that it names.
    pub fn group(&self) -> Option<&AccountGroupId> {
        match self {
            Self::Group(group) => Some(group),
            Self::Pool | Self::Account(_) | Self::Unusable => None,
        }
    }
}

impl From<Option<String>> for AccountBinding {
    fn from(text: Option<String>) -> Self {
        Self::parse(&text.unwrap_or_default())
    }
}

impl From<AccountBinding> for Option<String> {
    fn from(binding: AccountBinding) -> Self {
        binding.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_reads_back_and_never_widens() {
        let account = || AccountBinding::Account(AccountId::try_from("acc-1").unwrap());
        let group = || AccountBinding::Group(AccountGroupId::try_from("gid").unwrap());
        let cases = [
            ("", AccountBinding::Pool),
            ("acc-1", account()),
            ("group:gid", group()),
            ("group:", AccountBinding::Unusable),
            ("group:a:b", AccountBinding::Unusable),
            ("group: gid", AccountBinding::Unusable),
            ("responses:acc-1", AccountBinding::Unusable),
            (" ", AccountBinding::Unusable),
        ];
        for (text, expected) in cases {
            let read = AccountBinding::parse(text);
            assert_eq!(read, expected, "{text:?}");
            assert_eq!(AccountBinding::from(read.text()), expected, "{text:?}");
        }
        assert_eq!(group().text().as_deref(), Some("group:gid"));
    }
}
