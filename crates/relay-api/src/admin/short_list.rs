//! Lists that are so short that all of them are read, and searched, put in order and cut into pages here.

use std::cmp::Ordering;

use relay_domain::Timestamp;
use relay_store::{Cursor, Order, SortValue};
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::paging::{OrderName, check_limit, print, read};

/// What is in such a list.
pub(super) trait Listed {
    /// What they can be sorted by; the default is what they are sorted by unless told otherwise.
    type Sort: Copy + Default + Into<&'static str>;

    /// Which way they go unless told otherwise.
    const ORDER: Order;

    /// One's id, which decides among equals.
    fn id(&self) -> &str;

    /// What the operator calls it.
    fn name(&self) -> &str;

    /// What one is sorted by.
    fn value(&self, sort: Self::Sort) -> SortValue;
}

/// What a list of names is sorted by, in any case.
pub(super) fn by_name(name: &str) -> SortValue {
    SortValue::Text(name.to_lowercase())
}

/// What a list of moments is sorted by. What never was comes before all that was.
pub(super) fn by_moment(at: Option<Timestamp>) -> SortValue {
    SortValue::Number(at.map_or(0, Timestamp::as_millis))
}

/// Which part of a list, and in which order.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery<S: ToSchema> {
    /// Only those with this text in their name or id, in whatever case.
    search: Option<String>,
    /// What they are sorted by; groups by their name and tokens by when they were made unless told otherwise.
    #[param(inline)]
    sort: Option<S>,
    /// Which way; groups ascending and tokens descending unless told otherwise.
    #[param(inline)]
    order: Option<OrderName>,
    /// How many at most. Left out: all of them.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Where the page begins: the `nextCursor` of the one before, asked for with the same `search` and order.
    cursor: Option<String>,
}

/// A part of a list.
pub(super) struct Part<T> {
    pub(super) items: Vec<T>,
    /// How many there are of those that were asked for, on all pages.
    pub(super) total: usize,
    pub(super) next_cursor: Option<String>,
}

impl<S: ToSchema> PageQuery<S> {
    /// The part of `items` that is asked for.
    pub(super) fn part_of<T: Listed<Sort = S>>(self, mut items: Vec<T>) -> Result<Part<T>, ApiError>
    where
        S: Copy + Default + Into<&'static str>,
    {
        let sort = self.sort.unwrap_or_default();
        let order = self.order.map_or(T::ORDER, Order::from);
        let limit = check_limit(self.limit)?.unwrap_or(usize::MAX);
        let after = self.cursor.map(|cursor| read(&cursor, sort.into(), order)).transpose()?;
        if let Some(text) = self.search.map(|text| text.to_lowercase()) {
            let has = |said: &str| said.to_lowercase().contains(&text);
            items.retain(|item| has(item.name()) || has(item.id()));
        }
        let total = items.len();
        let turned = |comparison: Ordering| match order {
            Order::Ascending => comparison,
            Order::Descending => comparison.reverse(),
        };
        let place = |item: &T| Cursor { value: item.value(sort), id: item.id().to_owned() };
        items.sort_by(|a, b| turned(place(a).cmp(&place(b))));
        if let Some(after) = after {
            items.retain(|item| turned(after.cmp(&place(item))).is_lt());
        }
        let has_more = limit < items.len();
        items.truncate(limit);
        let last = items.last().filter(|_| has_more).map(place);
        let next_cursor = last.map(|last| print(sort.into(), order, last)).transpose()?;
        Ok(Part { items, total, next_cursor })
    }
}

/// What groups are sorted by.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum GroupSortName {
    #[default]
    Name,
    CreatedAt,
}

impl GroupSortName {
    /// What a group of this name and age is sorted by.
    pub(super) fn value(self, name: &str, created_at: Timestamp) -> SortValue {
        match self {
            Self::Name => by_name(name),
            Self::CreatedAt => by_moment(Some(created_at)),
        }
    }
}

impl From<GroupSortName> for &'static str {
    fn from(name: GroupSortName) -> Self {
        match name {
            GroupSortName::Name => "name",
            GroupSortName::CreatedAt => "createdAt",
        }
    }
}
