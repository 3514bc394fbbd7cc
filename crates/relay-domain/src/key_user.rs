//! v1's user whose API key it is.

/// v1's user whose key it is, if it is one's. Relay has no users of its own: how one stands is what the store
/// finds where v1 keeps them, or what an import has brought along.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyUser {
    /// Empty: it is nobody's.
    id: String,
    /// That user's name.
    pub username: String,
    standing: UserStanding,
}

/// Whether the keys of a user are served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UserStanding {
    /// They are.
    #[default]
    Active,
    /// They are not: v1 knows the user as not active, or not at all.
    Disabled,
}

impl KeyUser {
    /// The user with this id, who stands so. An empty id is nobody's.
    #[must_use]
    pub fn new(id: String, username: String, standing: UserStanding) -> Self {
        let standing = if id.is_empty() { UserStanding::default() } else { standing };
        Self { id, username, standing }
    }

    /// The user's id; empty: the key is nobody's.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How the user stands; `None`: the key is nobody's.
    pub fn standing(&self) -> Option<UserStanding> {
        (!self.id.is_empty()).then_some(self.standing)
    }

    /// Whether there is a user whose keys are refused.
    pub fn is_disabled(&self) -> bool {
        self.standing() == Some(UserStanding::Disabled)
    }

    /// Gives the key to the user with this id. What is known of another one says nothing about them.
    pub fn set_id(&mut self, id: String) {
        if id != self.id {
            (self.id, self.standing) = (id, UserStanding::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_user_stands_is_about_that_user() {
        let user = |id: &str, standing| KeyUser::new(id.to_owned(), String::new(), standing);
        let mut disabled = user("u", UserStanding::Disabled);
        assert!(disabled.is_disabled());
        disabled.set_id("u".to_owned());
        assert!(disabled.is_disabled(), "the same one");
        disabled.set_id("other".to_owned());
        assert_eq!(disabled.standing(), Some(UserStanding::Active));
        assert_eq!(user("", UserStanding::Disabled), KeyUser::default(), "nobody is not disabled");
        assert_eq!(KeyUser::default().standing(), None);
    }
}
