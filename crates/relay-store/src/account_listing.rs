//! Listing accounts: there are few enough to look at them all.

use relay_domain::{Account, AccountKind, Platform};

use crate::page::{Place, PlaceValue, page_of};
use crate::{Cursor, Order, Page};

/// Which accounts, and in which order. What is `None` is not looked at.
#[derive(Clone, Debug, Default)]
pub struct AccountQuery {
    /// Those of this platform.
    pub platform: Option<Platform>,
    /// Those that are switched on, or off.
    pub is_active: Option<bool>,
    /// Those that the scheduler may choose, or may not.
    pub schedulable: Option<bool>,
    /// Those of the pool, or those that keys are bound to.
    pub kind: Option<AccountKind>,
    /// Those whose name or id holds this text, in any case.
    pub text: Option<String>,
    /// What they are sorted by.
    pub sort: AccountSort,
    /// Which way.
    pub order: Order,
    /// Where the page begins.
    pub after: Option<Cursor>,
    /// How many a page holds.
    pub limit: usize,
}

/// What accounts are sorted by. Among equals the id decides.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccountSort {
    /// Their priority.
    #[default]
    Priority,
    /// Their name, in any case.
    Name,
    /// When they were added.
    CreatedAt,
    /// When they last answered.
    LastUsedAt,
}

impl AccountQuery {
    /// The page of `accounts` that this asks for.
    pub fn page(&self, accounts: Vec<Account>) -> Page<Account> {
        let text = self.text.as_ref().map(|text| text.to_lowercase());
        let found = accounts.into_iter().filter(|account| self.matches(account, text.as_deref()));
        let found: Vec<_> = found.map(|account| (account.name.to_lowercase(), account)).collect();
        let placed = found.iter().map(|(name, account)| (self.place(name, account), account));
        page_of(placed, self.order, self.after.as_ref(), self.limit).map(Account::clone)
    }

    fn matches(&self, account: &Account, text: Option<&str>) -> bool {
        self.platform.is_none_or(|wanted| wanted == account.platform)
            && self.is_active.is_none_or(|wanted| wanted == account.is_active)
            && self.schedulable.is_none_or(|wanted| wanted == account.schedulable)
            && self.kind.is_none_or(|wanted| wanted == account.kind)
            && text.is_none_or(|text| {
                account.name.to_lowercase().contains(text)
                    || account.id.as_str().to_lowercase().contains(text)
            })
    }

    /// The place of an account, whose name is `name` in lower case.
    fn place<'a>(&self, name: &'a str, account: &'a Account) -> Place<'a> {
        let moment = |moment: Option<relay_domain::Timestamp>| {
            PlaceValue::Number(moment.map_or(0, relay_domain::Timestamp::as_millis))
        };
        let value = match self.sort {
            AccountSort::Priority => PlaceValue::Number(u8::from(account.priority).into()),
            AccountSort::Name => PlaceValue::Text(name),
            AccountSort::CreatedAt => moment(Some(account.created_at)),
            AccountSort::LastUsedAt => moment(account.last_used_at),
        };
        Place { value, id: account.id.as_str() }
    }
}
